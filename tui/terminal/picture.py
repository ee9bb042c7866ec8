"""The picture that Textual wants on the terminal, cell by cell, read from what it writes."""

from __future__ import annotations

import re
from functools import lru_cache

from rich.cells import split_graphemes

from detui.tui.terminal.styles import PLAIN, Styles, UnknownSequence

# A style with the text that follows it, which is nearly all there is; a position; a hyperlink; other text.
_TOKEN = re.compile(
    r"\x1b\[([\d;]*)m([^\x00-\x1f\x7f-\x9f]*)"
    r"|\x1b\[(\d*)(?:;(\d*))?H"
    r"|\x1b\]8;([^\x00-\x1f]*)\x1b\\"
    r"|(\n)"
    r"|([^\x00-\x1f\x7f-\x9f]+)"
    r"|\x1b\[(\d*)([A-DG])"
    r"|(\r)"
)
_STYLE, _TEXT, _ROW, _COLUMN, _LINK, _LINE, _BARE, _BY, _WAY, _RETURN = range(1, 11)
# One cell each: Latin, Greek and Cyrillic letters, lines, blocks, braille.
_NARROW = re.compile("[ -~\u00a1-\u00ac\u00ae-\u02ff\u0391-\u03ff\u0400-\u0482\u2500-\u25fc\u2800-\u28ff]*")


@lru_cache(4096)
def cells(text: str) -> list[str]:
    """Return what each cell of a text holds. The second cell of a wide character holds nothing.

    Whatever has no width joins the cell before it; without one it is left out, as terminals do.
    """
    if _NARROW.fullmatch(text):
        return list(text)
    found: list[str] = []
    for start, end, width in split_graphemes(text)[0]:
        if width:
            found += [text[start:end], *[""] * (width - 1)]
        elif found:
            last = len(found) - 1 if found[-1] else len(found) - 2
            found[last] += text[start:end]
    return found


class Picture:
    """Rows of characters and of styles, and the place of the cursor."""

    def __init__(self, styles: Styles, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.characters = [[" "] * columns for _ in range(rows)]
        self.styles = [[PLAIN] * columns for _ in range(rows)]
        self.x, self.y = 0, 0
        self.changed: set[int] = set()
        """Rows that were drawn on since somebody emptied this."""
        self._known = styles
        self._style = PLAIN
        self._drawn = 0

    def draw(self, data: str) -> bool:
        """Do what a terminal without line wrap does. Returns whether every cell was drawn anew.

        Raises UnknownSequence: then the picture is no longer what a terminal shows.
        """
        self._drawn = 0
        place, end = 0, len(data)
        scan = _TOKEN.match
        while place < end:
            found = scan(data, place)
            if found is None:
                raise UnknownSequence(repr(data[place : place + 20]))
            place = found.end()
            kind = found.lastindex
            if kind == _TEXT:
                parameters, text = found.group(_STYLE, _TEXT)
                self._style = self._known.after(self._style, parameters)
                if text:
                    self._write(text)
            elif kind == _BARE:
                self._write(found[_BARE])
            elif kind in (_ROW, _COLUMN):
                self._go(int(found[_COLUMN] or 1) - 1, int(found[_ROW] or 1) - 1)
            else:
                self._rarely(found)
        return self._drawn >= self.columns * self.rows

    def _rarely(self, found: re.Match[str]) -> None:
        kind = found.lastindex
        if kind == _LINE:
            self._go(0, self.y + 1)
        elif kind == _RETURN:
            self._go(0, self.y)
        elif kind == _LINK:
            self._style = self._known.linked(self._style, found[_LINK])
        else:
            by = int(found[_BY] or 1)
            across, down = {"A": (0, -by), "B": (0, by), "C": (by, 0), "D": (-by, 0)}.get(found[_WAY], (0, 0))
            x = by - 1 if found[_WAY] == "G" else self.x + across
            self._go(x, self.y + down)

    def _go(self, x: int, y: int) -> None:
        self.x = min(max(x, 0), self.columns - 1)
        self.y = min(max(y, 0), self.rows - 1)

    def _write(self, text: str) -> None:
        new: list[str] | str = text if text.isascii() else cells(text)
        start, y = self.x, self.y
        stop = start + len(new)
        if stop > self.columns:
            # Without line wrap the last column is written over and over; Textual does not go there.
            raise UnknownSequence("text beyond the last column")
        row = self.characters[y]
        if row[start] == "" and start:
            row[start - 1] = " "  # the second half of a wide character goes, and the first with it
        if stop < self.columns and row[stop] == "":
            row[stop] = " "
        row[start:stop] = new
        self.styles[y][start:stop] = [self._style] * len(new)
        self.changed.add(y)
        self._drawn += len(new)
        self.x = stop
