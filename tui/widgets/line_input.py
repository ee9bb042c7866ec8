"""A line to type in."""

from __future__ import annotations

from textual.events import Key
from textual.widget import Widget
from textual.widgets import Input


class LineInput(Input):
    """Textual's input with a cursor that stands still: each blink would go over somebody's link."""

    def on_mount(self) -> None:
        """Stop the blinking."""
        self.cursor_blink = False


def take_late(line: Widget | None, event: Key) -> None:
    """Give a letter to the line that has the focus by now: it was typed before that, and nothing else took it."""
    if isinstance(line, Input) and event.is_printable and event.character is not None:
        line.insert_text_at_cursor(event.character)
        event.stop()
