"""All keys, made from the table of bindings."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from detui.tui.keys import CATEGORIES
from detui.tui.output import pad


class HelpScreen(ModalScreen[None]):
    """The list of keys; any of q, esc and ? closes it."""

    CSS_PATH = "help.tcss"
    BINDINGS = [
        Binding("q,escape,question_mark", "close", "Close"),
        Binding("j,down", "scroll(1)", "Down", show=False),
        Binding("k,up", "scroll(-1)", "Up", show=False),
        Binding("pagedown,ctrl+d", "scroll(15)", "Page down", show=False),
        Binding("pageup,ctrl+u", "scroll(-15)", "Page up", show=False),
        Binding("g,home", "scroll(-9999)", "Top", show=False),
        Binding("G,end", "scroll(9999)", "Bottom", show=False),
    ]

    def compose(self) -> ComposeResult:
        """Show the table."""
        with VerticalScroll():
            yield Static(help_text())

    def action_close(self) -> None:
        """Close the list."""
        self.dismiss()

    def action_scroll(self, by: int) -> None:
        """Scroll by lines."""
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)


def help_text() -> Text:
    """Return all keys by category."""
    text = Text()
    for category, keys in CATEGORIES.items():
        text.append(f"{category}\n", "bold")
        for key in keys:
            text.append(f"  {pad(key.displays, 12)}", "cyan")
            text.append(f"{key.tooltip}\n")
        text.append("\n")
    text.append("q, esc or ? closes this list.", "grey62")
    return text
