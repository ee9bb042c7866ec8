"""What a terminal must be sent so that it shows a picture, given what it shows already."""

from __future__ import annotations

from itertools import pairwise

from detui.tui.terminal.picture import Picture
from detui.tui.terminal.styles import PLAIN, Styles

_GAP = 8
"""Equal cells between two changes that may be cheaper to send again than to jump over."""


class Shadow:
    """The cells that a terminal shows, and where its cursor stands."""

    def __init__(self, styles: Styles) -> None:
        self._known = styles
        self._characters: list[list[str | None]] = []
        self._styles: list[list[int]] = []
        self._style = PLAIN
        self._x: int | None = None
        self._y: int | None = None
        self._out: list[str] = []

    def forget(self, picture: Picture) -> None:
        """Assume nothing of what the terminal shows, in the size of that picture."""
        self._characters = [[None] * picture.columns for _ in range(picture.rows)]
        self._styles = [[PLAIN] * picture.columns for _ in range(picture.rows)]
        picture.changed.update(range(picture.rows))

    def changes(self, picture: Picture) -> str:
        """Return what brings the terminal from what it shows to the picture, nothing where they agree.

        The sequences begin with an absolute move and end in the plain style, so that whatever was
        written in between, by whomever, spoils no more than its own cells.
        """
        self._x = self._y = None
        for y in sorted(picture.changed):
            if picture.characters[y] != self._characters[y] or picture.styles[y] != self._styles[y]:
                self._row(picture, y)
        picture.changed.clear()
        if self._style != PLAIN:
            self._out.append(self._known.way(self._style, PLAIN))
            self._style = PLAIN
        found = "".join(self._out)
        self._out.clear()
        return found

    def to_cursor(self, picture: Picture) -> str:
        """Return the move to where the picture has its cursor: input methods open their window there."""
        self._move(picture.x, picture.y, picture.columns)
        return self._out.pop() if self._out else ""

    def _row(self, picture: Picture, y: int) -> None:
        new, styles = picture.characters[y], picture.styles[y]
        old, before = self._characters[y], self._styles[y]
        blanks = self._known.blanks
        differing = [
            x
            for x, (a, b, s, t) in enumerate(zip(new, old, styles, before, strict=True))
            if a != b or (s != t and (a != " " or blanks[s] != blanks[t]))
        ]
        for start, stop in self._runs(differing, new, styles, y):
            self._move(start, y, picture.columns)
            self._write(new[start:stop], styles[start:stop])
            # After other characters than ASCII a terminal may stand elsewhere than we count; at the margin they differ.
            known = stop < picture.columns and all(map(str.isascii, new[start:stop])) and "" not in new[start:stop]
            self._x, self._y = (stop if known else None), y
        old[:], before[:] = new, styles

    def _runs(self, differing: list[int], new: list[str], styles: list[int], y: int) -> list[tuple[int, int]]:
        """Join cells that differ into stretches that are written in one go, whole characters each."""
        found: list[tuple[int, int]] = []
        for x in differing:
            start, stop = x, x + 1
            while start and new[start] == "":
                start -= 1
            while stop < len(new) and new[stop] == "":
                stop += 1
            if found and (start <= found[-1][1] or self._cheaper(new, styles, found[-1][1], start, y)):
                found[-1] = (found[-1][0], max(stop, found[-1][1]))
            else:
                found.append((start, stop))
        return found

    def _cheaper(self, new: list[str], styles: list[int], stop: int, start: int, y: int) -> bool:
        """Whether sending the equal cells from `stop` to `start` again costs no more than jumping over them."""
        if start - stop > _GAP:
            return False
        between = styles[stop - 1 : start + 1]
        cost = sum(len(one.encode()) for one in new[stop:start])
        cost += sum(len(self._known.way(a, b)) for a, b in pairwise(between) if a != b)
        jump = len(str(start + 1)) + 3 if not new[stop - 1].isascii() else 3 + (start - stop > 1)
        if between[0] != between[-1]:
            jump += len(self._known.way(between[0], between[-1]))
        return cost <= jump

    def _write(self, characters: list[str], styles: list[int]) -> None:
        blanks, way, append = self._known.blanks, self._known.way, self._out.append
        now = self._style
        for character, style in zip(characters, styles, strict=True):
            if style != now and character and (character != " " or blanks[style] != blanks[now]):
                append(way(now, style))
                now = style
            append(character)
        self._style = now

    def _move(self, x: int, y: int, columns: int) -> None:
        """Append the shortest move from where the cursor stands."""
        if (self._x, self._y) == (x, y):
            return
        place = f"{y + 1};{x + 1}" if x else str(y + 1) if y else ""
        ways = [f"\x1b[{place}H"]
        if self._y == y:
            ways.append(f"\x1b[{x + 1}G" if x else "\r")
        if self._x is not None and self._y is not None:
            ways.append(_across(x - self._x) + _down(y - self._y))
        self._out.append(min(ways, key=len))
        self._x, self._y = x, y


def _across(by: int) -> str:
    if -4 <= by <= 0:
        return "\b" * -by
    return f"\x1b[{abs(by) if abs(by) > 1 else ''}{'C' if by > 0 else 'D'}"


def _down(by: int) -> str:
    return f"\x1b[{abs(by) if abs(by) > 1 else ''}{'B' if by > 0 else 'A'}" if by else ""
