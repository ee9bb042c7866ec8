"""The lines of a form: a choice between words, a tick, a line of text. One row each, keyboard and mouse alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.text import Text
from textual.containers import Horizontal, Vertical
from textual.events import Click, Key
from textual.message import Message
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Input, Static

from detui.tui.output import cut, width


class Chosen(Message):
    """A line of the form has another value."""

    def __init__(self, field: Widget) -> None:
        super().__init__()
        self.field = field


class Choice(Widget, can_focus=True):
    """Some words, of which one is chosen."""

    def __init__(self, words: Sequence[str], value: str, *, id: str) -> None:
        super().__init__(id=id)
        self._words = list(words)
        self.value = value if value in self._words else self._words[0]
        """The word that is chosen."""

    def step(self, by: int) -> None:
        """Choose the word that stands `by` places further, and begin again after the last."""
        self.value = self._words[(self._words.index(self.value) + by) % len(self._words)]
        self.refresh()
        self.post_message(Chosen(self))

    def render(self) -> Text:
        """Return the words; brackets and not only a colour tell which is chosen."""
        parts = [(f"[{word}]", "bold") if word == self.value else (f" {word} ", "dim") for word in self._words]
        return Text.assemble(*parts, no_wrap=True)

    def on_click(self, event: Click) -> None:
        """Choose the next word."""
        self.focus()
        self.step(1)


class Tick(Widget, can_focus=True):
    """A thing that is taken or not."""

    def __init__(self, text: str, value: bool, *, id: str) -> None:
        super().__init__(id=id)
        self._text = text
        self.value = value
        """Whether it is taken."""

    def step(self, by: int) -> None:
        """Take it, or leave it."""
        self.put(not self.value)
        self.post_message(Chosen(self))

    def put(self, value: bool) -> None:
        """Show another value, without telling of it."""
        self.value = value
        self.refresh()

    def render(self) -> Text:
        """Return mark and text."""
        return Text(f"[{'x' if self.value else ' '}] {cut(self._text, self.size.width - 4)}", no_wrap=True)

    def on_click(self, event: Click) -> None:
        """Take it, or leave it."""
        self.focus()
        self.step(1)


class Press(Widget, can_focus=True):
    """The last line: what happens at enter."""

    class Pressed(Message):
        """It was clicked."""

    def __init__(self, text: str, *, id: str) -> None:
        super().__init__(id=id)
        self._text = text
        self._note = ""

    def put(self, text: str, note: str) -> None:
        """Show another word, and what is to be known beside it."""
        if (text, note) != (self._text, self._note):
            self._text, self._note = text, note
            self.refresh()

    def render(self) -> Text:
        """Return the word and what is to be known."""
        word = f"[ {self._text} ]"
        note = cut(self._note, self.size.width - width(word) - 2)
        return Text.assemble((word, "bold"), f"  {note}", no_wrap=True)

    def on_click(self, event: Click) -> None:
        """Do it."""
        self.focus()
        self.post_message(self.Pressed())


class Line(Input):
    """A line of text. Escape asks to leave it, so that the keys without ctrl work again."""

    class Left(Message):
        """Escape was pressed."""

    def on_key(self, event: Key) -> None:
        """Leave it at escape."""
        if event.key == "escape":
            event.stop()
            event.prevent_default()
            self.post_message(self.Left())


class Row(Vertical):
    """A label, a field, and below them what is to be known while one is there, or what is wrong."""

    DEFAULT_CSS = """
    Row { height: auto; width: 1fr; }
    Row Horizontal { height: 1; }
    Row .label { width: 18; height: 1; color: $text-muted; }
    Row Choice, Row Tick { width: 1fr; height: 1; }
    Row Line, Row Line:focus { width: 1fr; height: 1; border: none; padding: 0; background: $surface; }
    Row Choice:focus, Row Tick:focus, Row Line:focus { background: $primary 40%; }
    Row .hint { height: auto; max-height: 3; padding: 0 0 0 18; color: $text-muted; display: none; }
    Row .hint.-said { display: block; }
    Row .hint.-wrong { color: $text-error; }
    """

    def __init__(self, label: str, field: Widget) -> None:
        self.field = field
        self._hint = Static("", classes="hint", markup=False)
        self._said = ("", False)
        super().__init__(Horizontal(Static(label, classes="label", markup=False), field), self._hint)

    def say(self, text: str, *, wrong: bool = False) -> None:
        """Show something below the field; "" where there is nothing to say."""
        if (text, wrong) != self._said:
            self._said = (text, wrong)
            self._hint.set_class(bool(text), "-said")
            self._hint.set_class(wrong, "-wrong")
            self._hint.update(text)


class Completing(Suggester):
    """Completes with whatever a function says just now."""

    def __init__(self, complete: Callable[[str], str | None]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._complete = complete

    async def get_suggestion(self, value: str) -> str | None:
        """Return what the text would become."""
        return self._complete(value)
