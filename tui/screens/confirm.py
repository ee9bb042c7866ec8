"""A question that names what will happen, before it does."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from detui.tui.keys import CONFIRM, bindings
from detui.tui.language import tr


class ConfirmScreen(ModalScreen[bool]):
    """Asks; its result is the answer."""

    CSS_PATH = "confirm.tcss"
    BINDINGS = bindings(CONFIRM)

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """Show the question and the two keys."""
        with Vertical():
            yield Static(self._question, markup=False, id="question")
            yield Static(f"y {tr('yes')}   n {tr('no')}", markup=False, id="answers")

    def action_yes(self) -> None:
        """Do it."""
        self.dismiss(True)

    def action_no(self) -> None:
        """Leave it."""
        self.dismiss(False)
