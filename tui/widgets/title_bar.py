"""The first line of every screen: where one is, and the workspace."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from detui.tui.language import tr
from detui.tui.output import cut, pad
from detui.tui.widgets.palette import DIM, WARNING

LEAST = (60, 16)
"""Columns and rows of the smallest terminal on which every screen is whole."""

PLACES = ("Runs", "Recipes", "Compare", "Devices", "Record")
"""The five places, in the order of their keys 1 to 5."""


class TitleBar(Widget):
    """Name, the three main places with the present one marked, and a note at the right."""

    DEFAULT_CSS = "TitleBar { height: 1; width: 1fr; dock: top; }"

    def __init__(self, place: str, note: str = "") -> None:
        """`place`: "Runs", "Recipes", "Compare", "Devices" or "Record"."""
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
            least = f"{LEAST[0]}×{LEAST[1]}"
            text = " " + tr("{size} is small: detui needs {least}", size=f"{columns}×{rows}", least=least)
            return Strip([Segment(text, WARNING)]).adjust_cell_length(self.size.width).apply_style(self.rich_style)
        segments = [Segment(" detui ", Style(bold=True, reverse=True))]
        for number, place in enumerate(PLACES, 1):
            here = place == self._place
            text = f"{number} {tr(place)}" if here or columns >= 72 else str(number)
            segments.append(Segment(f"[{text}]" if here else f" {text} ", Style(bold=True) if here else DIM))
        room = self.size.width - sum(segment.cell_length for segment in segments) - 2
        note = cut(self._note, room - 1) if room > 9 else ""
        segments.append(Segment(pad(note, room, right=True) if note else " " * max(0, room), DIM))
        return Strip(segments).adjust_cell_length(self.size.width).apply_style(self.rich_style)

    @property
    def note(self) -> str:
        """What stands at the right."""
        return self._note
