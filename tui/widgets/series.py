"""The lines of a chart: what they are, smoothed, and thinned to what a screen can show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_BLOCK = 64
"""Values that the smoothing takes at once: a product of matrices instead of a loop over every value. scipy.signal has
it ready-made, and takes most of a second to import: at a key press, in the thread that draws."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart, with a band around it if there is one."""

    label: str
    x: Sequence[float] | Floats
    """(n,): steps, epochs or seconds."""
    y: Sequence[float] | Floats
    """(n,): what is not finite is a gap."""
    low: Sequence[float] | Floats | None = None
    """(n,): lower end of the band."""
    high: Sequence[float] | Floats | None = None
    """(n,): upper end of the band."""
    colour: int | None = None
    """Index for `series_style`; None: the line's place in the chart."""
    letter: str | None = None
    """What tells the line from others without colours; None: by the line's place, a, b, c, …"""


@dataclass(frozen=True, slots=True)
class Line:
    """A series as the chart draws it: x ascending, NaN where nothing is drawn. All of one length."""

    x: Floats
    y: Floats
    low: Floats | None = None
    high: Floats | None = None

    @property
    def values(self) -> list[Floats]:
        """What the y axis has to hold."""
        return [self.y] if self.low is None or self.high is None else [self.y, self.low, self.high]


def prepared(series: Series, weight: float = 0.0) -> Line:
    """Return a series as arrays, sorted by x, smoothed with `weight` from 0 to below 1."""
    x = np.asarray(series.x, dtype=np.float64)
    columns = [_floats(values) for values in (series.y, series.low, series.high)]
    if not np.isfinite(x).all():
        known = np.isfinite(x)
        x, columns = x[known], [None if column is None else column[known] for column in columns]
    if len(x) > 1 and (x[1:] < x[:-1]).any():
        order = np.argsort(x, kind="stable")
        x, columns = x[order], [None if column is None else column[order] for column in columns]
    y, low, high = (None if column is None else smoothed(column, weight) for column in columns)
    assert y is not None
    return Line(x, y, low, high)


def _floats(values: Sequence[float] | Floats | None) -> Floats | None:
    if values is None:
        return None
    found = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(found)
    return found if finite.all() else np.where(finite, found, np.nan)


def smoothed(values: Floats, weight: float) -> Floats:
    """Return the debiased exponential moving average of `values` (n,), as TensorBoard shows it.

    What is not finite is left out of the average and stays a gap.
    """
    good = np.isfinite(values)
    found = values[good]
    if not weight or not len(found):
        return values
    place = np.arange(_BLOCK)
    blocks = -(-len(found) // _BLOCK)
    padded = np.zeros(blocks * _BLOCK)
    padded[: len(found)] = (1 - weight) * found
    # Each block by itself; then what the blocks before it leave behind.
    kernel = np.triu(weight ** np.abs(place[None, :] - place[:, None]))
    local = padded.reshape(blocks, _BLOCK) @ kernel
    left, before = 0.0, []
    for last in local[:, -1].tolist():
        before.append(left)
        left = last + weight**_BLOCK * left
    local += np.array(before)[:, None] * weight ** (place + 1)
    average = local.ravel()[: len(found)]
    biased = min(len(found), math.ceil(-40 / math.log(weight)))  # beyond it the correction is 1 to the last bit
    average[:biased] /= 1 - weight ** np.arange(1, biased + 1)
    result = np.full(len(values), np.nan)
    result[good] = average
    return result


def shrunk(line: Line, low: float, high: float, columns: int, *, log: bool = False) -> Line:
    """Return the part of a line between two x, with at most about four points for each of `columns` columns of dots.

    A column keeps its extremes, and its first and last point, so that gaps stay gaps. The line is cut where it enters
    and leaves. `log`: as logarithms, where what is not above 0 is a gap.
    """
    start = max(0, int(np.searchsorted(line.x, low)) - 1)
    end = min(len(line.x), int(np.searchsorted(line.x, high, side="right")) + 1)
    part = [None if values is None else values[start:end] for values in (line.x, line.y, line.low, line.high)]
    if log:
        part[1:] = [None if values is None else np.where(values > 0, values, np.nan) for values in part[1:]]
    x, y, below, above = part
    assert x is not None and y is not None
    if len(x) > 4 * columns:
        x, y, below, above = _thinned(x, y, below, above, low + np.arange(0.5, columns) * (high - low) / (columns - 1))
    values = [None if one is None else np.log10(one) if log else one.copy() for one in (y, below, above)]
    return _clipped(x.copy(), values, low, high)


def _thinned(
    x: Floats, y: Floats, below: Floats | None, above: Floats | None, edges: Floats
) -> tuple[Floats, Floats, Floats | None, Floats | None]:
    """Return four points for each stretch between `edges`: the first, the lowest, the highest, the last."""
    starts = np.unique(np.concatenate(([0], np.searchsorted(x, edges))))
    starts = starts[starts < len(x)]
    ends = np.append(starts[1:], len(x)) - 1
    middle = (starts + ends) // 2

    def four(values: Floats, second: Floats, third: Floats) -> Floats:
        return np.stack((values[starts], second, third, values[ends]), axis=1).ravel()

    def lowest(values: Floats) -> Floats:
        return np.asarray(np.fmin.reduceat(values, starts))

    def highest(values: Floats) -> Floats:
        return np.asarray(np.fmax.reduceat(values, starts))

    return (
        four(x, x[middle], x[middle]),
        four(y, lowest(y), highest(y)),
        None if below is None else four(below, lowest(below), lowest(below)),
        None if above is None else four(above, highest(above), highest(above)),
    )


def _clipped(x: Floats, values: list[Floats | None], low: float, high: float) -> Line:
    """Move a first point before `low` and a last one beyond `high` to where the line crosses them."""
    for edge, at, inner in ((low, 0, 1), (high, -1, -2)):
        outside = len(x) > 1 and (x[at] < low if at == 0 else x[at] > high)
        if outside and x[inner] != x[at]:
            share = (edge - x[at]) / (x[inner] - x[at])
            for one in values:
                if one is not None:
                    one[at] += share * (one[inner] - one[at])
            x[at] = edge
    keep = (x >= low) & (x <= high)
    y, below, above = (None if one is None else one[keep] for one in values)
    assert y is not None
    return Line(x[keep], y, below, above)


def value_near(line: Line, x: float, reach: float) -> float | None:
    """Return the value nearest to `x`; None in a gap, and where the line ends further than `reach` from it."""
    if not len(line.x):
        return None
    right = min(int(np.searchsorted(line.x, x)), len(line.x) - 1)
    left = max(right - 1, 0)
    nearest = left if abs(line.x[left] - x) <= abs(line.x[right] - x) else right
    outside = x < line.x[0] - reach or x > line.x[-1] + reach
    value = float(line.y[nearest])
    return None if outside or math.isnan(value) else value


def last_value(line: Line) -> float | None:
    """Return the last value that is no gap."""
    for start in range(len(line.y), 0, -1024):  # the end nearly always has one: a million points need not be searched
        part = line.y[max(0, start - 1024) : start]
        known = np.flatnonzero(np.isfinite(part))
        if len(known):
            return float(part[known[-1]])
    return None
