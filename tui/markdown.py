"""Markdown of records, made ready for a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
_JOINT = "\ue000"
"""Stands for a blank within a placeholder while lines are wrapped, so that no placeholder is torn apart."""


_IMAGE = re.compile(r"!\[([^\]]*)\]\(<?([^)>]*)>?\)")
_VARIATION = "\ufe0f"
"""Asks for a coloured sign: terminals do not agree on its width, so the sign stands plain."""


def without_comments(text: str) -> str:
    """Return Markdown without HTML comments: they mark who owns a block, and are not for reading."""
    return _COMMENT.sub("", text)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a line in one style."""

    text: str
    style: object | None
    """A rich Style."""
    hole: bool = False
    """Whether it is a placeholder."""


def rendered(text: str, columns: int) -> list[list[Piece]]:
    """Return Markdown as lines of at most `columns` cells, with the placeholders that wait for a person told apart."""
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.theme import Theme

    from detui.engine.record.foreign.holes import bracketed

    source = _IMAGE.sub(r"→ `\2`", without_comments(text).replace(_VARIATION, ""))
    for start, end in reversed(bracketed(source)):
        source = source[:start] + source[start:end].replace(" ", _JOINT) + source[end:]
    # Rich's own style of code has a black ground, which stands out on a light one.
    theme = Theme({"markdown.code": "bold"})
    # With a height of its own: without one, rich takes 80 columns wherever TERM is dumb, whatever width it is given.
    console = Console(
        width=columns, height=1000, force_terminal=True, color_system="truecolor", legacy_windows=False, theme=theme
    )
    found = []
    for line in console.render_lines(Markdown(source), pad=False):
        pieces: list[Piece] = []
        for segment in line:
            pieces += _pieces(segment.text.replace(_JOINT, " "), segment.style, bracketed)
        found.append(pieces)
    return found


def _pieces(text: str, style: object | None, holes: Callable[[str], list[tuple[int, int]]]) -> list[Piece]:
    pieces, at = [], 0
    for start, end in holes(text):
        pieces += [Piece(text[at:start], style), Piece(text[start:end], style, hole=True)]
        at = end
    return [piece for piece in [*pieces, Piece(text[at:], style)] if piece.text]
