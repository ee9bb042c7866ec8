"""The milestones of a training one by one: the first with its losses, those between with their trend, the last's best.

Time, metrics and trend are those of each arm; what somebody makes of them stays theirs to write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from detui.engine.analysis.choice import finite
from detui.engine.record import moments
from detui.engine.record.claims_at import length_of
from detui.engine.record.facts import RunFacts, Source
from detui.engine.record.results import MASK_MAIN, OF_FRAMES, Results, label, seed_of
from detui.engine.record.stability import after_best
from detui.engine.record.text import Table, code, percent, plain, points

METRICS = ("val/AP50", "val/AP_small")
"""Of the milestones one by one."""
TABLE = ("val/AP", "val/AP50", "val/AP_small")
"""Of the table of all milestones."""


@dataclass(frozen=True, slots=True)
class Stone:
    """One milestone."""

    epoch: int
    kind: str
    """"first", "between" or "last"; a single one is the last."""
    before: int | None
    """The milestone before it."""
    table: Table


class Milestones:
    """The milestones of an experiment in one language."""

    def __init__(self, results: Results) -> None:
        self.results, self.facts, self.words = results, results.facts, results.words

    def times(self) -> Table:
        """Start, expected end (by the estimate of the plan) and end of each run."""
        words = self.words
        head = [words("run"), words("started"), words("expected"), words("ended at"), words("source")]
        rows = []
        for run in (run for arm in self.facts.arms for run in self.facts.of(arm)):
            found = (moments.started(run), moments.expected(self.facts, run), moments.ended(self.facts, run))
            mark = self.results.ledger.cite_all((one[1] for one in found if one), words("said times"))
            cells = [one[0] if one else words("missing") for one in found]
            if run.began and not found[1]:
                cells[1] = "–"  # nothing was known to estimate it from, and nothing will be
            rows.append([code(run.name), *cells, mark])
        return Table(head, rows)

    def latest(self) -> str:
        """When the last run that has ended did so: what the record says is as old as that."""
        found = [moment[0] for run in self.facts.runs if (moment := moments.ended(self.facts, run))]
        return max(found, default=self.words("missing"))

    def stones(self) -> list[Stone]:
        """The recipe's milestones in order; none where it names none."""
        epochs = sorted(self.facts.info.get("milestones") or ())
        found = []
        for place, epoch in enumerate(epochs):
            kind = "last" if place == len(epochs) - 1 else "between" if place else "first"
            before = epochs[place - 1] if place else None
            tables = {"first": self._first, "between": self._between, "last": self._last}
            found.append(Stone(epoch, kind, before, tables[kind](epoch, before)))
        return found

    def table(self) -> Table:
        """Mean over finished seeds at each milestone, the others one by one; what was not reached says so."""
        words = self.words
        names = [f"{self.results.label(name)} (%)" for name in self._columns]
        head = [words("epoch"), words("arm"), *names, words("loss"), words("source")]
        rows = [
            self._milestone(epoch, arm)
            for epoch in self.facts.info.get("milestones", ())
            for arm in self.facts.arms
            if epoch <= (length_of(self.facts, arm) or epoch)  # a shorter arm never gets there
        ]
        return Table(head, rows, frozenset({0, *range(2, len(head) - 1)}))

    @property
    def _columns(self) -> tuple[str, ...]:
        masks = MASK_MAIN[:1] if self.results.masks else ()
        return OF_FRAMES if self.facts.frames else (*TABLE, *masks)

    def _milestone(self, epoch: int, arm: str) -> list[str]:
        runs = self.facts.of(arm)
        lines = [(run, line) for run in runs for line in run.evaluations if line["epoch"] == epoch]
        cells = [self._at_epoch(runs, epoch, metric) for metric in self._columns]
        origins = (run.source(line).whole() for run, line in lines)
        mark = self.results.ledger.cite_all(origins, self.words("milestones"))
        losses, loss_mark = self._losses(self.facts.finished(arm), epoch)
        return [str(epoch), code(arm), *cells, losses, ", ".join(filter(None, (mark, loss_mark)))]

    def _at_epoch(self, runs: Sequence[RunFacts], epoch: int, metric: str) -> str:
        """A metric of one arm's runs at an epoch: mean ± std of the finished ones, the others one by one."""
        lines = [(run, line) for run in runs for line in run.evaluations if line["epoch"] == epoch]
        if not lines:
            return self._not_reached(runs, epoch)
        found = [(run, value.value) for run, line in lines if (value := run.value(metric, line))]
        return self._partial(found, sum(run.finished for run in runs))

    def _partial(self, found: Sequence[tuple[RunFacts, float]], finished: int) -> str:
        whole = {run.seed: value for run, value in found if run.finished}
        cells = [self.results.spread(whole, finished).replace("**", "")] if whole else []
        cells += [f"s{run.seed}: {percent(value)} ({self.words('not finished')})"
                  for run, value in found if not run.finished]  # fmt: skip
        return "; ".join(cells) or self.words("not available")

    def _not_reached(self, runs: Sequence[RunFacts], epoch: int) -> str:
        stages = [run.stage_of(epoch) for run in runs]
        if runs and all(stage is not None and not stage.judged for stage in stages):
            return self.words("other classes")
        if runs and all(run.terminal and run.epoch < epoch for run in runs):
            return self.words("stopped early at", max(run.epoch for run in runs))
        return self.words("missing")

    def _losses(self, runs: Sequence[RunFacts], epoch: int) -> tuple[str, str]:
        """Each loss term, averaged over the seeds ("box 1.21, cls 0.83"), and the marks of where they stand."""
        terms: dict[str, list[float]] = {}
        sources: list[Source] = []
        for run in runs:
            found = {name: dict(zip(*series, strict=True)).get(epoch) for name, series in run.losses.items()}
            for name, value in found.items():
                if value is not None:
                    terms.setdefault(name.removeprefix("train/").removeprefix("loss_"), []).append(value)
            if any(value is not None for value in found.values()):
                attempt = run.trained.get(epoch, 1)
                sources.append(Source(run.name, attempt, None, f"runs/{run.name}/attempts/{attempt}/metrics.jsonl"))
        if not terms:
            return self.words("missing"), ""
        shown = ", ".join(f"{plain(name)} {sum(values) / len(values):.3g}" for name, values in sorted(terms.items()))
        return shown, self.results.ledger.cite_all(sources, self.words("said loss"))

    def _first(self, epoch: int, before: int | None) -> Table:
        terms = sorted({name for run in self.facts.runs for name in run.losses})
        names = [plain(name.removeprefix("train/").removeprefix("loss_")) + "_loss" for name in terms]
        head = [*self._head(), *names, self.words("source")]
        rows = []
        for arm in self.facts.arms:
            runs = self.facts.finished(arm) or self.facts.of(arm)
            losses = [self._loss(runs, term, epoch) for term in terms]
            rows.append([code(arm), *self._reached(arm, epoch), *losses, self._marks(arm, epoch)])
        return Table(head, rows, frozenset(range(2, len(head) - 1)))

    def _between(self, epoch: int, before: int | None) -> Table:
        head = [*self._head(), self.words("trend", before), self.words("source")]
        rows = []
        for arm in self.facts.arms:
            trend = self.trend(self.facts.of(arm), before or 0, epoch)
            rows.append([code(arm), *self._reached(arm, epoch), trend, self._marks(arm, epoch)])
        return Table(head, rows, frozenset({2, 3}))

    def _last(self, epoch: int, before: int | None) -> Table:
        words = self.words
        best = [words("best of", label(name)) + " (%)" for name in METRICS]
        highest = [words("highest of", label(name)) + " (%)" for name in METRICS]
        head = [words("arm"), words("seed"), words("ended at"), words("chosen epoch"), *best, *highest, words("source")]
        rows = [self._best(run) for arm in self.facts.arms for run in self.facts.of(arm)]
        return Table(head, rows, frozenset(range(3, len(head) - 1)))

    def _best(self, run: RunFacts) -> list[str]:
        """The chosen checkpoint's numbers, which count, and the highest ever evaluated, which do not."""
        moment = moments.ended(self.facts, run)
        epoch = str(run.chosen["epoch"]) if run.chosen else self.words("missing")
        best = [self.results.cell(run.value(name), percent, chosen=run.chosen) for name in METRICS]
        highest = []
        for name in METRICS:
            found = after_best(run, name)
            at = f"{percent(found.best)} ({self.words('epoch')} {found.best_epoch})" if found else None
            highest.append(at or self.words("not available" if run.chosen else "missing"))
        sources = [run.source(line) for line in run.evaluations] + ([moment[1]] if moment else [])
        mark = self.results.ledger.cite_all(sources, self.words("milestones"))
        ended = moment[0] if moment else self.words("missing")
        return [code(run.arm), seed_of(run, self.words), ended, epoch, *best, *highest, mark]

    def _head(self) -> list[str]:
        return [self.words("arm"), self.words("time reached"), *(f"{label(name)} (%)" for name in METRICS)]

    def _reached(self, arm: str, epoch: int) -> list[str]:
        """When each seed was there, and the metrics there: mean ± std of the finished seeds, the others one by one."""
        runs = self.facts.of(arm)
        times = [(run, found[0]) for run in runs if (found := moments.reached(self.facts, run, epoch))]
        said = "; ".join(time if len(runs) == 1 else f"s{run.seed}: {time}" for run, time in times)
        cells = [self._at_epoch(runs, epoch, name) for name in METRICS]
        return [said or self.words("missing"), *cells]

    def _loss(self, runs: Sequence[RunFacts], term: str, epoch: int) -> str:
        """A term's mean over the runs that were trained so far."""
        found = [dict(zip(*run.losses[term], strict=True)).get(epoch) for run in runs if term in run.losses]
        known = [value for value in found if value is not None]
        return f"{sum(known) / len(known):.3g}" if known else self.words("missing")

    def trend(self, runs: Sequence[RunFacts], before: int, epoch: int) -> str:
        """The change of each metric in pp, over the seeds that have both epochs, and how many of them rose."""
        said = []
        for metric in METRICS:
            changes = [values[epoch] - values[before] for run in runs
                       if before in (values := _by_epoch(run, metric)) and epoch in values]  # fmt: skip
            if changes:
                mean, rose = sum(changes) / len(changes), sum(change > 0 for change in changes)
                said.append(self.words("trend of", label(metric), points(mean), rose, len(changes)))
        return "; ".join(said) or self._not_reached(runs, before)

    def _marks(self, arm: str, epoch: int) -> str:
        """Where the times, losses and metrics of an arm at an epoch stand."""
        words, sources = self.words, []
        for run in self.facts.of(arm):
            sources += [run.source(line) for line in run.evaluations if line["epoch"] == epoch]
            if attempt := run.trained.get(epoch):
                sources.append(Source(run.name, attempt, epoch, f"runs/{run.name}/attempts/{attempt}/metrics.jsonl"))
        return self.results.ledger.cite_all(sources, words("milestones"))


def _by_epoch(run: RunFacts, metric: str) -> Mapping[int, float]:
    """Epoch → the metric, where it was evaluated."""
    found = ((int(line["epoch"]), finite(line["values"].get(metric))) for line in run.evaluations)
    return {epoch: value for epoch, value in found if value is not None}
