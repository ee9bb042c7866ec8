"""All keys, made from the table of bindings, with the keys that a person chose."""

from __future__ import annotations

from collections.abc import Mapping

from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen

from detui.tui.grid_text import wrapped
from detui.tui.keys import CATEGORIES, HELP, MOVE, bindings, display_of
from detui.tui.language import tr
from detui.tui.output import pad, width
from detui.tui.screens.moving import PageMoves
from detui.tui.widgets.line_list import Line, LineList

_HEAD = Style(bold=True)
_KEY = Style(bold=True)
_LEAST = 12


class HelpScreen(PageMoves, ModalScreen[None]):
    """The list of keys; any of q, esc and ? closes it."""

    CSS_PATH = "help.tcss"
    KEYS = (HELP, MOVE)
    BINDINGS = bindings(*KEYS)

    def __init__(self, remapped: Mapping[str, str]) -> None:
        """`remapped`: id of a binding → its keys, where a person chose others."""
        super().__init__()
        self._remapped = remapped

    def compose(self) -> ComposeResult:
        """Show the table."""
        with Vertical():
            yield LineList()

    def on_line_list_resized(self) -> None:
        """Wrap the sentences to the width."""
        shown = self.query_one(LineList)
        shown.set_lines(help_lines(shown.columns, self._remapped))

    def action_close(self) -> None:
        """Close the list."""
        self.dismiss()

    def page(self) -> LineList:
        """Return the list."""
        return self.query_one(LineList)


def help_lines(columns: int, remapped: Mapping[str, str]) -> list[Line]:
    """Return all keys by category in lines of so many columns; a sentence goes on below its beginning."""
    texts = {key.id: display_of(remapped.get(key.id, key.keys)) for group in CATEGORIES.values() for key in group}
    left = max(_LEAST, *map(width, texts.values()))
    lines: list[Line] = []
    for category, keys in CATEGORIES.items():
        lines.append(Line((Segment(tr(category), _HEAD),)))
        for key in keys:
            first, *more = wrapped(tr(key.tooltip), columns - left - 4)
            lines.append(Line((Segment(f"  {pad(texts[key.id], left)}  ", _KEY), Segment(first))))
            lines += [Line((Segment(" " * (left + 4) + text),)) for text in more]
        lines.append(Line(()))
    lines.append(Line((Segment(tr("q, esc or ? closes this list. Keys can be changed in the settings: ,")),)))
    return lines
