"""How fast a run converged, from the evaluations of our own evaluator.

Only some epochs are evaluated, so an epoch at which something was reached is
known up to an interval, and nothing is interpolated between two evaluations.
What cannot be said is a reason, not a number. Standard library only.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

SHARES = (0.5, 0.9)
"""Shares of the final AP whose first evaluation is looked for."""
LAST = 10
"""Epochs at the end of a training over which its stability is looked at."""


class Reason(Enum):
    """Why there is no number."""

    MISSING = "nothing evaluated"
    ONE = "one evaluation only"
    NO_AP = "the last evaluation has no AP"
    ZERO = "the final AP is 0"
    GAP = "an evaluation in between has no AP"
    FEW = "fewer than two evaluations in the last epochs"


@dataclass(frozen=True, slots=True)
class Reach:
    """When AP first came to a share of its final value: after `before`, and at `epoch` at the latest."""

    epoch: int
    """The first evaluated epoch whose AP is at or above the share."""
    before: int | None
    """The evaluated epoch before it, whose AP is below; None where `epoch` is the first one evaluated."""


@dataclass(frozen=True, slots=True)
class Area:
    """The area under the AP curve, divided by the epochs that it spans: the mean AP between its ends."""

    value: float
    """0–1, as AP is; trapezoids between the evaluations."""
    first: int
    """The epoch from which on: the first evaluated one. Areas from different epochs on do not compare."""
    last: int
    """The last evaluated epoch."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How far the evaluations of the last epochs lie apart."""

    range: float
    """Highest minus lowest AP, 0–1."""
    std: float
    """Standard deviation with n − 1 in the denominator, 0–1. A curve that still rises has one, too."""
    n: int
    """Evaluations, two at least."""
    first: int
    """The first of the last epochs, evaluated or not."""


@dataclass(frozen=True, slots=True)
class Trend:
    """Whether AP was still rising at the end."""

    rising: bool
    """Whether the last evaluation is above every earlier one: a longer training might have raised it further."""
    change: float
    """AP of the last evaluation minus that of the one before, 0–1."""
    before: int
    """The epoch of the evaluation before."""
    best: int
    """The epoch of the highest evaluation, the earlier one on a tie."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Convergence:
    """One run's curve of AP, summed up. A `Reason` stands where there is no number."""

    final: float | Reason
    """AP of the last evaluation, 0–1: not the highest."""
    reached: tuple[Reach | Reason, ...]
    """For each of SHARES."""
    area: Area | Reason
    spread: Spread | Reason
    trend: Trend | Reason


Points = Sequence[tuple[int, float | None]]
"""Epoch and AP (0–1) of each evaluation, epochs rising; None or a number that is not finite: it has no AP."""


def converge(points: Points, last_epoch: int | None = None) -> Convergence:
    """Sum up the evaluations of one run.

    `last_epoch`: the last epoch that was trained, from which the last ten are counted back; None: the last one
    evaluated. Raises ValueError for epochs that do not rise.
    """
    epochs = [epoch for epoch, _ in points]
    if any(after <= before for before, after in itertools.pairwise(epochs)):
        raise ValueError(f"the epochs do not rise: {epochs}")
    known = [(epoch, value) for epoch, value in points if value is not None and math.isfinite(value)]
    whole = len(known) == len(points)
    final = _final(points, known)
    return Convergence(
        final=final,
        reached=tuple(_reach(known, final, share) for share in SHARES),
        area=_area(known, final, whole),
        spread=_spread(known, final, epochs[-1] if last_epoch is None and epochs else last_epoch or 0),
        trend=_trend(known, final, whole),
    )


def _final(points: Points, known: Sequence[tuple[int, float]]) -> float | Reason:
    if not points:
        return Reason.MISSING
    return known[-1][1] if known and known[-1][0] == points[-1][0] else Reason.NO_AP


def _reach(known: Sequence[tuple[int, float]], final: float | Reason, share: float) -> Reach | Reason:
    """An evaluation without AP widens the interval: it is that since the last AP known to be below."""
    if isinstance(final, Reason):
        return final
    if final <= 0:
        return Reason.ZERO
    if len(known) < 2:
        return Reason.ONE
    place = next(place for place, (_, value) in enumerate(known) if value >= share * final)
    return Reach(known[place][0], known[place - 1][0] if place else None)


def _no_curve(known: Sequence[tuple[int, float]], final: float | Reason, whole: bool) -> Reason | None:
    """Why there is no curve from the first evaluation to the last; None where there is one."""
    if isinstance(final, Reason):
        return final
    if len(known) < 2:
        return Reason.ONE
    return None if whole else Reason.GAP


def _area(known: Sequence[tuple[int, float]], final: float | Reason, whole: bool) -> Area | Reason:
    if reason := _no_curve(known, final, whole):
        return reason
    parts = ((b - a) * (x + y) / 2 for (a, x), (b, y) in itertools.pairwise(known))
    first, last = known[0][0], known[-1][0]
    return Area(math.fsum(parts) / (last - first), first, last)


def _spread(known: Sequence[tuple[int, float]], final: float | Reason, last_epoch: int) -> Spread | Reason:
    if isinstance(final, Reason):
        return final
    values = [value for epoch, value in known if epoch > last_epoch - LAST]
    if len(values) < 2:
        return Reason.FEW
    return Spread(max(values) - min(values), statistics.stdev(values), len(values), max(1, last_epoch - LAST + 1))


def _trend(known: Sequence[tuple[int, float]], final: float | Reason, whole: bool) -> Trend | Reason:
    if reason := _no_curve(known, final, whole):
        return reason
    best = max(known, key=lambda point: (point[1], -point[0]))[0]
    (before, earlier), (last, latest) = known[-2:]
    return Trend(best == last, latest - earlier, before, best)
