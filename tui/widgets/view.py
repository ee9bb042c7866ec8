"""Which part of its x axis a chart shows, and where its cursor goes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detui.tui.widgets.axes import Limits
from detui.tui.widgets.series import Line

_STEPS = 4
"""A view that follows the end moves on by this part of its width, so that most updates change its last columns only."""


@dataclass(frozen=True, slots=True)
class View:
    """A part of the x axis."""

    width: float
    low: float | None = None
    """Where it begins; None: it follows the end."""

    def limits(self, full: Limits, last: float) -> Limits:
        """Return from where to where it goes, on an axis `full` whose data ends at `last`."""
        if self.low is not None:
            return Limits(self.low, self.low + self.width)
        step = self.width / _STEPS
        high = min(full.high, max(math.ceil(last / step - 1e-9) * step, full.low + self.width))
        return Limits(high - self.width, high)

    def holding(self, x: float, full: Limits, last: float) -> View:
        """Return it, moved as little as needed to hold `x`."""
        now = self.limits(full, last)
        if now.low <= x <= now.high:
            return self
        margin = self.width / 8
        low = x - margin if x < now.low else x + margin - self.width
        return View(self.width, _within(low, self.width, full))


def zoomed(view: View | None, full: Limits, cursor: float | None, by: int) -> View | None:
    """Return a view of half the width for +1 and of twice for -1; None: everything.

    It lies around the cursor; without one it follows the end.
    """
    whole = full.high - full.low
    width = (whole if view is None else view.width) / 2.0**by
    if width >= whole * (1 - 1e-9):
        return None
    return View(width, None if cursor is None else _within(cursor - width / 2, width, full))


def _within(low: float, width: float, full: Limits) -> float:
    return float(min(max(low, full.low), full.high - width))


def points_between(lines: Sequence[Line], limits: Limits) -> int:
    """Return how many points the line with the most of them has between two x."""
    return max((int(np.diff(np.searchsorted(line.x, (limits.low, limits.high)))[0]) for line in lines), default=0)


def moved(lines: Sequence[Line], cursor: float, by: float) -> float:
    """Return the x of the next point that is at least `by` to the right, for negative `by` to the left.

    A cursor that goes from point to point reads measured values, however far apart they are.
    """
    target, ends = cursor + by, [(float(line.x[0]), float(line.x[-1])) for line in lines]
    first, last = min(low for low, _ in ends), max(high for _, high in ends)
    if by > 0:
        beyond = [line.x[at] for line in lines if (at := int(np.searchsorted(line.x, target))) < len(line.x)]
        return float(min(beyond, default=last))
    before = [line.x[at - 1] for line in lines if (at := int(np.searchsorted(line.x, target, side="right"))) > 0]
    return float(max(before, default=first))
