"""Named numbers, one a line; only the lines that changed are sent."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from detui.tui.output import pad, width
from detui.tui.widgets.palette import DIM


class Numbers(ScrollView, can_focus=False):
    """Names and values in two columns."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[tuple[str, str]] = []
        self._left = 0

    def set_numbers(self, rows: Sequence[tuple[str, str]]) -> None:
        """Show these names and values."""
        before, self._rows = self._rows, list(rows)
        left, self._left = self._left, max((width(name) for name, _ in rows), default=0)
        if len(before) != len(rows) or left != self._left:
            self.virtual_size = Size(0, len(rows))
            self.refresh()
            return
        for index, (old, new) in enumerate(zip(before, rows, strict=True)):
            if old != new:
                self.refresh_line(index)

    def render_line(self, y: int) -> Strip:
        """Return one line."""
        index = y + self.scroll_offset.y
        segments: list[Segment] = []
        if index < len(self._rows):
            name, value = self._rows[index]
            segments = [Segment(f" {pad(name, self._left)}  ", DIM), Segment(value)]
        return Strip(segments).adjust_cell_length(self.size.width).apply_style(self.rich_style)
