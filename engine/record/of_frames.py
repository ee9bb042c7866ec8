"""Tables of data that is judged in the manner of nuScenes: the five errors, the classes, and what the data allows."""

from __future__ import annotations

from collections.abc import Sequence

from detui.engine.analysis import summarise
from detui.engine.evaluate.tables import ERRORS, UNITS
from detui.engine.record.facts import Measured, RunFacts
from detui.engine.record.results import Results, seed_of
from detui.engine.record.text import Table, code, percent, plain

CEILINGS = ("val/mAP_ceiling", "val/NDS_ceiling")
_ERRORS = tuple(f"val/{name}" for name in ERRORS)


class FrameTables:
    """Tables of mAP, NDS, five errors and ten classes, in one language."""

    def __init__(self, results: Results) -> None:
        self.results, self.facts, self.words = results, results.facts, results.words

    @property
    def judged(self) -> bool:
        """Whether the experiment's data is judged so."""
        return self.facts.frames

    def errors(self) -> Table:
        """The mean errors of each run's chosen checkpoint, then mean ± std of each arm. Lower is better."""
        words = self.words
        head = [words("arm"), words("seed"), *(f"{name} ({words(UNITS[name])})" for name in ERRORS), words("source")]
        rows: list[list[str]] = []
        for arm in self.facts.arms:
            rows += [self._of_run(run) for run in self.facts.of(arm)]
            rows.append(self._of_arm(arm))
        return Table(head, rows, frozenset(range(1, len(head) - 1)))

    def _of_run(self, run: RunFacts) -> list[str]:
        cells = [self.results.cell(run.value(name), _error, chosen=run.chosen) for name in _ERRORS]
        mark = self.results.ledger.cite(run.source(run.chosen), self.words("said chosen")) if run.chosen else ""
        return [code(run.arm), seed_of(run, self.words), *cells, mark]

    def _of_arm(self, arm: str) -> list[str]:
        each = [self.facts.points(arm, name) for name in _ERRORS]
        seeds = max(map(len, each), default=0)
        title = self.words("mean ± std" if seeds > 1 else "mean", seeds) + self.results.seeds_finished(arm)
        cells = [f"**{self._spread(arm, name)}**" for name in _ERRORS]
        used = [point.source for points in each for point in points.values()]
        mark = self.results.ledger.cite_all(used, self.words("said chosen"))
        return [f"**{code(arm)}**", f"**{title}**", *cells, mark]

    def classes(self) -> Table:
        """Class and arm: AP in percent and the errors, mean ± std over the finished seeds."""
        words = self.words
        metrics = ("val/mAP", *_ERRORS)
        head = [words("class"), words("arm"), "AP (%)", *(f"{name[1:]} ({words(UNITS[name])})" for name in ERRORS),
                words("source")]  # fmt: skip
        rows = []
        for name in self.facts.classes:
            for arm in self.facts.arms:
                asked = [f"{metric}/{name}" for metric in metrics]
                used = [one.source for metric in asked for one in self.facts.points(arm, metric).values()]
                mark = self.results.ledger.cite_all(used, words("said class"))
                rows.append([plain(name), code(arm), *(self._spread(arm, metric) for metric in asked), mark])
        return Table(head, rows, frozenset(range(2, len(head) - 1)))

    def _spread(self, arm: str, metric: str) -> str:
        """Mean ± std; n/a where the evaluations have none for want of ground truth, a placeholder before them."""
        values = list(self.facts.values(arm, metric).values())
        if not values:
            return self.results.absent(metric, arm)
        form = percent if metric.startswith("val/mAP") else _error
        summary = summarise(values)
        return form(summary.mean) + (f" ± {form(summary.std)}" if summary.std is not None else "")

    def ceilings(self) -> Table:
        """What perfect detections would score on the data of each arm, in percent; one row for arms on the same data.

        Empty before the first evaluation.
        """
        words = self.words
        head = [words("arm"), words("mAP ceiling"), words("NDS ceiling"), words("source")]
        rows = []
        for reference in self.facts.references:
            same = [arm for arm in self.facts.arms if self.facts.same_data(reference, arm)]
            run = next((one for arm in same for one in self.facts.of(arm) if one.chosen), None)
            told: Sequence[Measured | None] = [run.value(name) for name in CEILINGS] if run else ()
            if run and run.chosen and any(told):
                cells = [self.results.cell(one, percent, chosen=run.chosen) for one in told]
                mark = self.results.ledger.cite(run.source(run.chosen), words("said ceiling"))
                rows.append([", ".join(map(code, same)), *cells, mark])
        return Table(head, rows, frozenset({1, 2}))


def _error(value: float) -> str:
    return f"{value:.4f}"
