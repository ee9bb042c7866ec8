"""A line chart of braille dots that redraws only what changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment
from textual.events import Resize
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from detui.tui.output import cut, pad, width
from detui.tui.output import number as shown
from detui.tui.widgets.axes import Limits, decades, grown, steady, ticks
from detui.tui.widgets.palette import DIM, PLAIN, series_style
from detui.tui.widgets.raster import characters, rasterise

_MARGIN = 8
"""Columns of the labels of the y axis."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart."""

    label: str
    x: Sequence[float] | NDArray[np.float64]
    y: Sequence[float] | NDArray[np.float64]


@dataclass(slots=True)
class _Picture:
    """What is on the screen."""

    cells: NDArray[np.int16] | None = None
    """(rows, columns): owner of each cell times 256 plus its braille bits."""
    frame: tuple[object, ...] = ()
    """Everything around the cells: a change of it redraws the whole."""
    strips: list[Strip] = field(default_factory=list)


class Chart(Widget):
    """Lines over steps, epochs or seconds, with a title, a legend with the last values, and labelled axes."""

    DEFAULT_CSS = "Chart { width: 1fr; height: 1fr; }"

    def __init__(
        self,
        title: str,
        *,
        x_label: str = "step",
        form: Callable[[float | None], str] = shown,
        ascii_only: bool = False,
        id: str | None = None,
    ) -> None:
        """`form`: how a value is written at the axis and in the legend."""
        super().__init__(id=id)
        self._title = title
        self._x_label = x_label
        self._form = form
        self._ascii = ascii_only
        self._series: Sequence[Series] = ()
        self._log = False
        self._x: Limits | None = None
        self._x_most: float | None = None
        self._y: Limits | None = None
        self._picture = _Picture()

    @property
    def title(self) -> str:
        """What the chart shows."""
        return self._title

    @property
    def log_y(self) -> bool:
        """Whether the y axis is logarithmic."""
        return self._log

    def set_series(self, series: Sequence[Series], *, x_label: str | None = None, x_most: float | None = None) -> None:
        """Show these lines. Only the cells that changed are sent to the terminal.

        `x_most`: where the x axis will end, if that is known.
        """
        self._x_most = x_most
        self._series = [one for one in series if len(one.x)]
        self._x_label = x_label or self._x_label
        before = self._picture
        self._picture = self._draw()
        self._refresh_changes(before, self._picture)

    def toggle_log(self) -> None:
        """Change between a linear and a logarithmic y axis."""
        self._log = not self._log
        self._y = None
        self._redraw()

    def on_resize(self, event: Resize) -> None:
        """Draw anew in the new size."""
        self._redraw()

    def _redraw(self) -> None:
        self._picture = self._draw()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one line of the picture."""
        strips = self._picture.strips
        strip = strips[y] if y < len(strips) else Strip([])
        return strip.adjust_cell_length(self.size.width).apply_style(self.rich_style)

    def _refresh_changes(self, before: _Picture, after: _Picture) -> None:
        same = before.cells is not None and after.cells is not None and before.cells.shape == after.cells.shape
        if not same or before.frame != after.frame:
            self.refresh()
            return
        assert before.cells is not None and after.cells is not None
        if before.strips[0] != after.strips[0]:
            self.refresh(Region(0, 0, self.size.width, 1))
        rows, columns = np.nonzero(before.cells != after.cells)
        if len(rows):
            left, right = int(columns.min()), int(columns.max()) + 1
            top, bottom = int(rows.min()), int(rows.max()) + 1
            self.refresh(Region(_MARGIN + 1 + left, 1 + top, right - left, bottom - top))

    def _draw(self) -> _Picture:
        columns, rows = self.size.width - _MARGIN - 1, self.size.height - 2
        if columns < 4 or rows < 2:
            return _Picture(strips=[self._legend()])
        lines = [(np.asarray(s.x, dtype=np.float64), self._scaled(s)) for s in self._series]
        if not self._fit(lines):
            text = pad(f"{'':{_MARGIN}} nothing yet" if not self._log else f"{'':{_MARGIN}} nothing above 0", 30)
            return _Picture(strips=[self._legend(), Strip([Segment(text, DIM)])])
        cells = self._cells(lines, columns, rows)
        frame = (self._x, self._y, self._log, self._x_label, columns, rows)
        strips = [self._legend(), *self._plot(cells), self._x_axis(columns)]
        return _Picture(cells, frame, strips)

    def _scaled(self, series: Series) -> NDArray[np.float64]:
        values = np.asarray(series.y, dtype=np.float64)
        if not self._log:
            return values
        positive = np.where(values > 0, values, np.nan)
        return np.asarray(np.log10(positive))

    def _fit(self, lines: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> bool:
        """Move the limits where the data asks for it. Returns whether there is anything to draw."""
        ys = np.concatenate([y[np.isfinite(y)] for _, y in lines]) if lines else np.empty(0)
        if not len(ys):
            return False
        self._x = grown(self._x, min(float(x[0]) for x, _ in lines), max(float(x[-1]) for x, _ in lines), self._x_most)
        self._y = steady(self._y, float(ys.min()), float(ys.max()))
        return True

    def _cells(
        self, lines: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]], columns: int, rows: int
    ) -> NDArray[np.int16]:
        assert self._x is not None and self._y is not None
        box = (self._x.low, self._x.high, self._y.low, self._y.high)
        cells = np.zeros((rows, columns), dtype=np.int16)
        for index, (x, y) in reversed(list(enumerate(lines))):  # the first line lies on top
            bits = rasterise(x, y, columns, rows, box).astype(np.int16)
            cells = np.where(bits > 0, bits + 256 * (index % 100), cells)
        return cells

    def _plot(self, cells: NDArray[np.int16]) -> list[Strip]:
        texts = characters((cells % 256).astype(np.uint8), ascii_only=self._ascii)
        owners = np.where(cells > 0, cells // 256, -1)
        labels = self._labels(len(texts))
        return [Strip([self._y_label(labels.get(row)), *_runs(text, owners[row])]) for row, text in enumerate(texts)]

    def _labels(self, rows: int) -> dict[int, float]:
        """Return the values that are written at the y axis, by row."""
        assert self._y is not None
        low, high = self._y.low, self._y.high
        values = (decades if self._log else ticks)(self._y, max(2, rows // 3))
        return {round((high - value) / (high - low) * (rows - 1)): value for value in values}

    def _y_label(self, value: float | None) -> Segment:
        tick, line = ("+", "|") if self._ascii else ("┤", "│")
        if value is None:
            return Segment(" " * _MARGIN + line, DIM)
        text = self._form(10**value if self._log else value)
        return Segment(pad(cut(text, _MARGIN - 1), _MARGIN - 1, right=True) + " " + tick, DIM)

    def _x_axis(self, columns: int) -> Strip:
        assert self._x is not None
        corner = "+" if self._ascii else "└"
        left, right = f"{self._x.low:g}", f"{self._x.high:g}"
        middle = f"{self._x_label}"
        text = left + middle.center(max(0, columns - len(left) - len(right))) + right
        return Strip([Segment(" " * _MARGIN + corner + text[:columns], DIM)])

    def _legend(self) -> Strip:
        """Return the first line: title, then each line's label and last value, as far as they fit."""
        mark = "-" if self._ascii else "━"
        title = self._title + (" log" if self._log else "")
        names = [f" {mark}{series.label}" for series in self._series]
        texts = [f"{name} {self._form(_last(series))}" for name, series in zip(names, self._series, strict=True)]
        if sum(map(width, texts)) > self.size.width - width(title) - 1:
            texts = names
        segments = [Segment(f"{title} ", PLAIN), *(Segment(t, series_style(i)) for i, t in enumerate(texts))]
        return Strip(segments).adjust_cell_length(self.size.width)


def _last(series: Series) -> float | None:
    return next((float(value) for value in reversed(series.y) if math.isfinite(value)), None)


def _runs(text: str, owners: NDArray[np.int16]) -> list[Segment]:
    """Return a row of cells as segments of one colour each."""
    edges = [0, *(np.flatnonzero(np.diff(owners)) + 1).tolist(), len(text)]
    return [
        Segment(text[start:end], series_style(int(owners[start])) if owners[start] >= 0 else PLAIN)
        for start, end in pairwise(edges)
    ]
