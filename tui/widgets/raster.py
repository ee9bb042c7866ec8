"""Lines as braille dots: a hundred thousand points in a few milliseconds, with their extremes kept."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Box = tuple[float, float, float, float]
"""What is drawn: from x0 to x1, from y0 to y1."""
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.uint8)
"""Bit of each of a braille cell's 4 × 2 dots."""
_TOP = 0x01 | 0x08 | 0x02 | 0x10


def rasterise(x: Floats, y: Floats, width: int, height: int, box: Box) -> NDArray[np.uint8]:
    """Return the braille bits, (height, width), of a line through the points, x ascending.

    Columns of dots that many points fall into show their minimum and maximum.
    A point that is not finite leaves a gap.
    """
    dots = np.zeros((height * 4, width * 2), dtype=bool)
    for start, end in _finite(x, y):
        low, high, first = _columns(x[start:end], y[start:end], dots.shape, box)
        rows = np.arange(dots.shape[0])[:, None]
        last = first + len(low)
        dots[:, first:last] |= (rows >= low) & (rows <= high)
    return _bits(dots)


def rasterise_band(x: Floats, low: Floats, high: Floats, width: int, height: int, box: Box) -> NDArray[np.uint8]:
    """Return the braille bits, (height, width), of every fourth dot between two lines, x ascending."""
    dots = np.zeros((height * 4, width * 2), dtype=bool)
    rows, columns = np.arange(dots.shape[0])[:, None], np.arange(dots.shape[1])[None, :]
    for start, end in _finite(x, low + high):
        _, bottom, first = _columns(x[start:end], low[start:end], dots.shape, box)
        top, _, _ = _columns(x[start:end], high[start:end], dots.shape, box)
        dots[:, first : first + len(top)] |= (rows >= top) & (rows <= bottom)
    return _bits(dots & (rows % 2 == 0) & (columns % 2 == rows // 2 % 2))


def _bits(dots: NDArray[np.bool_]) -> NDArray[np.uint8]:
    cells = dots.reshape(dots.shape[0] // 4, 4, dots.shape[1] // 2, 2)
    bits: NDArray[np.uint8] = (cells * _DOTS[None, :, None, :]).sum((1, 3)).astype(np.uint8)
    return bits


def _finite(x: Floats, y: Floats) -> Iterator[tuple[int, int]]:
    """Yield the stretches of points that are finite, as start and end."""
    good = np.isfinite(x) & np.isfinite(y)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], good.astype(np.int8), [0]))))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _columns(
    x: Floats, y: Floats, shape: tuple[int, int], box: Box
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Return the highest and lowest row of each column of dots between the ends of a stretch, and its first column."""
    x0, x1, y0, y1 = box
    rows, columns = shape
    place = np.clip((x - x0) / ((x1 - x0) or 1.0), 0.0, 1.0) * (columns - 1)
    level = rows - 1 - np.clip((y - y0) / ((y1 - y0) or 1.0), 0.0, 1.0) * (rows - 1)
    column = np.rint(place).astype(np.int64)
    first, last = int(column.min()), int(column.max())
    # The line itself, so that few points are joined; then the extremes, so that many keep their peaks.
    line = np.rint(np.interp(np.arange(first, last + 1), place, level)).astype(np.int64)
    low, high = line.copy(), line.copy()
    row = np.rint(level).astype(np.int64)
    np.minimum.at(low, column - first, row)
    np.maximum.at(high, column - first, row)
    _join(low, high)
    return low, high, first


def _join(low: NDArray[np.int64], high: NDArray[np.int64]) -> None:
    """Stretch each column to touch the one before it, so that steep parts have no holes."""
    before_low, before_high = low[:-1].copy(), high[:-1].copy()
    np.minimum(low[1:], before_high + 1, out=low[1:], where=low[1:] > before_high + 1)
    np.maximum(high[1:], before_low - 1, out=high[1:], where=high[1:] < before_low - 1)


def glyphs(bits: NDArray[np.uint8], *, ascii_only: bool) -> NDArray[np.uint32]:
    """Return the code point of each cell, in the same shape; a space where there is no dot."""
    return (_ASCII if ascii_only else _BRAILLE)[bits]


def _ascii(bit: int) -> str:
    if not bit:
        return " "
    top, bottom = bit & _TOP, bit & ~_TOP
    return ":" if top and bottom else "'" if top else "."


_ASCII = np.array([ord(_ascii(bit)) for bit in range(256)], dtype=np.uint32)
_BRAILLE = np.array([0x2800 + bit if bit else ord(" ") for bit in range(256)], dtype=np.uint32)
