"""The tables of imported runs: what was read, the framework's own numbers side by side, losses and statistics.

Every number is the framework's own, as its log states it, and is labelled so. What a log does not say is not known.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from detui.engine.analysis import summarise
from detui.engine.analysis.seeds import Comparison, compare
from detui.engine.evaluate.tables import ERRORS
from detui.engine.record.by_iteration import Form, at_step, sources, spread
from detui.engine.record.claims_at import last_told
from detui.engine.record.facts import Measured, RunFacts
from detui.engine.record.results import Results, label
from detui.engine.record.text import Table, code, percent, plain, points, size
from detui.engine.record.words import WORDS
from detui.engine.run.directory import RunDir
from detui.engine.run.history import History, load_history

_AUXILIARY = re.compile(r"train/loss_(d\d+\.|enc_)")
_ROWS = 10
"""Iterations that a table shows at most: the first, the last, and some between."""
_DIGITS = 2


class ImportedTables:
    """Tables of an experiment that was imported; of any other they are not asked for."""

    def __init__(self, results: Results) -> None:
        self.results, self.facts, self.words = results, results.facts, results.words
        self._read: dict[str, History] = {}

    def _origin(self, run: RunFacts) -> Mapping[str, Any]:
        return RunDir(self.facts.path / "runs" / run.name).imported() or {}

    def _history(self, run: RunFacts) -> History:
        if run.name not in self._read:
            self._read[run.name] = load_history(RunDir(self.facts.path / "runs" / run.name))
        return self._read[run.name]

    def _runs(self) -> list[RunFacts]:
        return [run for arm in self.facts.arms for run in self.facts.of(arm)]

    def sources(self) -> Table:
        """Of each run the files that it was read from, and how far the log says that it got."""
        words = self.words
        head = [words("run"), words("import form"), words("import file"), words("import sum"), words("import seed"),
                words("import clock"), words("import ending"), words("import weights")]  # fmt: skip
        rows = []
        for run in self._runs():
            origin = self._origin(run)
            files, clock = origin.get("files") or (), origin.get("clock") or {}
            seed = words("unknown") if origin.get("seed") is None else str(origin["seed"])
            times = f"{clock['first']} … {clock['last']}" if clock else words("unknown")
            weights = ", ".join(code(Path(str(one["path"])).name) for one in origin.get("weights") or ())
            form = plain(words.known(str(origin.get("form") or "")))
            rows.append(
                [code(run.name), form, ", ".join(code(one["path"]) for one in files),
                 ", ".join(code(str(one["sha256"])[:12]) for one in files), seed, plain(times),
                 plain(self._ending(origin)), weights or words("none")]
            )  # fmt: skip
        return Table(head, rows)

    def _ending(self, origin: Mapping[str, Any]) -> str:
        told = origin.get("ending") or {}
        key = str(told.get("key"))
        return self.words(key, *told.get("values") or ()) if key in WORDS else str(told.get("text") or "")

    @property
    def frameworks(self) -> str:
        """Whose numbers these are."""
        return plain(self.facts.info.get("backend") or "")

    def own(self) -> Table:
        """What each run's program validated itself, at the last epoch that it told; of other backends nothing."""
        runs, names = self._told_of_itself()
        head = [self.words("run"), self.words("epoch"), *map(label, names)]
        rows = []
        for run in runs:
            last = max((of[0][-1] for of in run.framework.values()), default=None)
            cells = [dict(zip(*run.framework.get(name, ((), ())), strict=True)).get(last or 0) for name in names]
            rows.append([code(run.name), str(last or "–"), *map(_cell, cells)])
        return Table(head, rows if names else [], frozenset(range(1, len(head))))

    def _told_of_itself(self) -> tuple[list[RunFacts], list[str]]:
        """The runs of a program that is watched, and the names of what it validated."""
        runs = self._runs() if self.facts.info.get("backend") == "command" else []
        names = dict.fromkeys(name for run in runs for name in run.framework)
        return runs, [name for name in names if name.count("/") == 1]  # by class there would be no end

    def own_means(self) -> Table:
        """The same as means of each arm's finished seeds, and each arm minus the first with Welch's interval."""
        words, (reference, *_) = self.words, self.facts.arms
        _, names = self._told_of_itself()
        head = [words("metric"), words("arm"), words("import mean of"), words("n"), words("delta"), words("interval"),
                words("verdict"), words("source")]  # fmt: skip
        rows = []
        for name in names:
            base = self._last_told(reference, name)
            for arm in self.facts.arms:
                points = self._last_told(arm, name)
                if not points:
                    continue
                values = {seed: one.value for seed, one in points.items()}
                found = None
                if arm != reference and base:
                    unfinished = self.facts.unfinished(reference, arm)
                    found = compare({seed: one.value for seed, one in base.items()}, values, unfinished)
                mark = self.results.ledger.cite_all([one.source for one in points.values()], words("said own"))
                rows.append([label(name), code(arm), _mean(values), str(len(values)), *self._against(found), mark])
        return Table(head, rows if len(rows) > len(names) else [], frozenset({2, 3, 4}))

    def _last_told(self, arm: str, name: str) -> dict[int, Measured]:
        found = {run.seed: last_told(run, name) for run in self.facts.finished(arm)}
        return {seed: one for seed, one in found.items() if one is not None}

    def _against(self, found: Comparison | None) -> list[str]:
        """Difference, interval and verdict; of the reference itself nothing."""
        if found is None:
            return ["–", "–", "–"]
        interval = f"[{found.interval[0]:+.4f}, {found.interval[1]:+.4f}]" if found.interval else "–"
        return [f"{found.delta:+.4f}", interval, self.results.verdict(found)]

    def headline(self) -> list[str]:
        """The differences in the main metrics, in a line for each further arm on the same framework."""
        lines, reference = [], self.facts.arms[0]
        for arm in self.facts.arms[1:]:
            told = []
            for metric in self._main():
                values, base = self.facts.values(arm, metric), self.facts.values(reference, metric)
                if values and base:
                    delta = fmean(values.values()) - fmean(base.values())
                    told.append(f"{plain(metric.split('/', 1)[1])} {points(delta, _DIGITS)}")
            seeds = [len(self.facts.finished(one)) for one in (arm, reference)]
            if told:
                key = "import headline" if seeds == [1, 1] else "import headline seeds"
                said = [code(arm), code(reference), self.frameworks, ", ".join(told)]
                lines.append(self.words(key, *said, *([] if seeds == [1, 1] else seeds)))
        return lines

    def _chosen(self) -> list[Mapping[str, Any]]:
        return [run.chosen for run in self._runs() if run.chosen]

    def _main(self) -> list[str]:
        return list(dict.fromkeys(str(name) for line in self._chosen() for name in line.get("headline") or ()))

    def main(self) -> Table:
        """The main metrics in percent, arm by arm, and each arm minus the first in percent points."""
        return self._side_by_side(self._main(), lambda value: percent(value, _DIGITS), lambda d: points(d, _DIGITS))

    def errors(self) -> Table:
        """nuScenes' mean errors; empty where there are none."""
        names = [f"mmdet3d/{name}" for name in ERRORS]
        told = {name for line in self._chosen() for name in line["values"]}
        return self._side_by_side([n for n in names if n in told], lambda v: f"{v:.4f}", lambda v: f"{v:+.4f}")

    def classes(self) -> Table:
        """AP by class in percent; empty where the log has none."""
        names = dict.fromkeys(name for line in self._chosen() for name in line["values"] if "/mAP/" in name)
        return self._side_by_side(list(names), lambda value: percent(value, 1), lambda d: points(d, 1))

    def _side_by_side(self, metrics: Sequence[str], form: Form, signed: Form) -> Table:
        words, (reference, *others) = self.words, self.facts.arms
        head = [words("metric"), *map(code, self.facts.arms),
                *(words("import minus", code(arm), code(reference)) for arm in others), words("source")]  # fmt: skip
        rows = []
        for metric in metrics:
            sides = [self.facts.values(arm, metric) for arm in self.facts.arms]
            means = [summarise(list(side.values())).mean if side else None for side in sides]
            cells = [self._mean(mean, len(side), form) for mean, side in zip(means, sides, strict=True)]
            base = means[0]
            deltas = [words("missing") if base is None or mean is None else signed(mean - base) for mean in means[1:]]
            used = [one.source for arm in self.facts.arms for one in self.facts.points(arm, metric).values()]
            mark = self.results.ledger.cite_all(used, words("said imported"))
            rows.append([label(metric), *cells, *deltas, mark])
        return Table(head, rows, frozenset(range(1, len(head) - 1)))

    def _mean(self, mean: float | None, n: int, form: Form) -> str:
        if mean is None:
            return self.words("unknown")
        return form(mean) if n == 1 else self.words("import mean", form(mean), n)

    def losses(self) -> Table:
        """The whole training loss at iterations that every run of the table logged, or its own."""
        series = {run.name: dict(zip(*self._history(run).series("train/loss"), strict=True)) for run in self._runs()}
        steps = spread(sorted({step for of in series.values() for step in of}), _ROWS)
        head = [self.words("iteration"), *(code(name) for name in series)]
        rows = [[str(step), *(_cell(of.get(step)) for of in series.values())] for step in steps]
        self._cite(name for name, of in series.items() if of)
        return Table(head, rows if any(series.values()) else [], frozenset(range(len(head))))

    def terms(self) -> Table:
        """The terms of the loss at the last logged iteration, without those of auxiliary layers."""
        found: dict[str, dict[str, float]] = {}
        for run in self._runs():
            steps = self._history(run).steps
            values = steps[-1]["values"] if len(steps) else {}
            found[run.name] = {n: v for n, v in values.items() if n.startswith("train/") and not _AUXILIARY.match(n)}
        names = list(dict.fromkeys(name for of in found.values() for name in of))
        head = [self.words("metric"), *map(code, found)]
        rows = [[plain(name), *(_cell(of.get(name)) for of in found.values())] for name in names]
        return Table(head, rows, frozenset(range(1, len(head))))

    def pace(self) -> Table:
        """Time of an iteration and peak memory, as the framework logged them."""
        words, rows = self.words, []
        for run in self._runs():
            steps = self._history(run)
            times, memory = steps.series("time/step")[1], steps.series("memory/peak")[1]
            if times or memory:
                cells = [f"{median(times):.3f}" if times else words("unknown"),
                         size(max(memory)) if memory else words("unknown")]  # fmt: skip
                rows.append([code(run.name), *cells])
        return Table([words("run"), words("import pace"), words("import peak")], rows, frozenset({1, 2}))

    def statistics(self, but: Collection[str] = ()) -> list[tuple[str, Table]]:
        """Run → its named numbers by iteration; of several ranks the mean, with its lowest and highest.

        `but`: names that other tables of the record have already.
        """
        found = []
        for run in self._runs():
            names = [name for name in run.statistics if "/rank_" not in name and name not in but]
            steps = spread(sorted({step for name in names for step in run.statistics[name].steps}), _ROWS)
            rows = [[label(name, self.words.language), *(self._statistic(run, name, step) for step in steps)]
                    for name in names]  # fmt: skip
            if rows:
                self._cite([run.name])
                head = [self.words("statistic"), *map(str, steps)]
                found.append((code(run.name), Table(head, rows, frozenset(range(1, len(head))))))
        return found

    def _statistic(self, run: RunFacts, name: str, step: int) -> str:
        value, low, high = (at_step(run, f"{name}{end}", step) for end in ("", "/rank_min", "/rank_max"))
        if value is None:
            return self.words("unknown")
        return f"{value:.4g}" if low is None or high is None else f"{value:.4g} [{low:.4g}, {high:.4g}]"

    def _cite(self, runs: Iterable[str]) -> None:
        named = set(runs)
        told = sources(self.facts, (run for run in self._runs() if run.name in named))
        self.results.ledger.cite_all(told, self.words("said logged"))


def _mean(values: Mapping[int, float]) -> str:
    summary = summarise(list(values.values()))
    return f"{summary.mean:.4f}" + (f" ± {summary.std:.4f}" if summary.std is not None else "")


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
