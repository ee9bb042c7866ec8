"""Numbers by iteration (optimizer step): which iterations a table shows, and whose numbers a row of it holds."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from detui.engine.record.facts import ExperimentFacts, RunFacts, Source
from detui.engine.record.text import code
from detui.engine.record.words import Words
from detui.engine.run.directory import RunDir

CUSTOMARY = (50, 1000, 2000, 3000, 4000)
"""Iterations that reports on an epoch of nuScenes name; shown where a training has them."""
ENOUGH = 3
"""With fewer of the customary ones, iterations are spread evenly."""
ROWS = 5
"""Iterations that are shown at most where they are spread evenly."""
FURTHER = 3
"""Iterations beyond the customary ones, where a training is at least twice as long."""
NEAR = 1.1
"""A training that ends before so many times the last customary iteration is shown up to that one."""

Form = Callable[[float], str]


def spread(steps: Sequence[int], most: int) -> list[int]:
    """All of a few; of many the first, the last and some between."""
    if len(steps) <= most:
        return list(steps)
    return [steps[round(at * (len(steps) - 1) / (most - 1))] for at in range(most)]


def shown(steps: Iterable[int]) -> list[int]:
    """The iterations of a table: the customary ones and what lies far beyond, or some spread evenly over all."""
    ordered = sorted(set(steps))
    known = [step for step in CUSTOMARY if step in set(ordered)]
    if len(known) < ENOUGH:
        return spread(ordered, ROWS)
    beyond = [step for step in ordered if step > known[-1]]
    if not beyond or beyond[-1] < NEAR * known[-1]:
        return known
    return [*known, *(spread(beyond, FURTHER) if beyond[-1] >= 2 * known[-1] else beyond[-1:])]


@dataclass(frozen=True, slots=True)
class Group:
    """Whose numbers stand in a row: the finished runs of an arm together, or one run that did not get to its end."""

    arm: str
    title: str
    """In Markdown: the name of a single run; of several the arm, and how many."""
    runs: tuple[RunFacts, ...]
    """At least one."""

    @property
    def finished(self) -> bool:
        """Whether these are an arm's finished runs."""
        return self.runs[0].finished


def groups(facts: ExperimentFacts, words: Words, has: Callable[[RunFacts], bool]) -> Iterator[Group]:
    """The groups of an experiment, arm by arm, of the runs that have what a table is about."""
    for arm in facts.arms:
        done = tuple(run for run in facts.finished(arm) if has(run))
        if done:
            one = code(done[0].name) if len(done) == 1 else words("by iteration seeds", code(arm), len(done))
            yield Group(arm, one, done)
        for run in facts.of(arm):
            if not run.finished and has(run):
                mark = words("unfinished at", run.epoch, run.total_epochs or "?")
                yield Group(arm, f"{code(run.name)} ({mark})", (run,))


def mean_of(values: Sequence[float], form: Form, expected: int) -> str:
    """ "0.82 ± 0.01" of seeds, a single number as it is; how many where not all of the `expected` have one."""
    if not values:
        return "–"
    text = form(fmean(values)) + (f" ± {form(stdev(values))}" if len(values) > 1 else "")
    return text if len(values) == expected else f"{text} (n = {len(values)})"


def at_step(run: RunFacts, name: str, step: int) -> float | None:
    """What a run reported by this name at this iteration; None where it did not."""
    of = run.statistics.get(name)
    if of is None:
        return None
    place = bisect_left(of.steps, step)
    return of.values[place] if place < len(of.steps) and of.steps[place] == step else None


def sources(facts: ExperimentFacts, runs: Iterable[RunFacts]) -> list[Source]:
    """The files of these runs' steps and statistics, one an attempt."""
    return [
        Source(run.name, one.number, None, f"runs/{run.name}/attempts/{one.number}/metrics.jsonl")
        for run in runs
        for one in RunDir(facts.path / "runs" / run.name).attempts()
    ]
