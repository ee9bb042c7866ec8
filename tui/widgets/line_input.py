"""A line to type in."""

from __future__ import annotations

from textual.widgets import Input


class LineInput(Input):
    """Textual's input with a cursor that stands still: each blink would go over somebody's link."""

    def on_mount(self) -> None:
        """Stop the blinking."""
        self.cursor_blink = False
