"""One of a few things, chosen with a key."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Static

from detui.tui.language import tr


class ChooseScreen(ModalScreen["str | None"]):
    """Its result is the choice, None where escape was pressed. Each choice has its number, and its first letter."""

    CSS_PATH = "confirm.tcss"

    def __init__(self, question: str, choices: Sequence[str]) -> None:
        super().__init__()
        self._question = question
        self._choices = choices

    def compose(self) -> ComposeResult:
        """Show the question and the choices."""
        with Vertical():
            yield Static(self._question, markup=False, id="question")
            lines = [f"{number}  {choice}" for number, choice in enumerate(self._choices, 1)]
            yield Static("\n".join([*lines, f"esc  {tr('none of them')}"]), markup=False, id="answers")

    def on_key(self, event: Key) -> None:
        """Take the choice with that number or letter."""
        event.stop()
        event.prevent_default()
        if event.key in ("escape", "q"):
            self.dismiss(None)
        for number, choice in enumerate(self._choices, 1):
            if event.key in (str(number), choice[0]):
                self.dismiss(choice)
