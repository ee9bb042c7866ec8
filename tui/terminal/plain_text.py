"""Text for terminals that show nothing but ASCII, as wide as it was."""

from __future__ import annotations

import unicodedata

from rich.cells import cell_len

_ALIKE = {"–": "-", "—": "-", "−": "-", "·": ".", "…": "~", "×": "x", "│": "|", "┃": "|", "─": "-", "━": "-", "µ": "u",
          "≤": "<", "≥": ">", "←": "<", "→": ">", "↑": "^", "↓": "v", "•": "*", "‘": "'", "’": "'", "“": '"',
          "”": '"', "⠀": " ", "\u00a0": " "}  # fmt: skip


class _Table(dict[int, str]):
    """What `str.translate` asks for each character, found when it is first asked."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        found = self[code] = character if code < 128 else _nearest(character)
        return found


def _nearest(character: str) -> str:
    width = cell_len(character)
    if width == 0:
        return ""
    if character in _ALIKE:
        return _ALIKE[character].ljust(width)
    # A letter without its accent; the order of these blocks is Unicode's.
    letter = unicodedata.normalize("NFKD", character)[0]
    if letter.isascii() and letter.isprintable() and width == 1:
        return letter
    if "─" <= character <= "╿":
        return "+"
    if "▀" <= character <= "▟":
        return "#"
    return "*" if "⠀" <= character <= "⣿" else "?" * width


_TABLE = _Table()


def ascii_only(text: str) -> str:
    """Return the text with something alike, or a question mark, for every cell that is not ASCII."""
    return text if text.isascii() else text.translate(_TABLE)
