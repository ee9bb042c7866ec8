"""A log that grows: follows its end or stays, and finds a text."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from detui.tui.output import width

_FOUND = Style(reverse=True, bold=True)
_KEPT = 20_000
"""Lines that are kept; the older go."""


class LogView(ScrollView, can_focus=False):
    """Lines of plain text. What is sought stands reversed, and the line that was jumped to is marked."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: list[str] = []
        self._widest = 0
        self._sought = ""
        self._at: int | None = None
        self._follow = True

    @property
    def following(self) -> bool:
        """Whether the end stays in sight while the log grows."""
        return self._follow

    def write_lines(self, lines: Sequence[str]) -> None:
        """Add lines."""
        if not lines:
            return
        self._lines += lines
        gone = len(self._lines) - _KEPT
        if gone > 0:
            del self._lines[:gone]
            self._at = None if self._at is None or self._at < gone else self._at - gone
        self._widest = max(self._widest, *map(width, lines))
        self.virtual_size = Size(self._widest + 2, len(self._lines))
        if self._follow:
            self.call_after_refresh(self._to_end)
        self.refresh()

    def _to_end(self) -> None:
        if self._follow:
            self.scroll_end(animate=False)

    def follow(self, follow: bool) -> None:
        """Follow the end from now on, or stay."""
        self._follow = follow
        if follow:
            self.scroll_end(animate=False)

    def move(self, by: int) -> None:
        """Scroll by lines, and stay there."""
        self._follow = False
        self.scroll_relative(y=by, animate=False)

    def to_top(self) -> None:
        """Show the first lines, and stay there."""
        self._follow = False
        self.scroll_home(animate=False)

    def search(self, text: str) -> int:
        """Mark a text, in any case of letters, and show its last place so far down. Returns how many lines hold it."""
        self._sought = text.lower()
        self._at = None
        found = self._matches()
        if found:
            shown = self.scroll_offset.y + self.size.height
            self._show(max((line for line in found if line < shown), default=found[0]))
        self.refresh()
        return len(found)

    def next_match(self, by: int) -> tuple[int, int] | None:
        """Go to the next line that was sought for +1, the one before for -1; wraps round.

        Returns its number among them from 1, and how many there are; None where there is none.
        """
        found = self._matches()
        if not found:
            return None
        at = -1 if self._at is None else self._at
        if by > 0:
            line = next((one for one in found if one > at), found[0])
        else:
            line = next((one for one in reversed(found) if one < at), found[-1])
        self._show(line)
        return found.index(line) + 1, len(found)

    def _matches(self) -> list[int]:
        if not self._sought:
            return []
        return [index for index, line in enumerate(self._lines) if self._sought in line.lower()]

    def _show(self, line: int) -> None:
        self._follow = False
        self._at = line
        self.scroll_to(y=max(0, line - self.size.height // 2), animate=False)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one line."""
        x, top = self.scroll_offset
        index = y + top
        columns = self.size.width
        if index >= len(self._lines):
            return Strip.blank(columns, self.rich_style)
        mark = Segment(">" if index == self._at else " ")
        strip = Strip([mark, *self._segments(self._lines[index])]).crop_extend(x, x + columns, self.rich_style)
        return strip.apply_style(self.rich_style)

    def _segments(self, line: str) -> list[Segment]:
        if not self._sought or self._sought not in line.lower():
            return [Segment(line)]
        lower, at, segments = line.lower(), 0, []
        while (found := lower.find(self._sought, at)) >= 0:
            end = found + len(self._sought)
            segments += [Segment(line[at:found]), Segment(line[found:end], _FOUND)]
            at = end
        return [*segments, Segment(line[at:])]
