"""How fast and how steadily each run got to its final AP, and what an epoch cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from detui.engine.analysis import summarise
from detui.engine.analysis.choice import finite
from detui.engine.analysis.convergence import LAST, SHARES, Area, Convergence, Reach, Reason, Spread, Trend, converge
from detui.engine.record.facts import RunFacts, Source
from detui.engine.record.results import Results, seed_of
from detui.engine.record.text import Table, code, duration, percent, points, size

MEMORY = {"cost/gpu_memory": "on gpu", "cost/host_memory": "on host"}
"""Peaks of memory, that which is shown where both are known first, and the words for where it is."""


def of_run(run: RunFacts, metric: str = "val/AP") -> Convergence:
    """The convergence of a run as far as it got, by the curve of a metric that is the better the higher."""
    evaluations = [(int(line["epoch"]), finite(line["values"].get(metric))) for line in run.evaluations]
    return converge(evaluations, run.epoch or None)


@dataclass(frozen=True, slots=True)
class _Row:
    """What is told of one finished run."""

    curve: Convergence
    seconds: float | None
    """Of an epoch, over the epochs that say theirs."""
    memory: tuple[str, float] | None
    """Which memory, and the bytes of its peak."""


class ConvergenceTable:
    """The table of convergence, in one language."""

    def __init__(self, results: Results) -> None:
        self.results, self.facts, self.words = results, results.facts, results.words
        self.metric = results.rule_metric
        """The one whose curve is looked at: that of the checkpoint rule."""

    def table(self) -> Table:
        """A row a run, then the finished seeds' mean ± standard deviation of each arm."""
        words = self.words
        name = self.results.label(self.metric)
        reached = [words("reached", round(100 * share)) for share in SHARES]
        head = [words("arm"), words("seed"), words("final AP", name), *reached, words("area", name),
                words("spread of last", LAST), words("still rising"), words("time an epoch"), words("peak memory"),
                words("source")]  # fmt: skip
        rows = []
        for arm in self.facts.arms:
            rows += [self._run_row(run) for run in self.facts.of(arm)]
            rows.append(self._mean_row(arm))
        return Table(head, rows, frozenset(range(1, len(head) - 1)))

    def about(self) -> str:
        """How to read the table."""
        evaluated = [(run.epoch - run.judged_from, len(run.evaluations)) for run in self.facts.runs if run.finished]
        every = bool(evaluated) and all(epochs == number for epochs, number in evaluated)
        when = self.words("every epoch" if every else "not every epoch")
        return self.words("convergence rule", LAST, self.results.label(self.metric), when)

    def _run_row(self, run: RunFacts) -> list[str]:
        found, mark = (
            _row(run, self.metric),
            self.results.ledger.cite_all(_sources(run), self.words("said convergence")),
        )
        cells = self._curve(run, found.curve)
        seconds = self.words("missing") if found.seconds is None else duration(found.seconds)
        memory = self.words("missing") if found.memory is None else self.words(found.memory[0], size(found.memory[1]))
        return [code(run.arm), seed_of(run, self.words), *cells, seconds, memory, mark]

    def _curve(self, run: RunFacts, curve: Convergence) -> list[str]:
        """Final AP, the epochs, the area, the spread, the trend; a run that is not at its end has none of them."""
        if not run.finished:
            return [self.words("not finished" if run.epoch else "missing")] * (4 + len(SHARES))
        final = curve.final if isinstance(curve.final, Reason) else percent(curve.final)
        told = [final, *map(self._reach, curve.reached), self._area(curve.area), self._spread(curve.spread),
                self._trend(curve.trend)]  # fmt: skip
        return [self._why(run, one) if isinstance(one, Reason) else one for one in told]

    def _why(self, run: RunFacts, reason: Reason) -> str:
        if reason is Reason.MISSING and run.waiting:
            return self.words("missing")
        return self.words("no number", self.words(f"convergence {reason.name}", LAST))

    def _reach(self, reach: Reach | Reason) -> str | Reason:
        if isinstance(reach, Reason):
            return reach
        return f"({reach.before}, {reach.epoch}]" if reach.before else self.words("reached at first", reach.epoch)

    @staticmethod
    def _area(area: Area | Reason) -> str | Reason:
        return area if isinstance(area, Reason) else f"{percent(area.value)} ({area.first}–{area.last})"

    def _spread(self, spread: Spread | Reason) -> str | Reason:
        if isinstance(spread, Reason):
            return spread
        return self.words("spread", percent(spread.range), percent(spread.std), spread.n)

    def _trend(self, trend: Trend | Reason) -> str | Reason:
        if isinstance(trend, Reason):
            return trend
        if trend.rising:
            return self.words("rising", points(trend.change), trend.before)
        return self.words("not rising", points(trend.change), trend.before, trend.best)

    def _mean_row(self, arm: str) -> list[str]:
        runs = self.facts.finished(arm)
        rows = [_row(run, self.metric) for run in runs]
        title = self.words("mean ± std" if len(rows) > 1 else "mean", len(rows)) + self.results.seeds_finished(arm)
        curves = [row.curve for row in rows]
        finals = [curve.final for curve in curves if not isinstance(curve.final, Reason)]
        reached = [[reach.epoch for curve in curves if isinstance(reach := curve.reached[place], Reach)]
                   for place in range(len(SHARES))]  # fmt: skip
        spreads = [curve.spread.range for curve in curves if isinstance(curve.spread, Spread)]
        seconds = [row.seconds for row in rows if row.seconds is not None]
        cells = [
            self._mean(finals, percent, rows),
            *(self._mean(epochs, lambda epoch: f"{epoch:.3g}", rows, "≤ ") for epochs in reached),
            self._mean_area(curves, rows),
            self._mean(spreads, percent, rows),
            self._rising(curves),
            self._mean(seconds, duration, rows),
            self._mean_memory(rows),
        ]
        used = [source for run in runs for source in _sources(run)]
        mark = self.results.ledger.cite_all(used, self.words("said convergence"))
        return [f"**{code(arm)}**", f"**{title}**", *cells, mark]

    def _mean(
        self, values: Sequence[float], form: Callable[[float], str], rows: Sequence[_Row], before: str = ""
    ) -> str:
        """Mean ± standard deviation, with its own n where not every finished seed has a number."""
        if not values:
            return "–" if rows else self.words("missing")
        summary = summarise(values)
        text = f"{before}{form(summary.mean)}" + (f" ± {form(summary.std)}" if summary.std is not None else "")
        return f"**{text}**" + ("" if summary.n == len(rows) else f" (n = {summary.n})")

    def _mean_area(self, curves: Sequence[Convergence], rows: Sequence[_Row]) -> str:
        """Areas over different epochs have no mean."""
        areas = [curve.area for curve in curves if isinstance(curve.area, Area)]
        if len({(area.first, area.last) for area in areas}) > 1:
            return self.words("no number", self.words("areas differ"))
        return self._mean([area.value for area in areas], percent, rows)

    def _rising(self, curves: Sequence[Convergence]) -> str:
        trends = [curve.trend for curve in curves if isinstance(curve.trend, Trend)]
        if not trends:
            return "–" if curves else self.words("missing")
        return self.words("rising in", sum(trend.rising for trend in trends), len(trends))

    def _mean_memory(self, rows: Sequence[_Row]) -> str:
        """GPU and host memory are different things: each has its own mean."""
        kinds: Mapping[str, list[float]] = {kind: [] for kind in MEMORY.values()}
        for row in rows:
            if row.memory:
                kinds[row.memory[0]].append(row.memory[1])
        told = [self.words(kind, self._mean(values, size, rows)) for kind, values in kinds.items() if values]
        return "; ".join(told) or self.words("missing")


def _row(run: RunFacts, metric: str) -> _Row:
    seconds = run.timed[0].value / run.timed[1] if run.timed else None
    memory = next(((word, run.cost[name].value) for name, word in MEMORY.items() if name in run.cost), None)
    return _Row(of_run(run, metric), seconds, memory)


def _sources(run: RunFacts) -> list[Source]:
    """Where a run's evaluations, the lengths of its epochs and its peak of memory stand."""
    attempts = dict.fromkeys(int(line.get("attempt") or 1) for line in run.evaluations)
    found = [Source(run.name, n, None, f"runs/{run.name}/attempts/{n}/evaluations.jsonl") for n in attempts]
    if run.timed:
        found += [Source(run.name, n, None, f"runs/{run.name}/attempts/{n}/metrics.jsonl")
                  for n in sorted(set(run.trained.values()))]  # fmt: skip
    return found + [run.cost[name].source for name in MEMORY if name in run.cost][:1]
