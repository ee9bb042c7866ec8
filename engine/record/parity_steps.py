"""Two frameworks step by step: who is set against whom, losses and times of each step, and how far losses part.

The reference is the first arm. The noise floor is the arm that computes with the reference's framework and whose first
weights were moved in the last digit (`train.jitter`): as far as it drifts from the reference, nothing has a reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import fmean, median
from typing import Any

from detui.engine.record.facts import TOTAL_LOSS, ExperimentFacts, RunFacts
from detui.engine.run.directory import RunDir
from detui.engine.run.history import load_history

SECONDS = ("seconds/data", "seconds/forward", "seconds/update")
"""What a step's time is made of: waiting for the batch; outputs, assignment and losses; gradients and optimiser."""
BORDERS = (1, 10, 100, 1000, 10_000)
"""Last steps of the windows over which the drift of losses is summed up; a further one holds what comes after."""
SETTLED = 0.1
"""The share of a run's steps, the first ones, one at least, whose times are left out of medians: kernels are compiled
and memory is taken."""
LONG = 2.0
"""So many times the median takes one of these first steps that counts as one in which kernels were compiled."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What a run said of its steps."""

    losses: Mapping[int, float]
    """Step → the whole loss."""
    times: Mapping[str, Mapping[int, float]]
    """By the names in SECONDS: step → seconds."""

    def split(self) -> dict[str, float]:
        """Medians over the steps that are not among the first ones, in seconds; {} where no such step says any."""
        found = {}
        for name, of in self.times.items():
            settled = sorted(of)[first_ones(len(of)) :]
            if settled:
                found[name] = median(of[step] for step in settled)
        return found

    def step_seconds(self) -> float | None:
        """The median of a whole step, counted as `split` does; None with fewer than two steps."""
        settled = self._whole()[first_ones(len(self._whole())) :]
        return median(settled) if settled else None

    def compiling_seconds(self) -> float | None:
        """What long steps among the first ones took beyond a median step, in seconds: above all compiling of kernels.

        None with fewer than two steps.
        """
        usual = self.step_seconds()
        if usual is None:
            return None
        first = self._whole()[: first_ones(len(self._whole()))]
        return sum(seconds - usual for seconds in first if seconds > LONG * usual)

    def _whole(self) -> list[float]:
        """The seconds of each step of which all parts are told, in order."""
        steps = [set(of) for of in self.times.values()]
        timed = sorted(set.intersection(*steps)) if len(steps) == len(SECONDS) else []
        return [sum(of[step] for of in self.times.values()) for step in timed]


def first_ones(steps: int) -> int:
    """How many of so many steps are the first ones, whose times are left out."""
    return max(1, int(SETTLED * steps))


def steps_of(facts: ExperimentFacts, run: RunFacts) -> Steps:
    """The steps of a run; read again only when it has got further."""
    return _read(facts.path / "runs" / run.name, run.state, run.iterations, len(run.attempts))


@lru_cache(maxsize=64)
def _read(path: Path, state: str, iterations: int, attempts: int) -> Steps:
    """`state`, `iterations`, `attempts`: when any of them changes, so may the steps."""
    history = load_history(RunDir(path))
    names = set(history.names())
    times = {name: dict(zip(*history.series(name), strict=True)) for name in SECONDS if name in names}
    losses = dict(zip(*history.series(TOTAL_LOSS), strict=True)) if TOTAL_LOSS in names else {}
    return Steps(losses, times)


def config_of(facts: ExperimentFacts, arm: str) -> Mapping[str, Any]:
    """The sections of an arm, as the recipe resolved them."""
    found: Mapping[str, Any] = next((one.get("config") or {} for one in facts.info["arms"] if one["name"] == arm), {})
    return found


def framework_of(facts: ExperimentFacts, arm: str) -> str:
    """ "torch" or "jittor"; "" where the recipe says neither."""
    return str((config_of(facts, arm).get("model") or {}).get("framework") or "")


def jitter_of(facts: ExperimentFacts, arm: str) -> float:
    """How far the first weights are moved; 0 for an arm that begins at those of the seed."""
    return float((config_of(facts, arm).get("train") or {}).get("jitter") or 0.0)


def floor_of(facts: ExperimentFacts) -> str | None:
    """The arm of the noise floor; None where the experiment has none."""
    first = facts.arms[0]
    same = (arm for arm in facts.arms[1:] if framework_of(facts, arm) == framework_of(facts, first))
    return next((arm for arm in same if jitter_of(facts, arm)), None)


def judged_arms(facts: ExperimentFacts) -> list[str]:
    """The arms about which there is a verdict: all but the reference and the noise floor."""
    floor = floor_of(facts)
    return [arm for arm in facts.arms[1:] if arm != floor]


def pairs(facts: ExperimentFacts, arm: str) -> Iterator[tuple[RunFacts, RunFacts]]:
    """The reference's run and the arm's, seed by seed, as far as both got."""
    first = {run.seed: run for run in facts.of(facts.arms[0])}
    yield from ((first[run.seed], run) for run in facts.of(arm) if run.seed in first)


def drift(reference: Steps, arm: Steps) -> dict[int, float]:
    """Step → (loss of the arm − loss of the reference) / loss of the reference, for the steps that both have."""
    known = reference.losses
    return {step: (loss - known[step]) / known[step] for step, loss in arm.losses.items() if known.get(step)}


def drifts(facts: ExperimentFacts, arm: str) -> dict[int, dict[int, float]]:
    """Seed → the drift of the arm's run from the reference's."""
    found = {one.seed: drift(steps_of(facts, first), steps_of(facts, one)) for first, one in pairs(facts, arm)}
    return {seed: of for seed, of in found.items() if of}


def window_of(step: int) -> tuple[int, int | None]:
    """The first and the last step of the window that a step lies in; None: to the end."""
    before = 0
    for border in BORDERS:
        if step <= border:
            return before + 1, border
        before = border
    return before + 1, None


@dataclass(frozen=True, slots=True)
class Drifted:
    """How far an arm's losses part from the reference's within a window of steps."""

    typical: float
    """The median of the size of the relative difference over steps and seeds."""
    largest: float
    """Its largest."""
    signed: float
    """The mean with its sign: far from 0 where one side is higher all along."""
    seeds: int
    """How many seeds have steps in the window."""


def windows(facts: ExperimentFacts, arm: str) -> dict[tuple[int, int | None], Drifted]:
    """Window → how far an arm parts within it; of unfinished runs what they got to."""
    values: dict[tuple[int, int | None], dict[int, list[float]]] = {}
    for seed, of in drifts(facts, arm).items():
        for step in sorted(of):
            values.setdefault(window_of(step), {}).setdefault(seed, []).append(of[step])
    found = {}
    for window, by_seed in sorted(values.items(), key=lambda item: item[0][0]):
        every = [value for one in by_seed.values() for value in one]
        sizes = [abs(value) for value in every]
        found[window] = Drifted(median(sizes), max(sizes), fmean(every), len(by_seed))
    return found
