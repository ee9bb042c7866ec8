"""One line of tabs, of which one is open."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.events import Click
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from detui.tui.language import tr
from detui.tui.output import width
from detui.tui.widgets.palette import DIM

_OPEN = Style(bold=True, underline=True)


class TabBar(Widget):
    """The names of the tabs; a click, or the screen's keys, opens one."""

    DEFAULT_CSS = "TabBar { height: 1; width: 1fr; }"

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index
            """Of the tab, from 0."""

    def __init__(self, names: Sequence[str]) -> None:
        """`names`: in English, as they go through `tr`."""
        super().__init__()
        self._names = list(names)
        self._notes = [""] * len(names)
        self._open = 0

    @property
    def open(self) -> int:
        """The index of the open tab."""
        return self._open

    def choose(self, index: int) -> None:
        """Open a tab; the index wraps round."""
        self._open = index % len(self._names)
        self.refresh()

    def note(self, index: int, text: str) -> None:
        """Write something beside the name of a tab, such as how many alarms there are."""
        if self._notes[index] != text:
            self._notes[index] = text
            self.refresh()

    def _texts(self) -> list[str]:
        names = [tr(name) + (f" {note}" if note else "") for name, note in zip(self._names, self._notes, strict=True)]
        return [f"[{name}]" if index == self._open else f" {name} " for index, name in enumerate(names)]

    def render_line(self, y: int) -> Strip:
        """Return the line."""
        segments = [Segment(" ")]
        for index, text in enumerate(self._texts()):
            segments += [Segment(text, _OPEN if index == self._open else DIM), Segment(" ")]
        return Strip(segments).adjust_cell_length(self.size.width).apply_style(self.rich_style)

    def on_click(self, event: Click) -> None:
        """Open what was clicked."""
        at = 1
        for index, text in enumerate(self._texts()):
            if at <= event.x < at + width(text):
                self.post_message(self.Chosen(index))
            at += width(text) + 1
