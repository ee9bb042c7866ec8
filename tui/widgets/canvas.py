"""The inside of a chart as cells: lines, bands, the letters at their ends, the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region

from detui.tui.widgets.palette import DIM, PLAIN, series_style
from detui.tui.widgets.raster import Box, glyphs, rasterise, rasterise_band
from detui.tui.widgets.series import Line

_APART = 8
"""Unchanged columns from which on it is cheaper to leave them out of what is drawn again."""
_CURSOR = -1
_HATCH = ord("/")
_BAND_DIM = Style(dim=True)


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line and how it is told from others."""

    line: Line
    colour: int
    letter: str
    """At its end; empty where there is one line only."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """What stands in each cell."""

    glyph: NDArray[np.uint32]
    """(rows, columns): code points; a space where there is nothing."""
    paint: NDArray[np.int16]
    """(rows, columns): 0 nothing, 1 + 2 · colour a line, 2 + 2 · colour a band, -1 the cursor."""

    def changes(self, other: Canvas) -> list[Region]:
        """Return where another canvas of the same shape has other cells: a region for each place where lines grow."""
        different = (self.glyph != other.glyph) | (self.paint != other.paint)
        columns = np.flatnonzero(different.any(axis=0))
        found = []
        for group in np.split(columns, np.flatnonzero(np.diff(columns) > _APART) + 1):
            if len(group):
                left, right = int(group[0]), int(group[-1]) + 1
                rows = np.flatnonzero(different[:, left:right].any(axis=1))
                found.append(Region(left, int(rows[0]), right - left, int(rows[-1] - rows[0]) + 1))
        return found

    def row(self, index: int) -> list[Segment]:
        """Return a row as segments of one style each."""
        text = self.glyph[index].astype("<u4").tobytes().decode("utf-32-le")
        paint = self.paint[index]
        edges = [0, *(np.flatnonzero(np.diff(paint)) + 1).tolist(), len(text)]
        return [Segment(text[start:end], _style(int(paint[start]))) for start, end in pairwise(edges)]

    def with_cursor(self, column: int, *, ascii_only: bool) -> Canvas:
        """Return it with a vertical line where no line of the chart is."""
        glyph, paint = self.glyph.copy(), self.paint.copy()
        free = (paint[:, column] <= 0) | (paint[:, column] % 2 == 0)
        glyph[free, column] = ord("|" if ascii_only else "│")
        paint[free, column] = _CURSOR
        return Canvas(glyph, paint)


def drawn(strokes: Sequence[Stroke], columns: int, rows: int, box: Box, *, ascii_only: bool) -> Canvas:
    """Draw lines and bands; the first lies on top, and no band over a line."""
    canvas = Canvas(np.full((rows, columns), ord(" "), dtype=np.uint32), np.zeros((rows, columns), dtype=np.int16))
    for stroke in reversed(strokes):
        if stroke.line.low is not None and stroke.line.high is not None:
            bits = rasterise_band(stroke.line.x, stroke.line.low, stroke.line.high, columns, rows, box)
            # In ASCII dots cannot be told from a line's: hatched instead.
            inside = np.full_like(canvas.glyph, _HATCH) if ascii_only else glyphs(bits, ascii_only=False)
            _put(canvas, bits > 0, inside, 2 + 2 * stroke.colour)
    for stroke in reversed(strokes):
        bits = rasterise(stroke.line.x, stroke.line.y, columns, rows, box)
        _put(canvas, bits > 0, glyphs(bits, ascii_only=ascii_only), 1 + 2 * stroke.colour)
    _letters(canvas, strokes, box)
    return canvas


def _put(canvas: Canvas, where: NDArray[np.bool_], glyph: NDArray[np.uint32], paint: int) -> None:
    canvas.glyph[where] = glyph[where]
    canvas.paint[where] = paint


def _letters(canvas: Canvas, strokes: Sequence[Stroke], box: Box) -> None:
    """Write each line's letter behind its last point; letters that would lie on each other keep the lines' order."""
    rows, columns = canvas.glyph.shape
    x0, x1, y0, y1 = box
    ends: dict[int, list[tuple[float, Stroke]]] = {}
    for stroke in strokes:
        known = np.flatnonzero(np.isfinite(stroke.line.y))
        if stroke.letter and len(known):
            column = min(columns - 1, cell_of(stroke.line.x[known[-1]], x0, x1, columns) + 1)
            ends.setdefault(column, []).append((stroke.line.y[known[-1]], stroke))
    for column, found in ends.items():
        found.sort(key=lambda end: -end[0])
        at = _apart([rows - 1 - cell_of(y, y0, y1, rows) for y, _ in found], rows)
        for row, (_, stroke) in zip(at, found, strict=True):
            canvas.glyph[row, column] = ord(stroke.letter)
            canvas.paint[row, column] = 1 + 2 * stroke.colour


def _apart(wanted: Sequence[int], rows: int) -> list[int]:
    """Return ascending rows moved apart until no two are the same, as far as there are enough of them."""
    at = list(wanted)
    for place in range(1, len(at)):
        at[place] = max(at[place], at[place - 1] + 1)
    most = rows - 1
    for place in reversed(range(len(at))):
        at[place] = max(0, min(at[place], most))
        most = at[place] - 1
    return at


def cell_of(value: float, low: float, high: float, cells: int) -> int:
    """Return in which of `cells` cells between two limits a value lies."""
    share = min(1.0, max(0.0, (value - low) / ((high - low) or 1.0)))
    return min(cells - 1, round(share * (2 * cells - 1)) // 2)


def _style(paint: int) -> Style:
    if paint == 0:
        return PLAIN
    if paint == _CURSOR:
        return DIM
    style = series_style((paint - 1) // 2)
    return style if paint % 2 else style + _BAND_DIM
