"""A line to type in at the bottom of a screen: a filter, or what to search for. Hidden until it is wanted."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.events import Key
from textual.message import Message
from textual.widgets import Input, Static

from detui.tui.language import tr
from detui.tui.widgets.line_input import LineInput


class AskLine(Horizontal):
    """A word that says what is asked, the line to type in, and room for a complaint."""

    DEFAULT_CSS = """
    AskLine { height: 1; width: 1fr; dock: bottom; margin-bottom: 1; display: none; background: $surface; }
    AskLine Static { width: auto; height: 1; padding: 0 1; }
    AskLine #complaint { color: $text-error; }
    AskLine Input, AskLine Input:focus { height: 1; width: 1fr; border: none; padding: 0; background: $surface; }
    """

    class Changed(Message):
        """Something was typed."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text
            """The whole line."""

    class Done(Message):
        """The person is done typing: enter keeps the text, escape took it away."""

    def __init__(self, what: str) -> None:
        """`what`: one word for what is asked, in English, as it goes through `tr`."""
        super().__init__()
        self._what = what

    def compose(self) -> ComposeResult:
        """Lay out the parts."""
        yield Static("", id="what", markup=False)
        yield LineInput(compact=True)
        yield Static("", id="complaint", markup=False)

    def ask(self) -> None:
        """Show the line, and type into it."""
        self.query_one("#what", Static).update(f"{tr(self._what)}:")
        # At once, and not when the style sheet has been applied: what is typed next must not reach the screen's keys.
        self.display = True
        self.screen.set_focus(self.query_one(Input))

    def complain(self, text: str) -> None:
        """Say what is wrong with the line; "" where nothing is."""
        self.query_one("#complaint", Static).update(text)

    @property
    def value(self) -> str:
        """What stands in the line."""
        return self.query_one(Input).value

    def on_input_changed(self, event: Input.Changed) -> None:
        """Tell the screen at each letter."""
        event.stop()
        self.post_message(self.Changed(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the text, and go back."""
        event.stop()
        self._leave()

    def on_key(self, event: Key) -> None:
        """Escape takes the text away, and goes back."""
        if event.key == "escape":
            event.stop()
            event.prevent_default()
            self.query_one(Input).value = ""
            self._leave()

    def _leave(self) -> None:
        if not self.value:
            self.display = False
        self.post_message(self.Done())
