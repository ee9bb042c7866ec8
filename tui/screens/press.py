"""Asks for a key by having it pressed."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.events import Key as Pressed
from textual.screen import ModalScreen
from textual.widgets import Static

from detui.tui.keys import Key, display_of, forbidden
from detui.tui.language import tr


class PressScreen(ModalScreen["str | None"]):
    """Its result is the name of the key that was pressed, None where escape was."""

    CSS_PATH = "confirm.tcss"

    def __init__(self, key: Key) -> None:
        super().__init__()
        self._key = key

    def compose(self) -> ComposeResult:
        """Say what the key is for."""
        with Vertical():
            yield Static(f"{self._key.id}: {tr(self._key.tooltip)}", markup=False, id="question")
            yield Static(tr("Press the new key. esc leaves it as it is."), markup=False, id="answers")

    def on_key(self, event: Pressed) -> None:
        """Take the key, unless it never gets here when it matters."""
        event.stop()
        event.prevent_default()
        if event.key == "escape":
            self.dismiss(None)
        elif (bad := forbidden(event.key)) is not None:
            text = tr("{key} cannot be used: the terminal or tmux keeps it.", key=bad or display_of(event.key))
            self.query_one("#answers", Static).update(text)
        else:
            self.dismiss(event.key)
