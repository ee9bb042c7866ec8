"""The styles of cells, as small numbers, and the shortest way from one to another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, lru_cache

PLAIN = 0
"""The number of the style that a terminal begins with."""
_OFF = {1: 22, 2: 22, 3: 23, 4: 24, 21: 24, 5: 25, 6: 25, 7: 27, 8: 28, 9: 29, 51: 54, 52: 54, 53: 55}
"""Codes that switch an attribute on, and the code that switches it off."""
_SEEN_ON_BLANKS = frozenset({4, 5, 6, 7, 9, 21, 51, 52, 53})
"""Attributes that show where there is only a space."""


class UnknownSequence(ValueError):
    """Something was written that is no part of what Textual draws with."""


@dataclass(frozen=True, slots=True)
class _Style:
    on: frozenset[int] = frozenset()
    """Codes of the attributes."""
    fore: str = ""
    """Parameters of the colour, "38;2;255;0;0"; empty for the terminal's own."""
    back: str = ""
    link: str = ""
    """What follows "8;" in the sequence that begins a hyperlink."""


class Styles:
    """Numbers every style that was seen. Two equal numbers are two equal styles."""

    def __init__(self) -> None:
        plain = _Style()
        self._all = [plain]
        self._numbers = {plain: PLAIN}
        self._after: dict[tuple[int, str], int] = {}
        self._blanks = [PLAIN]
        self._ways: dict[tuple[int, int], str] = {}

    @property
    def blanks(self) -> list[int]:
        """For each style, the number of what a space shows of it: two equal ones look the same on spaces."""
        return self._blanks

    def after(self, style: int, parameters: str) -> int:
        """Return the style after CSI `parameters` m. Raises UnknownSequence."""
        found = self._after.get((style, parameters))
        if found is None:
            found = self._after[style, parameters] = self._number(_changed(self._all[style], parameters))
        return found

    def linked(self, style: int, link: str) -> int:
        """Return the style with that hyperlink; ";" and "" end one."""
        return self._number(replace(self._all[style], link="" if link == ";" else link))

    def way(self, before: int, after: int) -> str:
        """Return the shortest sequence that leads from one style to another."""
        found = self._ways.get((before, after))
        if found is None:
            found = self._ways[before, after] = _way(self._all[before], self._all[after])
        return found

    def _number(self, style: _Style) -> int:
        found = self._numbers.get(style)
        if found is None:
            found = self._numbers[style] = len(self._all)
            self._all.append(style)
            self._blanks.append(found)  # first, because what shows of a style may be that style
            self._blanks[found] = self._number(_on_blank(style))
        return found


def _on_blank(style: _Style) -> _Style:
    seen = style.on & _SEEN_ON_BLANKS
    # Reversed, or with a line in the colour of the text, the colour shows.
    return _Style(seen, style.fore, style.back, style.link) if seen else _Style(back=style.back, link=style.link)


@lru_cache(4096)
def _changed(style: _Style, parameters: str) -> _Style:
    codes = iter(parameters.split(";"))
    for word in codes:
        code = int(word or 0)
        if code == 0:
            style = _Style(link=style.link)
        elif code in _OFF:
            style = replace(style, on=style.on | {code})
        elif 22 <= code <= 29 or code in (54, 55):
            style = replace(style, on=frozenset(one for one in style.on if _OFF[one] != code))
        elif 30 <= code <= 37 or 90 <= code <= 97:
            style = replace(style, fore=word)
        elif 40 <= code <= 47 or 100 <= code <= 107:
            style = replace(style, back=word)
        elif code in (39, 49):
            style = replace(style, fore="") if code == 39 else replace(style, back="")
        elif code in (38, 48):
            kind = next(codes, "")
            rest = [next(codes, "") for _ in range({"5": 1, "2": 3}.get(kind, 0))]
            if not rest or not all(rest):
                raise UnknownSequence(parameters)
            colour = ";".join([word, kind, *rest])
            style = replace(style, fore=colour) if code == 38 else replace(style, back=colour)
        else:
            raise UnknownSequence(parameters)
    return style


@cache
def _codes(style: _Style) -> tuple[str, ...]:
    return (*map(str, sorted(style.on)), *filter(None, (style.fore, style.back)))


def _way(before: _Style, after: _Style) -> str:
    link = "" if before.link == after.link else f"\x1b]8;{after.link or ';'}\x1b\\"
    if (before.on, before.fore, before.back) == (after.on, after.fore, after.back):
        return link
    anew = f"\x1b[{';'.join(['0', *_codes(after)])}m" if _codes(after) else "\x1b[m"
    off = {_OFF[code] for code in before.on - after.on}
    # 22 ends bold and dim, 24 both underlines: what stays of such a pair is switched on again.
    on = {code for code in after.on if code not in before.on or _OFF[code] in off}
    words = [str(code) for code in (*sorted(off), *sorted(on))]
    if before.fore != after.fore:
        words.append(after.fore or "39")
    if before.back != after.back:
        words.append(after.back or "49")
    return link + min(f"\x1b[{';'.join(words)}m", anew, key=len)
