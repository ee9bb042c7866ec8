"""Tables of plain cells as text for a screen, in whatever width there is."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from rich.style import Style
from rich.text import Text

from detui.engine.evaluate.tables import Grid
from detui.tui.output import DASH, pad, width
from detui.tui.widgets.palette import DIM

_TITLE = Style(bold=True)
_HEAD = Style(underline=True, dim=True)
_WARNS = Style(bold=True)
_GAP = "  "
_NEVER_FIRST = "，。、；：？！）》”"
"""What begins no line in Chinese."""


def grids_text(grids: Sequence[Grid], columns: int) -> Text:
    """Return tables below each other in `columns` columns of a terminal."""
    text = Text(no_wrap=True)
    for place, grid in enumerate(grids):
        if place:
            text.append("\n")
        for line, style in _lines(grid, columns):
            text.append(line + "\n", style)
    return text


def _lines(grid: Grid, columns: int) -> Iterator[tuple[str, Style | None]]:
    yield from ((line, _TITLE) for line in wrapped(grid.title, columns))
    wide = _widths([grid.head, *grid.rows])
    kept = _fitting(wide, columns)
    if any(grid.head):
        yield _row(grid.head[:kept], wide), _HEAD
    for row in grid.rows:
        style = _WARNS if row[-1].startswith("!") else None
        if len(row) == 1:
            yield from ((line, style) for line in wrapped(row[0], columns))
            continue
        yield _row(row[:kept], wide), style
        if kept < len(row):
            named = zip(grid.head[kept:], row[kept:], strict=True)
            rest = ", ".join(f"{name} {cell}".strip() for name, cell in named if cell.strip(DASH))
            yield from ((f"    {line}", style or DIM) for line in wrapped(rest, columns - 4) if line)
    if grid.note:
        yield from ((line, DIM) for line in wrapped(grid.note, columns))


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(width, column)) for column in zip(*rows, strict=True)]


def _fitting(wide: Sequence[int], columns: int) -> int:
    """Return how many columns of a table fit, one at least: the others are written below each row."""
    used, kept = 0, 0
    for one in wide:
        used += one + (len(_GAP) if kept else 0)
        if used > columns:
            break
        kept += 1
    return max(1, kept)


def _row(cells: Sequence[str], wide: Sequence[int]) -> str:
    texts = [pad(cell, wide[place], right=place > 0) for place, cell in enumerate(cells)]
    return _GAP.join(texts).rstrip()


def wrapped(text: str, columns: int) -> list[str]:
    """Return a text in lines; Chinese, which has no spaces, breaks anywhere."""
    if width(text) <= columns:
        return [text]
    if text.isascii() or width(text) == len(text):
        return textwrap.wrap(text, max(10, columns))
    lines, line = [], ""
    for character in text:
        if width(line + character) > columns:
            kept = line[-1:] if character in _NEVER_FIRST else ""
            lines.append(line.removesuffix(kept).rstrip())
            line = kept
        line += character if line or character != " " else ""
    return [*lines, line]
