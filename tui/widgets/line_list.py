"""Lines of text with a cursor on some of them. Only the cells that changed are drawn and sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.segment import Segment
from rich.style import Style
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from detui.tui.output import width
from detui.tui.widgets.palette import cursor_style

_APART = 12
"""Unchanged cells between two changed ones from which on it is cheaper to move the terminal's cursor over them."""

Cell = tuple[str, Style | None]


@dataclass(frozen=True, slots=True)
class Line:
    """One line; the cursor stands only on those that have a key."""

    segments: tuple[Segment, ...]
    key: str = ""
    """Tells it from all other lines, wherever it moves; "" where there is nothing to choose."""
    run: Path | None = None
    """Directory of the run that it shows."""


class LineList(ScrollView, can_focus=False):
    """Lines, of which those with a key can be chosen."""

    class Chosen(Message):
        """The line under the cursor was clicked."""

    class Resized(Message):
        """There is another number of columns, for which other lines may be wanted."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[Line] = []
        self._key = ""

    @property
    def selected(self) -> Line | None:
        """The line under the cursor."""
        return next((line for line in self._lines if line.key and line.key == self._key), None)

    @property
    def columns(self) -> int:
        """Cells that a line may fill."""
        return self.size.width - 1

    def set_lines(self, lines: Sequence[Line]) -> None:
        """Show these lines. The cursor stays on its line; where that is gone it stands on one near it."""
        before, at = self._lines, self._index
        self._lines = list(lines)
        self._follow(at)
        after = self._index
        if len(before) != len(lines):
            self.virtual_size = Size(self.size.width, len(lines))
            self.refresh()
            return
        for index, (old, new) in enumerate(zip(before, lines, strict=True)):
            if (index == at) != (index == after):
                self.refresh_line(index)
            elif old.segments != new.segments:
                for start, end in _changed(old, new):
                    self._refresh_cells(index, start, end)

    def _follow(self, at: int | None) -> None:
        keys = [line.key for line in self._lines]
        if self._key in keys and self._key:
            return
        there = [index for index, key in enumerate(keys) if key]
        self._key = keys[min(there, key=lambda index: abs(index - (at or 0)))] if there else ""

    @property
    def _index(self) -> int | None:
        return next((i for i, line in enumerate(self._lines) if line.key and line.key == self._key), None)

    def _refresh_cells(self, index: int, start: int, end: int) -> None:
        x, y = self.scroll_offset
        self.refresh(Region(start + 1 - x, index - y, end - start, 1))  # the first column is the cursor's

    def move(self, by: int) -> None:
        """Move the cursor by so many of the lines that can be chosen; beyond the last, show what stands there."""
        there = [index for index, line in enumerate(self._lines) if line.key]
        if self._index is None:
            self.scroll_relative(y=by, animate=False)
            return
        at = there.index(self._index)
        to = max(0, min(at + by, len(there) - 1))
        if to == at:  # headings and free devices lie beyond the first and the last
            self.scroll_relative(y=by, animate=False)
        self._choose(there[to])

    def _choose(self, index: int) -> None:
        before = self._index
        self._key = self._lines[index].key
        if before == index or before is None:
            return
        top, height = self.scroll_offset.y, self.size.height
        if not top <= index < top + height:
            self.scroll_to(y=index if index < top else index - height + 1, animate=False)
        self.refresh_line(before)
        self.refresh_line(index)

    def to_end(self, *, last: bool) -> None:
        """Move the cursor to the last line that can be chosen, or to the first, and show that end."""
        there = [index for index, line in enumerate(self._lines) if line.key]
        if there:
            self._choose(there[-1 if last else 0])
        self.scroll_to(y=len(self._lines) if last else 0, animate=False)

    def page(self, pages: int) -> None:
        """Scroll by pages; the cursor goes to a line that is then to be seen, where one is."""
        height = max(1, self.size.height - 1)
        most = max(0, len(self._lines) - self.size.height)
        top = max(0, min(self.scroll_offset.y + pages * height, most))
        self.scroll_to(y=top, animate=False)
        shown = [i for i, line in enumerate(self._lines) if line.key and top <= i < top + self.size.height]
        if shown and self._index is not None:
            self._choose(shown[-1 if pages > 0 else 0])

    def on_click(self, event: Click) -> None:
        """Choose the line that was clicked; open it where it was chosen already."""
        index = event.y + self.scroll_offset.y
        if index >= len(self._lines) or not self._lines[index].key:
            return
        if index == self._index:
            self.post_message(self.Chosen())
        else:
            self._choose(index)

    def on_resize(self) -> None:
        """Ask for lines of the new width."""
        self.post_message(self.Resized())

    def render_line(self, y: int) -> Strip:
        """Return one line."""
        index, columns = y + self.scroll_offset.y, self.size.width
        if index >= len(self._lines):
            return Strip.blank(columns, self.rich_style)
        here = index == self._index
        strip = Strip([Segment(">" if here else " "), *self._lines[index].segments]).adjust_cell_length(columns)
        return strip.apply_style(self.rich_style + cursor_style() if here else self.rich_style)


def _cells(line: Line) -> Iterator[Cell]:
    """Yield each cell; the second one of a wide character is empty."""
    for segment in line.segments:
        for character in segment.text:
            columns = width(character)
            yield character, segment.style
            for _ in range(columns - 1):
                yield character, segment.style


def _changed(old: Line, new: Line) -> list[tuple[int, int]]:
    """Return the stretches of cells that differ, as start and end; near ones as one."""
    before, after = list(_cells(old)), list(_cells(new))
    length = max(len(before), len(after))
    blank: Cell = (" ", None)
    before += [blank] * (length - len(before))
    after += [blank] * (length - len(after))
    found: list[tuple[int, int]] = []
    for index in range(length):
        if before[index] == after[index]:
            continue
        if found and index - found[-1][1] < _APART:
            found[-1] = (found[-1][0], index + 1)
        else:
            found.append((index, index + 1))
    return found
