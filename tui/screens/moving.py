"""The keys that move, for screens that are one page or one list."""

from __future__ import annotations

from textual.dom import DOMNode
from textual.widget import Widget

from detui.tui.widgets.line_list import LineList


class PageMoves(DOMNode):
    """Scrolls the widget that `page` names."""

    def page(self) -> Widget:
        """Return what is scrolled."""
        raise NotImplementedError

    def action_down(self) -> None:
        """One line down."""
        self.page().scroll_relative(y=1, animate=False)

    def action_up(self) -> None:
        """One line up."""
        self.page().scroll_relative(y=-1, animate=False)

    def action_top(self) -> None:
        """To the top."""
        self.page().scroll_home(animate=False)

    def action_bottom(self) -> None:
        """To the bottom."""
        self.page().scroll_end(animate=False)

    def action_page_down(self) -> None:
        """A page down."""
        self.page().scroll_page_down(animate=False)

    def action_page_up(self) -> None:
        """A page up."""
        self.page().scroll_page_up(animate=False)


class ListMoves(DOMNode):
    """Moves the cursor of the screen's one list."""

    def action_down(self) -> None:
        """To the next line that can be chosen."""
        self.query_one(LineList).move(1)

    def action_up(self) -> None:
        """To the line before."""
        self.query_one(LineList).move(-1)

    def action_top(self) -> None:
        """To the first."""
        self.query_one(LineList).to_end(last=False)

    def action_bottom(self) -> None:
        """To the last."""
        self.query_one(LineList).to_end(last=True)

    def action_page_down(self) -> None:
        """A page down."""
        self.query_one(LineList).page(1)

    def action_page_up(self) -> None:
        """A page up."""
        self.query_one(LineList).page(-1)
