"""What a number was in the last minutes, in one line of cells.

Drawn as on an oscilloscope: each moment has its own cell, the newest wanders to the right and begins anew at the left,
with one empty cell before it. A line that scrolled would have to be sent whole whenever a value comes.
"""

from __future__ import annotations

from collections.abc import Mapping

LONGEST = 60
"""Values that are kept."""
_BLOCKS = "▁▂▃▄▅▆▇█"
_PLAIN = "_.:-=+*#"


class History:
    """The means of a number over equal stretches of time, the last 60 of them."""

    def __init__(self, seconds: float) -> None:
        """`seconds`: how long a stretch is."""
        self._seconds = seconds
        self._values: dict[int, float] = {}
        self._stretch = 0
        self._sum = 0.0
        self._count = 0

    def add(self, value: float | None, at: float) -> None:
        """Take in what was measured at a moment of a clock that only goes forward; None was not measured."""
        stretch = int(at // self._seconds)
        if stretch != self._stretch:
            self._close()
            self._stretch = stretch
        if value is None:
            return
        self._sum += value
        self._count += 1
        if not self._values:  # something to see at once
            self._values[stretch] = value

    def _close(self) -> None:
        if self._count:
            self._values[self._stretch] = self._sum / self._count
        self._sum, self._count = 0.0, 0
        for old in [one for one in self._values if one <= self._stretch - LONGEST]:
            del self._values[old]

    def values(self) -> Mapping[int, float]:
        """Return a copy: the number of each stretch, and its mean."""
        return dict(self._values)


def ring(values: Mapping[int, float], cells: int, low: float, high: float, *, ascii_only: bool = False) -> str:
    """Return the last values as one line of so many cells; `low` and `high`: what the lowest and highest block mean.

    The cell of a stretch that was not measured is empty.
    """
    if not values:
        return " " * cells
    newest = max(values)
    return "".join(_cell(values, newest - (newest - cell) % cells, newest, cells, low, high, ascii_only)
                   for cell in range(cells))  # fmt: skip


def _cell(
    values: Mapping[int, float], stretch: int, newest: int, cells: int, low: float, high: float, ascii_only: bool
) -> str:
    value = values.get(stretch)
    if value is None or newest - stretch >= cells - 1:  # the oldest makes room: the gap tells where the newest is
        return " "
    share = min(1.0, max(0.0, (value - low) / (high - low)))
    return (_PLAIN if ascii_only else _BLOCKS)[min(7, int(share * 8))]
