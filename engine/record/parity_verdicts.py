"""Verdicts on two frameworks, each by a rule that the record states.

Equality. The same model was trained where names and shapes of all tensors, the parameter counts, the first weights and
the first batches have the same checksums as the reference's for every seed that both have told. An arm whose first
weights were moved (`train.jitter`) is held to those before they were.

Accuracy, by the checkpoint rule's metric, over seeds. Nothing is said with runs unfinished, or fewer than three seeds a
side, or where all runs of both have 0. Otherwise the arm differs by its difference of means where Welch's 95 % interval
does not hold 0. Where it does, and the difference is larger than the spread of the noise (the highest minus the lowest
value of all runs of the reference and of the noise floor), nothing can be said. Where it is no larger, the arm is
indistinguishable from noise if the interval is narrow enough to mean something: half of its width is at most 2 points,
and at most a fifth of the reference's mean. Otherwise nothing can be said but which difference would be seen.

Losses. The first step is equal where the relative difference is at most 1e-4 for every seed. Later steps are within
the noise where in each window of steps the median of the size of the relative difference is at most twice the noise
floor's, or at most 1e-4. The worst window is named.

Cost. A ratio to the reference; between 0.95 and 1.05 it counts as the same. Not said between different devices. Time
of compiling is what long steps among a run's first ones take beyond its median step (`parity_steps`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from detui.engine.analysis import compare
from detui.engine.analysis.seeds import FEWEST_SEEDS
from detui.engine.record.facts import ExperimentFacts, RunFacts
from detui.engine.record.parity_steps import (
    drifts,
    floor_of,
    jitter_of,
    pairs,
    steps_of,
    windows,
)

FIRST_STEP = 1e-4
"""Up to this relative difference two first losses are equal."""
TIMES_FLOOR = 2.0
"""So many times as far as the noise floor may an arm drift, and be within the noise."""
SAME_COST = 0.05
"""Costs nearer than this part of the reference's count as the same."""
NARROW, NARROW_OF_MEAN = 0.02, 0.2
"""Half of an interval that is to mean something is at most so wide, and at most this share of the reference's mean."""


@dataclass(frozen=True, slots=True)
class Said:
    """A verdict: a word of `words_parity`, and what stands in it."""

    key: str
    values: tuple[Any, ...] = ()


def told(run: RunFacts) -> dict[str, Any]:
    """What a run said of how it began: the first attempt that said anything. A resumed one has no first weights."""
    begins = [dict(one.begin) for one in run.attempts if one.begin]
    return next((begin for begin in begins if begin.get("first_weights")), begins[0] if begins else {})


def weights_of(facts: ExperimentFacts, run: RunFacts) -> str | None:
    """The checksum of a run's first weights; of an arm that moves them, before they were."""
    return (told(run).get("first_weights") or {}).get("unmoved" if jitter_of(facts, run.arm) else "held")


EQUAL: Mapping[str, Callable[[ExperimentFacts, RunFacts], Any]] = {
    "tensor shapes": lambda facts, run: told(run).get("tensors"),
    "counts": lambda facts, run: tuple((told(run).get("model") or {}).get(name) for name in ("parameters", "trained")),
    "first weights": weights_of,
    "first batches": lambda facts, run: tuple(told(run).get("batches") or ()) or None,
}
"""What must be equal for two arms to have trained the same model on the same bits."""


def equality(facts: ExperimentFacts, arm: str) -> Said:
    """The first verdict of above, about an arm."""
    both = [(one, two) for one, two in pairs(facts, arm) if told(one) and told(two)]
    if not both:
        return Said("cannot be told begun")
    different, unknown = [], []
    for name, read in EQUAL.items():
        sides = [(read(facts, one), read(facts, two)) for one, two in both]
        if any(None in side or side[0] == (None, None) for side in sides):
            unknown.append(name)
        elif any(one != two for one, two in sides):
            different.append(name)
    if different:
        return Said("model differs", (different,))
    return Said("cannot be told of", (unknown,)) if unknown else Said("model equal", (len(both),))


def noise(facts: ExperimentFacts, metric: str) -> float | None:
    """The spread of the noise in a metric: highest minus lowest over reference and noise floor, each seed alike.

    None without a finished run of each.
    """
    floor = floor_of(facts)
    sides = [list(facts.values(arm, metric).values()) for arm in (facts.arms[0], floor) if arm]
    values = [value for side in sides for value in side]
    return max(values) - min(values) if len(sides) == 2 and all(sides) else None


def accuracy(facts: ExperimentFacts, arm: str, metric: str) -> Said:
    """The second verdict. Its values: difference and interval as shares of 1, and the noise.

    Of an interval that is too wide in place of the noise: the difference that would be seen, and the width asked for.
    """
    reference, floor = facts.arms[0], floor_of(facts)
    unfinished = facts.unfinished(reference, arm, *([floor] if floor else []))
    a, b = facts.values(reference, metric), facts.values(arm, metric)
    if unfinished or not a or not b:
        return Said("cannot be told unfinished")
    if min(len(a), len(b)) < FEWEST_SEEDS:
        return Said("cannot be told seeds", (len(a), len(b)))
    found, spread = compare(a, b), noise(facts, metric)
    if found.interval is None:
        return Said("cannot be told seeds", (len(a), len(b)))
    if not any((*a.values(), *b.values())):
        return Said("cannot be told nothing")
    low, high = found.interval
    if not low <= 0 <= high:
        return Said("accuracy differs", (found.delta, low, high, spread))
    if spread is None:
        return Said("cannot be told floor")
    if abs(found.delta) > spread:
        return Said("accuracy undecided", (found.delta, low, high, spread))
    half, allowed = (high - low) / 2, min(NARROW, NARROW_OF_MEAN * fmean(a.values()))
    if half > allowed:
        return Said("cannot be told width", (max(half, found.detectable or half), low, high, half, allowed))
    return Said("accuracy noise", (found.delta, low, high, spread))


def first_steps(facts: ExperimentFacts, arm: str) -> dict[int, float]:
    """Seed → the relative difference of the losses of the first step."""
    return {seed: of[1] for seed, of in drifts(facts, arm).items() if 1 in of}


def first_loss(facts: ExperimentFacts, arm: str) -> Said:
    """The third verdict's first half; its value is the largest relative difference."""
    found = first_steps(facts, arm)
    if not found:
        return Said("cannot be told steps")
    worst = max(abs(value) for value in found.values())
    return Said("first step equal" if worst <= FIRST_STEP else "first step differs", (worst, len(found)))


def later_losses(facts: ExperimentFacts, arm: str) -> Said:
    """The third verdict's second half; its values are the worst window, its ratio to the floor, and the seeds."""
    floor = floor_of(facts)
    ours = {window: one for window, one in windows(facts, arm).items() if window[0] > 1}
    theirs = windows(facts, floor) if floor else {}
    both = [window for window in ours if window in theirs]
    if not ours:
        return Said("cannot be told steps")
    if not both:
        return Said("cannot be told floor")
    ratios = {window: _beyond(ours[window].typical, theirs[window].typical) for window in both}
    worst = max(both, key=lambda window: ratios[window])
    key = "losses within" if ratios[worst] <= TIMES_FLOOR else "losses beyond"
    typical = ours[worst].typical, theirs[worst].typical
    factor = typical[0] / typical[1] if typical[1] else ratios[worst]  # as it is, though it may count as rounding
    return Said(key, (worst, factor, *typical, ours[worst].seeds))


def _beyond(ours: float, floor: float) -> float:
    """How many times the floor a drift is; below 1e-4 it is rounding, and at most what is allowed."""
    ratio = ours / floor if floor else float("inf") if ours else 1.0
    return min(ratio, TIMES_FLOOR) if ours <= FIRST_STEP else ratio


COSTS = ("training", "compiling", "training bare", "step", "inference", "memory")
"""What is told of the cost: training time, what of it is compiling, the rest, the median step, a pass of the chosen
checkpoint, host memory."""
COMPARED = tuple(name for name in COSTS if name != "compiling")
"""What there is a verdict on. Where one side compiles nothing, a ratio of the time of compiling says nothing."""
_FACTS = {"training": "cost/training_seconds", "inference": "model/latency", "memory": "cost/host_memory"}


def cost_of(facts: ExperimentFacts, run: RunFacts, what: str) -> float | None:
    """One of COSTS of a finished run, in seconds or bytes; None where it is not known."""
    if not run.finished:
        return None
    if what == "step":
        return steps_of(facts, run).step_seconds()
    if what == "compiling":
        return steps_of(facts, run).compiling_seconds()
    found = run.cost.get(_FACTS[what.removesuffix(" bare")])
    if found is None or not what.endswith(" bare"):
        return found.value if found else None
    compiling = steps_of(facts, run).compiling_seconds()
    return None if compiling is None else found.value - compiling


def ratio(facts: ExperimentFacts, arm: str, what: str) -> tuple[float, int] | None:
    """The arm's mean of a cost by the reference's, and over how many runs of the arm; None where a side has none."""
    sides = [[cost for run in facts.of(one) if (cost := cost_of(facts, run, what)) is not None]
             for one in (facts.arms[0], arm)]  # fmt: skip
    return (fmean(sides[1]) / fmean(sides[0]), len(sides[1])) if all(sides) and fmean(sides[0]) else None


def _without_speed(facts: ExperimentFacts, arm: str) -> list[str]:
    """The runs whose speed can be measured and is to be, "experiment/run", one of each side that has none yet."""
    sides = [[run for run in facts.finished(one) if run.chosen] for one in (facts.arms[0], arm)]
    lacking = [runs[0].name for runs in sides if runs and not any(cost_of(facts, run, "inference") for run in runs)]
    return [f"{facts.info['id']}/{name}" for name in lacking]


def cost(facts: ExperimentFacts, arm: str, what: str) -> Said:
    """The fourth verdict; its values are the factor (above 1) and the number of runs."""
    found = ratio(facts, arm, what)
    if found is None:
        lacking = _without_speed(facts, arm) if what == "inference" else []
        return Said("cannot be told speed", (lacking,)) if lacking else Said("cannot be told cost")
    devices = {one.device_model for side in (facts.arms[0], arm) for run in facts.finished(side)
               for one in run.attempts if one.device_model}  # fmt: skip
    if len(devices) > 1:
        return Said("cannot be told devices", (", ".join(sorted(devices)),))
    factor, runs = found
    more, less = ("more memory", "less memory") if what == "memory" else ("slower", "faster")
    if abs(factor - 1) <= SAME_COST:
        return Said("same memory" if what == "memory" else "as fast", (factor, runs))
    return Said(more if factor > 1 else less, (factor if factor > 1 else 1 / factor, runs))
