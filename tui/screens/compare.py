"""Marked runs side by side: curves, metrics, configuration, confounders."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult

from detui.engine.run.directory import RunDir
from detui.tui.keys import CHART, COMPARE, MOVE, TABS, bindings
from detui.tui.screens.base import DetuiScreen
from detui.tui.widgets.title_bar import TitleBar


class CompareScreen(DetuiScreen):
    """Curves laid over each other, and what they come to."""

    PLACE = "Compare"
    KEYS = (COMPARE, CHART, TABS, MOVE)
    BINDINGS = bindings(*KEYS)

    def __init__(self, runs: Sequence[RunDir]) -> None:
        super().__init__()
        self._runs = list(runs)

    def compose(self) -> ComposeResult:
        """Lay out title and keys."""
        yield TitleBar("Compare")
        yield self.key_bar()
