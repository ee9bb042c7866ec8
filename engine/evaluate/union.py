"""The union of the rectangles of one image, and how much of a box lies in it, in whole pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Union:
    """The union of rectangles as a grid of cells between their edges: exact, and as small as the regions are few."""

    size: Floats
    """[4] Width and height of the image, twice: no corner lies beyond."""
    xs: Floats
    """[X + 1] Where columns of cells begin and end, rising."""
    ys: Floats
    """[Y + 1] The same of rows."""
    covered: Floats
    """[Y, X] 1 where a cell lies in a rectangle, else 0."""

    @classmethod
    def of(cls, regions: Iterable[Sequence[float]], width: float, height: float) -> Union:
        """The union of boxes on an image of this size, as far as they lie in it."""
        size = np.array([width, height, width, height], np.float64)
        corners = np.clip(_corners(regions), 0.0, size)
        xs, ys = np.unique(corners[:, 0::2]), np.unique(corners[:, 1::2])
        covered = np.zeros((max(len(ys) - 1, 0), max(len(xs) - 1, 0)))
        columns, rows = np.searchsorted(xs, corners[:, 0::2]), np.searchsorted(ys, corners[:, 1::2])
        for (left, right), (top, bottom) in zip(columns, rows, strict=True):
            covered[top:bottom, left:right] = 1
        return cls(size, xs, ys, covered)

    def covers_half(self, boxes: Iterable[Sequence[float]]) -> list[bool]:
        """Whether at least half of the pixels that a box has in the image lie in the union; not where it has none."""
        left, top, right, bottom = np.clip(_corners(boxes), 0.0, self.size).T
        across, down = _overlap(left, right, self.xs), _overlap(top, bottom, self.ys)
        inside = ((down @ self.covered) * across).sum(axis=1)
        pixels = (right - left) * (bottom - top)
        halves: list[bool] = ((pixels > 0) & (2 * inside >= pixels)).tolist()
        return halves


def _corners(boxes: Iterable[Sequence[float]]) -> Floats:
    """[N, 4] Left, top, right, bottom in whole pixels, of boxes given as x, y, width, height."""
    found = np.array(list(boxes), np.float64).reshape(-1, 4)
    return np.rint(np.hstack([found[:, :2], found[:, :2] + found[:, 2:]]))


def _overlap(low: Floats, high: Floats, edges: Floats) -> Floats:
    """[N, E - 1] How much of each interval lies between each pair of neighbouring edges."""
    shared: Floats = np.minimum(high[:, None], edges[1:]) - np.maximum(low[:, None], edges[:-1])
    return shared.clip(0.0)
