"""The first line of every screen: where one is, and the workspace."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from detui.tui.output import cut, pad
from detui.tui.widgets.palette import DIM, WARNING

LEAST = (60, 16)
"""Columns and rows of the smallest terminal on which every screen is whole."""

_PLACES = ("1 Runs", "2 Recipes", "3 Record")


class TitleBar(Widget):
    """Name, the three main places with the present one marked, and a note at the right."""

    DEFAULT_CSS = "TitleBar { height: 1; width: 1fr; dock: top; }"

    def __init__(self, place: str, note: str = "") -> None:
        """`place`: "Runs", "Recipes" or "Record"."""
        super().__init__()
        self._place = place
        self._note = note

    def set_note(self, note: str) -> None:
        """Show something else at the right."""
        if note != self._note:
            self._note = note
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return the line; on a terminal that is too small, that."""
        columns, rows = self.app.size
        if columns < LEAST[0] or rows < LEAST[1]:
            text = f" {columns}×{rows} is small: detui needs {LEAST[0]}×{LEAST[1]}"
            return Strip([Segment(text, WARNING)]).adjust_cell_length(self.size.width).apply_style(self.rich_style)
        segments = [Segment(" detui ", Style(bold=True, reverse=True))]
        for place in _PLACES:
            here = place.endswith(self._place)
            segments.append(Segment(f" [{place}]" if here else f"  {place} ", Style(bold=True) if here else DIM))
        room = self.size.width - sum(segment.cell_length for segment in segments) - 2
        note = cut(self._note, room) if room > 8 else ""
        segments.append(Segment(pad(note, room, right=True) if note else " " * max(0, room), DIM))
        return Strip(segments).adjust_cell_length(self.size.width).apply_style(self.rich_style)

    @property
    def note(self) -> str:
        """What stands at the right."""
        return self._note
