"""What the training measured of sizes: how many of the objects are small, and how much gradient they got."""

from __future__ import annotations

from collections.abc import Sequence

from detui.engine.analysis import summarise
from detui.engine.record.facts import RunFacts, Source
from detui.engine.record.results import Results
from detui.engine.record.text import Table, code, percent

SIZES = ("small", "medium", "large")
SHARES = ("objects", "positives", "gradient")
"""Families of statistics: the share of the objects, of the points that learn one, and of the gradient's magnitude at
those points of the detection head, that a size has; 0–1, "objects/small"."""

SCALE = "weight/mean"
"""The statistic of the mean weight of a sample's objects."""


class Shares:
    """The table of shares by size, in one language."""

    def __init__(self, results: Results) -> None:
        self.results, self.facts, self.words = results, results.facts, results.words

    def measured(self) -> bool:
        """Whether any run has reported a share of the gradient."""
        return any(f"gradient/{size}" in run.statistics for run in self.facts.runs for size in SIZES)

    def table(self) -> Table:
        """Arm × size: shares of objects, points and gradient, mean ± std over finished seeds; gradient ÷ objects."""
        words = self.words
        head = [words("arm"), words("size"), *(f"{words(f'share of {name}')} (%)" for name in SHARES),
                words("gradient an object"), words("n"), words("samples"), words("source")]  # fmt: skip
        rows = [self._row(arm, size) for arm in self.facts.arms for size in SIZES]
        return Table(head, rows, frozenset(range(2, len(head) - 1)))

    def scale(self) -> list[str]:
        """A line an arm: the mean weight of an object after normalisation, 1 where the loss is as large as without."""
        lines = []
        for arm in self.facts.arms:
            runs = [run for run in self.facts.finished(arm) if SCALE in run.statistics]
            if runs:
                mean = sum(run.statistics[SCALE].mean for run in runs) / len(runs)
                mark = self.results.ledger.cite_all(_sources(runs), self.words("said shares"))
                lines.append(f"{code(arm)}: {mean:.3g} ({mark})")
        return lines

    def _row(self, arm: str, size: str) -> list[str]:
        runs = [run for run in self.facts.finished(arm) if f"gradient/{size}" in run.statistics]
        name = self.words(f"size {size}")
        if not runs:
            missing = self.words("missing")
            return [code(arm), name, *[missing] * (len(SHARES) + 1), "–", "–", ""]
        shares = [[run.statistics[f"{family}/{size}"].mean for run in runs if f"{family}/{size}" in run.statistics]
                  for family in SHARES]  # fmt: skip
        objects, gradient = (sum(side) / len(side) if side else 0.0 for side in (shares[0], shares[-1]))
        ratio = f"{gradient / objects:.2f}" if objects else "–"
        samples = sum(len(run.statistics[f"gradient/{size}"].values) for run in runs)
        mark = self.results.ledger.cite_all(_sources(runs), self.words("said shares"))
        return [code(arm), name, *map(_spread, shares), ratio, str(len(runs)), str(samples), mark]


def _spread(values: Sequence[float]) -> str:
    """ "41.2 ± 0.3" in percent."""
    if not values:
        return "–"
    summary = summarise(values)
    return percent(summary.mean) + (f" ± {percent(summary.std)}" if summary.std is not None else "")


def _sources(runs: Sequence[RunFacts]) -> list[Source]:
    """Every attempt's file that has samples of these runs."""
    return [
        Source(run.name, attempt, None, f"runs/{run.name}/attempts/{attempt}/metrics.jsonl")
        for run in runs
        for attempt in sorted({number for one in run.statistics.values() for number in one.attempts})
    ]
