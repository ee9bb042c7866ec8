"""A form that the keyboard alone fills in: one line after the other, the last of which does what it is for."""

from __future__ import annotations

from textual.containers import VerticalScroll

from detui.tui.screens.base import DetuiScreen
from detui.tui.widgets.fields import Choice, Press, Tick


class Form(VerticalScroll, can_focus=False, inherit_bindings=False):
    """The lines; it scrolls after the cursor, and leaves the arrows to it."""


class FormScreen(DetuiScreen):
    """A screen with one Form and, outside of it, one Press."""

    def action_next_field(self) -> None:
        """Go to the next line."""
        self.focus_next()

    def action_previous_field(self) -> None:
        """Go to the line before."""
        self.focus_previous()

    def action_down(self) -> None:
        """One line down."""
        self.focus_next()

    def action_up(self) -> None:
        """One line up."""
        self.focus_previous()

    def action_top(self) -> None:
        """To the first line."""
        self.focus_chain[0].focus()

    def action_bottom(self) -> None:
        """To the line that starts, and to all that is to be known before it."""
        self.query_one(Press).focus()
        self._form.scroll_end(animate=False)

    def action_page_down(self) -> None:
        """Scroll the form a page down."""
        self._form.scroll_page_down(animate=False)

    def action_page_up(self) -> None:
        """Scroll the form a page up."""
        self._form.scroll_page_up(animate=False)

    @property
    def _form(self) -> Form:
        return self.query_one(Form)

    async def action_enter(self) -> None:
        """Go to the next line; on the last, start."""
        if isinstance(self.focused, Press):
            await self.run_action("start")
        else:
            self.focus_next()

    def action_choose(self) -> None:
        """Choose the next word, or the other one of two."""
        self._choose(1)

    def action_choose_back(self) -> None:
        """Choose the word before."""
        self._choose(-1)

    def _choose(self, by: int) -> None:
        if isinstance(self.focused, Choice | Tick):
            self.focused.step(by)
