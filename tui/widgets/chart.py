"""A line chart of braille dots that redraws only what changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from string import ascii_letters

import numpy as np
from rich.segment import Segment
from textual.events import Resize
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from detui.tui.language import tr
from detui.tui.output import number as shown
from detui.tui.widgets.axes import Limits, grown, steady
from detui.tui.widgets.canvas import Canvas, Stroke, cell_of, drawn
from detui.tui.widgets.frame import MARGIN, legend, plain_number, x_axis, y_labels
from detui.tui.widgets.palette import DIM
from detui.tui.widgets.series import Line, Series, last_value, prepared, shrunk, value_near
from detui.tui.widgets.view import View, moved, points_between, zoomed

__all__ = ["SMOOTHING", "Chart", "Series", "plain_number"]

SMOOTHING = (0.0, 0.6, 0.9, 0.97)
"""Weights of the moving average, in the order in which a key goes through them."""


@dataclass(slots=True)
class _Picture:
    """What is on the screen."""

    canvas: Canvas | None = None
    frame: tuple[object, ...] = ()
    """Everything around the cells: a change of it redraws the whole."""
    strips: list[Strip] = field(default_factory=list)


class Chart(Widget):
    """Lines over steps, epochs or seconds, with a title, a legend with the last values, and labelled axes.

    A cursor reads the values at one x, in the legend. A part of the x axis can be shown alone. Curves can be smoothed.
    """

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
        self._x_form: Callable[[float], str] = plain_number
        self._ascii = ascii_only
        self._series: Sequence[Series] = ()
        self._lines: list[Line] | None = None
        """The series as they are drawn; None until they are needed."""
        self._log = False
        self._weight = 0.0
        self._x: Limits | None = None
        self._x_most: float | None = None
        self._y: Limits | None = None
        self._view: View | None = None
        self._cursor: float | None = None
        self._base: Canvas | None = None
        """The cells without the cursor, which moves much more often than they change."""
        self._picture = _Picture()

    @property
    def title(self) -> str:
        """What the chart shows."""
        return self._title

    @property
    def x_label(self) -> str:
        """What the x axis counts."""
        return self._x_label

    @property
    def smoothing(self) -> float:
        """The weight of the moving average, 0 where nothing is smoothed."""
        return self._weight

    @property
    def cursor(self) -> float | None:
        """The x of the cursor, None where there is none."""
        return self._cursor

    @property
    def limits(self) -> Limits | None:
        """From where to where the x axis goes at present, None before anything was drawn."""
        return None if self._x is None else self._visible()

    def set_series(
        self,
        series: Sequence[Series],
        *,
        x_label: str | None = None,
        x_most: float | None = None,
        x_form: Callable[[float], str] = plain_number,
    ) -> None:
        """Show these lines. Only the cells that changed are sent to the terminal.

        `x_most`: where the x axis will end, if that is known. `x_form`: how an x is written. Another `x_label` shows
        everything again, without a cursor.
        """
        if x_label and x_label != self._x_label:
            self._x_label = x_label
            self._x = self._view = self._cursor = None
        if x_most != self._x_most:
            self._x = None
        self._x_most, self._x_form = x_most, x_form
        named = (_named(one, place) for place, one in enumerate(series))
        self._series = [one for one in named if np.isfinite(one.x).any()]
        self._lines = None
        self._update()

    def describe(self, title: str, form: Callable[[float | None], str] = shown) -> None:
        """Show something else from the next `set_series` on: its title, and how its values are written."""
        self._title, self._form = title, form
        self._y = None

    def toggle_log(self) -> None:
        """Change between a linear and a logarithmic y axis."""
        self._log = not self._log
        self._y = None
        self._update()

    def set_smoothing(self, weight: float) -> None:
        """Smooth the curves with a weight from 0 (not at all) to below 1."""
        self._weight = weight
        self._lines = None
        self._y = None
        self._update()

    def move_cursor(self, by: int) -> None:
        """Move the cursor by so many columns, at least to the next point; the first time, put it at the end."""
        lines = self._prepare()
        if not lines or self._x is None:
            return
        now = self._visible()
        if self._cursor is None:
            ends = [float(line.x[-1]) for line in lines]
            inside = [end for end in ends if now.low <= end <= now.high]
            self._cursor = max(inside) if inside else moved(lines, now.high, -0.0)
        else:
            self._cursor = moved(lines, self._cursor, by * (now.high - now.low) / max(1, self._columns))
        self._place()

    def place_cursor(self, x: float | None) -> None:
        """Put the cursor at an x, or take it away."""
        self._cursor = x
        self._place()

    def clear_cursor(self) -> None:
        """Take the cursor away."""
        self.place_cursor(None)

    def zoom(self, by: int) -> None:
        """Show half of the x range for +1, twice as much for -1, up to everything.

        It goes around the cursor; without one the end stays, and is followed. With everything shown, -1 takes the
        cursor away.
        """
        if self._x is None:
            return
        if by < 0 and self._view is None:
            self.clear_cursor()
            return
        view = zoomed(self._view, self._x, self._cursor, by)
        if view and by > 0 and points_between(self._prepare(), view.limits(self._x, self._last)) < 2:
            return  # there is nothing to be seen between two points
        self._view = view
        self._y = None
        self._update()

    def on_resize(self, event: Resize) -> None:
        """Draw anew in the new size."""
        self._update()

    def render_line(self, y: int) -> Strip:
        """Return one line of the picture."""
        strips = self._picture.strips
        strip = strips[y] if y < len(strips) else Strip([])
        return strip.adjust_cell_length(self.size.width).apply_style(self.rich_style)

    @property
    def _columns(self) -> int:
        return self.size.width - MARGIN - 1

    @property
    def _last(self) -> float:
        return max((float(line.x[-1]) for line in self._prepare()), default=0.0)

    def _prepare(self) -> list[Line]:
        """Return the lines, smoothed. Once for new data: with a million points this takes most of the time."""
        if self._lines is None:
            self._lines = [prepared(one, self._weight) for one in self._series]
        return self._lines

    def _visible(self) -> Limits:
        assert self._x is not None
        return self._x if self._view is None else self._view.limits(self._x, self._last)

    def _place(self) -> None:
        """Draw after the cursor moved; where it left what is shown, show what it points at."""
        before = self._view
        if self._cursor is not None and self._view is not None and self._x is not None:
            self._view = self._view.holding(self._cursor, self._x, self._last)
        if self._view != before:
            self._update()
        else:
            self._refresh_changes(self._assemble())

    def _update(self) -> None:
        self._refresh_changes(self._draw())

    def _refresh_changes(self, after: _Picture) -> None:
        before, self._picture = self._picture, after
        same = before.canvas is not None and after.canvas is not None and before.frame == after.frame
        if not same:
            self.refresh()
            return
        assert before.canvas is not None and after.canvas is not None
        if before.strips[0] != after.strips[0]:
            self.refresh(Region(0, 0, self.size.width, 1))
        changes = before.canvas.changes(after.canvas)
        if changes:
            self.refresh(*(region.translate((MARGIN + 1, 1)) for region in changes))

    def _draw(self) -> _Picture:
        columns, rows = self._columns, self.size.height - 2
        self._base = None
        if columns >= 4 and rows >= 2 and self._prepare():
            strokes = self._fit(columns)
            if self._y is not None and strokes:
                assert self._x is not None
                x, y = self._visible(), self._y
                self._base = drawn(strokes, columns, rows, (x.low, x.high, y.low, y.high), ascii_only=self._ascii)
        return self._assemble()

    def _fit(self, columns: int) -> list[Stroke]:
        """Move the limits where the data asks for it. Returns what is visible; nothing where no value is finite."""
        lines = self._prepare()
        first, last = min(float(line.x[0]) for line in lines), self._last
        self._x = grown(self._x, first, last, self._x_most)
        now = self._visible()
        parts = [shrunk(line, now.low, now.high, 2 * columns, log=self._log) for line in lines]
        values = np.concatenate([one[np.isfinite(one)] for part in parts for one in part.values])
        if not len(values):
            return []
        self._y = steady(self._y, float(values.min()), float(values.max()))
        several = len(lines) > 1
        return [
            Stroke(part, one.colour or 0, (one.letter or "") if several else "")
            for part, one in zip(parts, self._series, strict=True)
        ]

    def _assemble(self) -> _Picture:
        """Return the picture from the cells, with the cursor."""
        if not self.size.area:
            return _Picture()  # hidden: what came meanwhile is drawn when it gets a size
        base = self._base
        if base is None:
            text = tr("nothing above 0") if self._log and self._series else tr("nothing yet")
            return _Picture(strips=[self._legend(), Strip([Segment(f"{'':{MARGIN}} {text}", DIM)])])
        assert self._y is not None
        now = self._visible()
        rows, columns = base.glyph.shape
        if self._cursor is not None and now.low <= self._cursor <= now.high:
            base = base.with_cursor(cell_of(self._cursor, now.low, now.high, columns), ascii_only=self._ascii)
        labels = y_labels(self._y, rows, self._form, log=self._log, ascii_only=self._ascii)
        plot = [Strip([label, *base.row(row)]) for row, label in enumerate(labels)]
        axis = x_axis(self._x_form(now.low), self._x_label, self._x_form(now.high), columns, ascii_only=self._ascii)
        frame = (now, self._y, rows, columns, axis.text, *(label.text for label in labels))
        return _Picture(base, frame, [self._legend(), *plot, axis])

    def _legend(self) -> Strip:
        """Return the first line: title, then each line's label and value."""
        title = self._title + (f" {tr('log')}" if self._log else "")
        title += f" {tr('smooth {weight}', weight=f'{self._weight:g}')}" if self._weight else ""
        if self._cursor is not None:
            title += f"  {self._x_label} {self._x_form(self._cursor)}"
        found = self.readings()
        values = [self._form(found[one.letter or ""]) for one in self._series]
        return legend(
            title, self._series, values, self.size.width, cursor=self._cursor is not None, ascii_only=self._ascii
        )

    def readings(self) -> dict[str, float | None]:
        """Return each line's value at the cursor, by its letter; without a cursor, its last value."""
        lines = {one.letter or "": line for one, line in zip(self._series, self._prepare(), strict=True)}
        if self._cursor is None:
            return {letter: last_value(line) for letter, line in lines.items()}
        now = self._visible() if self._x is not None else Limits(0.0, 0.0)
        reach = (now.high - now.low) / max(1, self._columns)
        return {letter: value_near(line, self._cursor, reach) for letter, line in lines.items()}


def _named(series: Series, place: int) -> Series:
    """Return a line with a letter and a colour: its own, or those of its place in the chart."""
    letter = series.letter or ascii_letters[place % len(ascii_letters)]
    colour = place if series.colour is None else series.colour
    return replace(series, x=np.asarray(series.x, dtype=np.float64), letter=letter, colour=colour)
