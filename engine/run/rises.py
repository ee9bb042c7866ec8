"""Since when a curve rises: asked by the alarm while a run trains, and by the record of its whole curve."""

from __future__ import annotations

import math
from collections.abc import Sequence

RISING_EPOCHS = 5
"""Over how many epochs a loss term must rise, at least."""

RISING_BY = 0.02
"""By which part of itself a value must have risen."""

DROP = 0.25
"""Which part of the whole rise a drop on the way may have at most: more than that, and it is no one rise."""


def rise_start(values: Sequence[float]) -> int | None:
    """The place of the earliest value from which all that follow are higher, in one rise to the last; None without one.

    `values` are finite. No drop on the way, from any value to any later one, is larger than DROP of the rise, and the
    rise is larger than RISING_BY of the value that it starts from.
    """
    found, lowest, drop = None, math.inf, 0.0
    for place in range(len(values) - 1, -1, -1):
        value = values[place]
        drop = max(drop, value - lowest)
        rise = values[-1] - value
        if value < lowest and rise > RISING_BY * abs(value) and drop <= DROP * rise:
            found = place
        lowest = min(lowest, value)
    return found
