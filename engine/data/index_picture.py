"""Objects out of a picture of indices: run lengths, extents and classes of all of them in one pass over its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from detui.engine.data.form import Box

if TYPE_CHECKING:
    import numpy.typing as npt

    Integers = npt.NDArray[np.int64]
    Indices = npt.NDArray[np.uint8]

BACKGROUND, VOID = 0, 255
"""Indices that are no object."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The pixels of one index."""

    box: Box
    """Their extent, in edges from 0."""
    area: int
    """Pixels."""
    segmentation: dict[str, Any]
    """Uncompressed run lengths."""
    kind: int
    """The number of the class that most of them have; 0 where none has any."""
    others: int
    """How many of them have another class (void and background are none)."""


@dataclass(frozen=True, slots=True)
class IndexPicture:
    """A picture as runs of equal indices, column by column from the left, as COCO's run lengths go."""

    height: int
    width: int
    start: Integers
    """[R] Where each run begins."""
    end: Integers
    """[R] Where it ends."""
    value: Indices
    """[R] Its index."""
    counts: Integers
    """[256, 256] Pixels by index and class."""

    @classmethod
    def of(cls, objects: Indices, kinds: Indices) -> IndexPicture:
        """From the indices of objects and the numbers of classes, both [height, width]."""
        flat = objects.T.ravel()
        start = np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]])
        end = np.r_[start[1:], flat.size]
        joint = objects.ravel().astype(np.uint16) * 256 + kinds.ravel()
        counts = np.bincount(joint, minlength=256 * 256).reshape(256, 256)
        return cls(objects.shape[0], objects.shape[1], start, end, flat[start], counts)

    @property
    def indices(self) -> list[int]:
        """The objects that are there, rising."""
        there = np.flatnonzero(self.counts.any(axis=1)).tolist()
        return [index for index in there if index not in (BACKGROUND, VOID)]

    def piece(self, index: int) -> Piece | None:
        """The pixels of one index; None where there are none."""
        mine = self.value == index
        if not mine.any():
            return None
        start, end = self.start[mine], self.end[mine]
        kinds = self.counts[index].copy()
        area = int(kinds.sum())
        kinds[[BACKGROUND, VOID]] = 0
        kind = int(kinds.argmax()) if kinds.any() else BACKGROUND
        return Piece(self._extent(start, end), area, self._lengths(start, end), kind, int(kinds.sum() - kinds[kind]))

    def _lengths(self, start: Integers, end: Integers) -> dict[str, Any]:
        total = self.height * self.width
        edges = np.column_stack([start, end]).ravel()
        counts = np.diff(edges, prepend=0, **({} if edges[-1] == total else {"append": total}))
        return {"size": [self.height, self.width], "counts": counts.tolist()}

    def _extent(self, start: Integers, end: Integers) -> Box:
        first, last = start // self.height, (end - 1) // self.height
        whole = bool((first != last).any())  # a run that goes on in the next column reaches bottom and top
        top = 0 if whole else int((start % self.height).min())
        bottom = self.height if whole else int(((end - 1) % self.height).max()) + 1
        left, right = int(first.min()), int(last.max()) + 1
        return float(left), float(top), float(right - left), float(bottom - top)
