"""The training loss by iteration, whole and by the terms of the last decoder layer, as means over the steps before."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import TypeVar

from detui.engine.record.by_iteration import Group, groups, mean_of, shown, sources
from detui.engine.record.facts import ExperimentFacts, RunFacts
from detui.engine.record.results import Results, label
from detui.engine.record.text import Table
from detui.engine.run.directory import RunDir
from detui.engine.run.history import History, load_history

WINDOW = 50
"""A loss at an iteration is a mean over the steps up to it, as many at most: what mmcv's logs do."""
TERMS = ("train/loss_cls", "train/loss_bbox", "train/loss_dn_cls", "train/loss_dn_bbox")
"""Of the last decoder layer: of the queries, and of the noised ones (dn)."""
TOTAL = "train/loss"

Key = TypeVar("Key", int, str)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the tables need of the steps of one run."""

    totals: Mapping[int, float]
    """Iteration → the whole loss, for those of the table that the run got to."""
    terms: Mapping[str, float]
    """Of `TERMS` those that the run has, at its end."""


class Readings:
    """The losses of an experiment's runs. The steps of each are read once, when first asked for, and not kept."""

    def __init__(self, facts: ExperimentFacts) -> None:
        self.facts = facts
        self._read: dict[str, Reading] = {}

    @cached_property
    def steps(self) -> list[int]:
        """The iterations of the table: of the run that got furthest, a finished one where there is one."""
        runs = [run for run in self.facts.runs if run.begin]
        furthest = max(runs, key=lambda run: (run.finished, run.epoch), default=None)
        if furthest is None:
            return []
        history = self._history(furthest)
        names = _whole(history)
        found = shown(history.series(names[0])[0]) if names else []
        self._read[furthest.name] = _reading(history, found)
        return found

    def of(self, run: RunFacts) -> Reading:
        """The losses of one run."""
        steps = self.steps
        if run.name not in self._read:
            self._read[run.name] = _reading(self._history(run), steps)
        return self._read[run.name]

    def _history(self, run: RunFacts) -> History:
        return load_history(RunDir(self.facts.path / "runs" / run.name))


def _whole(history: History) -> list[str]:
    """The losses whose sum is the whole one: the framework's own where it has one, or all terms."""
    names = history.names()
    return [TOTAL] if TOTAL in names else [name for name in names if name.startswith(f"{TOTAL}_")]


def _reading(history: History, steps: Sequence[int]) -> Reading:
    series = [history.series(name) for name in _whole(history)]
    totals = {}
    for before, step in zip((0, *steps), steps, strict=False):
        terms = [_mean_upto(*one, before, step) for one in series]
        known = [term for term in terms if term is not None]
        if known and len(known) == len(terms):
            totals[step] = sum(known)
    last = {name: _mean_upto(*history.series(name), 0, history.steps.last_step) for name in TERMS}
    return Reading(totals, {name: value for name, value in last.items() if value is not None})


def _mean_upto(steps: Sequence[int], values: Sequence[float], before: int, step: int) -> float | None:
    """The mean of the values after `before` and after `step - WINDOW`, up to `step`; None where that has none."""
    first, end = bisect_right(steps, max(before, step - WINDOW)), bisect_right(steps, step)
    return fmean(values[first:end]) if first < end and steps[end - 1] == step else None


class LossesByIteration:
    """The tables of losses, in one language."""

    def __init__(self, results: Results, readings: Readings) -> None:
        self.results, self.facts, self.words = results, results.facts, results.words
        self.readings = readings

    @property
    def claimed(self) -> bool:
        """Whether the recipe quotes a loss at an iteration: what stands beside that is of the one step."""
        claims = self.facts.info.get("claims") or ()
        return any(claim.get("iteration") and str(claim["metric"]).startswith(TOTAL) for claim in claims)

    def table(self) -> Table:
        """The whole training loss, a row for the runs of an arm and a column an iteration."""
        steps = self.readings.steps
        head = [self.words("run"), *map(str, steps), self.words("source")]
        rows = []
        for group in groups(self.facts, self.words, lambda run: bool(self.readings.of(run).totals)):
            each = [self.readings.of(run).totals for run in group.runs]
            rows.append([group.title, *(_mean(each, step) for step in steps), self._cite(group)])
        return Table(head, rows, frozenset(range(1, len(head) - 1)))

    def terms(self) -> Table:
        """The four terms of the last decoder layer at the end of each training; empty where no training has them."""
        having = list(groups(self.facts, self.words, lambda run: bool(self.readings.of(run).terms)))
        kept = [name for name in TERMS
                if any(name in self.readings.of(run).terms for group in having for run in group.runs)]  # fmt: skip
        head = [self.words("run"), *map(label, kept), self.words("source")]
        rows = []
        for group in having:
            each = [self.readings.of(run).terms for run in group.runs]
            rows.append([group.title, *(_mean(each, name) for name in kept), self._cite(group)])
        return Table(head, rows, frozenset(range(1, len(head) - 1)))

    def _cite(self, group: Group) -> str:
        return self.results.ledger.cite_all(sources(self.facts, group.runs), self.words("said logged"))


def _mean(each: Sequence[Mapping[Key, float]], key: Key) -> str:
    values = [of[key] for of in each if key in of]
    return mean_of(values, lambda value: f"{value:.4f}", len(each))
