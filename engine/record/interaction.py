"""Arms by data sets: what the difference between two arms is on each, and whether it is another one on the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from detui.engine.analysis import summarise
from detui.engine.analysis.interaction import Cell, Contrast, Crossed, Interaction, contrast, cross
from detui.engine.record.facts import ExperimentFacts
from detui.engine.record.results import Results
from detui.engine.record.text import Table, code, percent, plain, points
from detui.engine.record.words import Words

METRIC = "val/AP"


def cells_of(facts: ExperimentFacts, metric: str = METRIC) -> list[Cell]:
    """The cells of one experiment, by its arms."""
    found = []
    for arm in facts.arms:
        where = facts.data_set_of(arm) or str(facts.data_of(arm).get("name") or "")
        unfinished = tuple(facts.unfinished(arm)) if facts.begun else ()
        found.append(Cell(name=arm, arm=facts.base_of(arm), data_set=where,
                          points=facts.values(arm, metric), unfinished=unfinished))  # fmt: skip
    return found


def objects_an_image(data: Mapping[str, Any]) -> dict[str, float]:
    """Split → objects an image, of a prepared data object; boxes an image where objects were not counted yet.

    Only splits that say as much.
    """
    found = {}
    for name, split in (data.get("splits") or {}).items():
        if counted := split.get("objects_per_image"):
            found[str(name)] = float(counted["mean"])
        elif split.get("images") and split.get("boxes") is not None:
            found[str(name)] = split["boxes"] / split["images"]
    return found


def density(data: Mapping[str, Any], words: Words) -> str:
    """ "objects an image: train 20.3, val 19.8"; "" where the data do not say."""
    told = ", ".join(f"{plain(name)} {value:.1f}" for name, value in objects_an_image(data).items())
    return words("objects an image", told) if told else ""


def statement(one: Interaction, words: Words) -> str:
    """An interaction in words, with what its interval says of 0, or why nothing is concluded."""
    names = (code(one.arm), code(one.reference), code(one.data_set), code(one.against))
    if one.contrast is None:
        return words("interaction said", *names, words("missing"))
    number = f"{_told(one.contrast, 'pp')}, n = {' / '.join(map(str, one.contrast.n))}"
    if one.contains_zero is None:
        why = words(one.reason, ", ".join(map(code, one.unfinished)))
        verdict = f"{words('inconclusive')} ({why})"
    else:
        verdict = words("interval holds zero" if one.contains_zero else "interval excludes zero")
    return words("interaction said", *names, f"{number}: {verdict}")


class InteractionTable:
    """The arms of an experiment crossed with its data sets, in one language."""

    def __init__(self, results: Results) -> None:
        self.results, self.facts, self.words = results, results.facts, results.words

    def crossed(self, metric: str = METRIC) -> Crossed | None:
        """Arms by data sets; None where there are not two of each."""
        found = cross(cells_of(self.facts, metric))
        return found if len(found.arms) > 1 and len(found.data_sets) > 1 else None

    def table(self, metric: str = METRIC) -> Table:
        """Arms by data sets with their differences; without rows where there are not two of each."""
        found, words = self.crossed(metric), self.words
        if found is None:
            return Table([words("arm")], [])
        first, *others = found.data_sets
        head = [words("arm"), *(self._title(found, name) for name in found.data_sets),
                *(f"{code(first)} − {code(other)} (pp)" for other in others), words("source")]  # fmt: skip
        rows = []
        for arm in found.arms:
            cells = [found.cells.get((arm, where)) for where in found.data_sets]
            # One arm on two data sets is of other images and classes: only what differences differ by is told there.
            rows.append([code(arm), *map(self._mean, cells), *("–" for _ in others), self._marks(metric, cells)])
        reference = found.arms[0]
        for arm in found.arms[1:]:
            pairs = [(found.cells.get((arm, where)), found.cells.get((reference, where))) for where in found.data_sets]
            told = [_interaction(one, words) for one in found.interactions if one.arm == arm]
            rows.append([f"{code(arm)} − {code(reference)} (pp)", *(_difference(*pair, words) for pair in pairs), *told,
                         self._marks(metric, [cell for pair in pairs for cell in pair])])  # fmt: skip
        return Table(head, rows, frozenset(range(1, len(head) - 1)))

    def _title(self, found: Crossed, data_set: str) -> str:
        """ "`crowded` (objects an image: train 20.3, val 19.8)"."""
        cell = next(cell for cell in found.cells.values() if cell.data_set == data_set)
        told = density(self.facts.data_of(cell.name), self.words)
        return f"{code(data_set)} ({told})" if told else code(data_set)

    def _marks(self, metric: str, cells: Sequence[Cell | None]) -> str:
        points = (self.facts.points(cell.name, metric).values() for cell in cells if cell)
        return self.results.ledger.cite_all((one.source for of in points for one in of), self.words("said interaction"))

    def _mean(self, cell: Cell | None) -> str:
        if cell is None:
            return "–"
        if not cell.points:
            return self.words("missing")
        summary = summarise(list(cell.points.values()))
        spread = f" ± {percent(summary.std)}" if summary.std is not None else ""
        return f"{percent(summary.mean)}{spread} (n = {summary.n}{self.results.seeds_finished(cell.name)})"

    def statements(self, metric: str = METRIC) -> list[str]:
        """A line an interaction."""
        found = self.crossed(metric)
        return [statement(one, self.words) for one in found.interactions] if found else []


def _interaction(one: Interaction, words: Words) -> str:
    if one.contrast is None:
        return words("missing") if one.cells else "–"
    return f"**{_told(one.contrast)}**" + (f" ({words('inconclusive')})" if one.contains_zero is None else "")


def _difference(cell: Cell | None, other: Cell | None, words: Words) -> str:
    if cell is None or other is None:
        return "–"
    if not cell.points or not other.points:
        return words("missing")
    return _told(contrast([list(one.points.values()) for one in (cell, other)], (1, -1)))


def _told(found: Contrast, unit: str = "") -> str:
    """ "-14.0 [-17.9, -10.1]"."""
    interval = f" [{points(found.interval[0])}, {points(found.interval[1])}]" if found.interval else ""
    return f"{points(found.value)}{f' {unit}' if unit else ''}{interval}"
