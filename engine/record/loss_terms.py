"""Each term of the training loss over the stages that are judged, and where one rises to the end: since when, beside
the others and AP over the same epochs. Evidence, no verdict: a term rises in trainings that go well, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detui.engine.analysis.choice import finite
from detui.engine.record.facts import RunFacts, Source
from detui.engine.record.results import Results, seed_of
from detui.engine.record.text import Table, code, percent, plain
from detui.engine.run.rises import RISING_EPOCHS, rise_start

Point = tuple[int, float]
"""An epoch and a value."""


@dataclass(frozen=True, slots=True)
class Term:
    """One loss term of one run; means over epochs."""

    name: str
    """As it was reported: "train/loss_cls"."""
    first: Point
    lowest: Point
    """The earlier epoch on a tie."""
    last: Point
    rise: Point | None
    """Where the rise to the last epoch began, RISING_EPOCHS before it at least, within the last stage; None where the
    term does not so rise."""


def terms_of(run: RunFacts) -> list[Term]:
    """Every term of a run that was reported for an epoch, by name; values that are not finite are left out.

    Stages on other data, before the first that is judged, are left out: their losses are those of other pictures. While
    such a stage is all that there is, it is told.
    """
    begun = run.stage_starts[-1] if run.stage_starts else 0
    found = []
    for name, series in sorted(run.losses.items()):
        points = [(epoch, value) for epoch, value in zip(*series, strict=True) if finite(value) is not None]
        points = [point for point in points if point[0] > run.judged_from] or points
        if not points or not name.startswith("train/loss_"):
            continue
        # A stage has its own settings, and its losses another scale: a rise is looked for within the last one.
        latest = [point for point in points if point[0] > begun]
        start = rise_start([value for _, value in latest])
        rise = None if start is None or latest[-1][0] - latest[start][0] < RISING_EPOCHS else latest[start]
        lowest = min(points, key=lambda point: (point[1], point[0]))
        found.append(Term(name, points[0], lowest, points[-1], rise))
    return found


class LossTerms:
    """The terms of an experiment's losses in one language."""

    def __init__(self, results: Results) -> None:
        self.results, self.facts, self.words = results, results.facts, results.words

    def table(self) -> Table:
        """A row for each arm, seed and term: first, lowest and last mean; since when it rises, and what else did then.

        "meanwhile" holds the other terms from the epoch at which the rise began to the last, and AP from the first to
        the last of the milestones among these epochs. Empty before the first epoch of any run.
        """
        words = self.words
        head = [words("arm"), words("seed"), words("loss term"), words("first mean"), words("lowest mean"),
                words("last mean"), words("risen since"), words("meanwhile"), words("source")]  # fmt: skip
        rows = [row for arm in self.facts.arms for run in self.facts.of(arm) for row in self._rows(run)]
        return Table(head, rows, frozenset({3, 4, 5}))

    def _rows(self, run: RunFacts) -> list[list[str]]:
        terms = terms_of(run)
        return [self._row(run, term, [one for one in terms if one is not term]) for term in terms]

    def _row(self, run: RunFacts, term: Term, others: Sequence[Term]) -> list[str]:
        means = [self._at(point) for point in (term.first, term.lowest, term.last)]
        rises, meanwhile, lines = "–", "–", []
        if term.rise is not None:
            (since, low), (last, high) = term.rise, term.last
            rises = self.words("risen by", since, _written(low), _written(high))
            lines = [line for line in run.evaluations if since <= int(line["epoch"]) <= last]
            beside = (self._beside(run, other, since) for other in others)
            meanwhile = "; ".join([*filter(None, beside), self._metric(lines)])
        sources = [*self._epochs(run, term), *(run.source(line).whole() for line in lines)]
        mark = self.results.ledger.cite_all(sources, self.words("said loss terms"))
        return [code(run.arm), seed_of(run, self.words), _short(term.name), *means, rises, meanwhile, mark]

    def _at(self, point: Point) -> str:
        return self.words("mean at", _written(point[1]), point[0])

    def _beside(self, run: RunFacts, other: Term, since: int) -> str:
        """Another term from the epoch at which the rise began to the last one; "" where it is not known there."""
        known = dict(zip(*run.losses[other.name], strict=True))
        if finite(known.get(since)) is None:
            return ""
        return self.words("went", _short(other.name), _written(known[since]), _written(other.last[1]))

    def _metric(self, lines: Sequence[Mapping[str, Any]]) -> str:
        """What the checkpoint rule's metric did in the evaluations of these epochs."""
        metric = self.results.rule_metric
        found = [(int(line["epoch"]), value) for line in lines
                 if (value := finite(line["values"].get(metric))) is not None]  # fmt: skip
        name = f"{self.results.label(metric)} (%)"
        if not found:
            return self.words("not evaluated", name)
        (first, then), (last, now) = found[0], found[-1]
        if first == last:
            return self.words("evaluated once", name, percent(now), last)
        return self.words("went over", name, percent(then), percent(now), first, last)

    def _epochs(self, run: RunFacts, term: Term) -> list[Source]:
        """Where the means stand that the row names."""
        named = {point[0] for point in (term.first, term.lowest, term.last, term.rise) if point is not None}
        attempts = sorted({run.trained.get(epoch, 1) for epoch in named})
        return [Source(run.name, one, None, f"runs/{run.name}/attempts/{one}/metrics.jsonl") for one in attempts]


def _short(name: str) -> str:
    return plain(name.removeprefix("train/loss_"))


def _written(value: float) -> str:
    return f"{value:.3g}"
