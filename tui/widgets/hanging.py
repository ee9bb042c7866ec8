"""Text whose wrapped lines go on below its own beginning instead of at the edge of the screen."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.text import Text

_LEAST = 12
"""Columns that an indent leaves to the text, on however narrow a screen."""


class Hanging:
    """One paragraph: `first` columns before its first line, `rest` (not fewer) before those it is wrapped into."""

    def __init__(self, text: Text, first: int = 0, rest: int = 2) -> None:
        self._text = text
        self._first = first
        self._rest = rest

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield its lines."""
        most = max(0, options.max_width - _LEAST)
        first, rest = min(self._first, most), min(self._rest, most)
        indent = first
        for line in self._text.wrap(console, options.max_width - rest, overflow="fold") or [Text()]:
            yield Segment(" " * indent)
            # A text without spans renders without its own style.
            yield from Segment.apply_style(line.render(console), console.get_style(self._text.style))
            yield Segment.line()
            indent = rest

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """It takes all the room there is, and can be read on little."""
        return Measurement(min(_LEAST, options.max_width), options.max_width)
