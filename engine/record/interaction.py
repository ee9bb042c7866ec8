"""Arms by data sets: what the difference between two arms is on each, and whether it is another one on the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detui.engine.analysis import summarise
from detui.engine.analysis.interaction import Cell, Contrast, Crossed, Interaction, contrast, cross
from detui.engine.record.facts import ExperimentFacts, Source
from detui.engine.record.results import Results
from detui.engine.record.text import Table, code, percent, plain, points
from detui.engine.record.words import Words

METRIC = "val/AP"


def cells_of(facts: ExperimentFacts, metric: str = METRIC, prefix: str = "") -> list[Cell]:
    """The cells of one experiment, by its arms. `prefix`: before their names, where several are compared."""
    found = []
    for arm in facts.arms:
        where = facts.data_set_of(arm) or str(facts.data_of(arm).get("name") or "")
        unfinished = tuple(facts.unfinished(arm)) if facts.begun else ()
        found.append(Cell(name=f"{prefix}{arm}", arm=facts.base_of(arm), data_set=where,
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


def table_of(
    crossed: Crossed,
    words: Words,
    densities: Mapping[str, str],
    sources: Mapping[str, list[Source]] | None = None,
) -> Table:
    """Arms by data sets in percent, then differences in pp with their 95 % intervals; the interaction at their end.

    `densities`: data set → what stands in its head beside its name, Markdown. `sources`: name of a cell → where its
    numbers stand.
    """
    first, *others = crossed.data_sets
    titles = [f"{code(name)} ({densities[name]})" if densities.get(name) else code(name) for name in crossed.data_sets]
    head = [words("arm"), *titles, *(f"{code(first)} − {code(other)} (pp)" for other in others)]
    rows, origins = [], []
    for arm in crossed.arms:
        cells = [crossed.cells.get((arm, where)) for where in crossed.data_sets]
        rows.append([code(arm), *(_mean(cell, words) for cell in cells),
                     *(_difference(cells[0], other, words) for other in cells[1:])])  # fmt: skip
        origins.append([source for cell in cells if cell for source in (sources or {}).get(cell.name, ())])
    for place, arm in enumerate(crossed.arms[1:], start=1):
        pairs = [(crossed.cells.get((arm, where)), crossed.cells.get((crossed.arms[0], where)))
                 for where in crossed.data_sets]  # fmt: skip
        told = [one for one in crossed.interactions if one.arm == arm]
        rows.append([f"{code(arm)} − {code(crossed.arms[0])} (pp)", *(_difference(*pair, words) for pair in pairs),
                     *(_interaction(one, words) for one in told)])  # fmt: skip
        origins.append([*origins[0], *origins[place]])
    return Table(head, rows, frozenset(range(1, len(head))), origins)


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
        where = {cell.data_set: density(self.facts.data_of(cell.name), words) for cell in found.cells.values()}
        sources = {cell.name: [point.source for point in self.facts.points(cell.name, metric).values()]
                   for cell in found.cells.values()}  # fmt: skip
        plain_table = table_of(found, words, where, sources)
        cite = self.results.ledger.cite_all
        rows = [[*row, cite(origin, words("said interaction"))]
                for row, origin in zip(plain_table.rows, plain_table.origins, strict=True)]  # fmt: skip
        return Table([*plain_table.head, words("source")], rows, plain_table.right)

    def statements(self, metric: str = METRIC) -> list[str]:
        """A line an interaction."""
        found = self.crossed(metric)
        return [statement(one, self.words) for one in found.interactions] if found else []


def _interaction(one: Interaction, words: Words) -> str:
    if one.contrast is None:
        return words("missing") if one.cells else "–"
    return f"**{_told(one.contrast)}**" + (f" ({words('inconclusive')})" if one.contains_zero is None else "")


def _mean(cell: Cell | None, words: Words) -> str:
    if cell is None:
        return "–"
    if not cell.points:
        return words("missing")
    summary = summarise(list(cell.points.values()))
    spread = f" ± {percent(summary.std)}" if summary.std is not None else ""
    planned = summary.n + len(cell.unfinished)
    more = "; " + words("seeds finished", summary.n, planned) if cell.unfinished else ""
    return f"{percent(summary.mean)}{spread} (n = {summary.n}{more})"


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
