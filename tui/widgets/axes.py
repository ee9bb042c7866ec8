"""Limits of a chart's axes that stand still while the data grows, so that a redraw changes only its end."""

from __future__ import annotations

import math
from dataclasses import dataclass

_GROWTH = 1.25
_SMALLEST = 1e-12


@dataclass(frozen=True, slots=True)
class Limits:
    """From where to where an axis goes."""

    low: float
    high: float


def grown(limits: Limits | None, first: float, last: float, most: float | None = None) -> Limits:
    """Return limits for an x axis: the old ones while the data fits, else widened by a quarter, up to `most`.

    The axis begins at 0 where the data begins near it, or its end is known.
    """
    if limits is not None and limits.low <= first and last <= limits.high:
        return limits
    low = 0.0 if most is not None or 0 <= first <= 0.2 * last or first == last else first
    high = low + _round_up((last - low) * _GROWTH)
    if most is not None and last <= most < high:
        high = most
    return Limits(low, high if high > low else low + 1.0)


def steady(limits: Limits | None, low: float, high: float) -> Limits:
    """Return round limits for a y axis: the old ones while the data fits and uses two fifths of them."""
    if limits is not None and limits.low <= low and high <= limits.high:
        used = (high - low) / ((limits.high - limits.low) or 1.0)
        if used >= 0.4:
            return limits
    return rounded(low, high)


def rounded(low: float, high: float) -> Limits:
    """Return the nearest round limits that hold both numbers."""
    negative = low < 0
    if high - low <= max(abs(high), abs(low)) * 1e-9 + _SMALLEST:
        margin = abs(high) * 0.1 or 1.0
        low, high = low - margin, high + margin
    step = _step((high - low) / 4)
    bottom = math.floor(low / step + 1e-9) * step
    # A quantity that is never negative must not seem to have room below zero.
    return Limits(bottom if negative else max(0.0, bottom), math.ceil(high / step - 1e-9) * step)


def ticks(limits: Limits, most: int) -> list[float]:
    """Return at most about `most` round numbers between the limits, one at least."""
    step = _step((limits.high - limits.low) / most)
    first = math.ceil(limits.low / step - 1e-9)
    last = math.floor(limits.high / step + 1e-9)
    return [count * step for count in range(first, last + 1)] or [limits.low]


def decades(limits: Limits, most: int) -> list[float]:
    """Return the logarithms of round numbers between two limits that are logarithms: 1, 2, 5 and their tens."""
    powers = range(math.floor(limits.low), math.ceil(limits.high) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [power + math.log10(factor) for power in powers for factor in factors]
        inside = [value for value in found if limits.low - 1e-9 <= value <= limits.high + 1e-9]
        if len(inside) <= most or factors == (1,):
            break
    return inside[:: max(1, math.ceil(len(inside) / most))] or [limits.low, limits.high]


def _step(about: float) -> float:
    """Return 1, 2 or 5 times a power of ten, at least `about`."""
    power = 10.0 ** math.floor(math.log10(max(about, _SMALLEST)))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= about * (1 - 1e-9))


def _round_up(value: float) -> float:
    """Return a number with two significant digits, not below `value`."""
    power = 10.0 ** (math.floor(math.log10(max(value, _SMALLEST))) - 1)
    return math.ceil(value / power - 1e-9) * power
