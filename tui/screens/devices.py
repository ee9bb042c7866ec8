"""The devices of this machine: load, who is on them, and the queue."""

from __future__ import annotations

from textual.app import ComposeResult

from detui.engine.workspace import Workspace
from detui.tui.keys import DEVICES, MOVE, bindings
from detui.tui.screens.base import DetuiScreen
from detui.tui.widgets.title_bar import TitleBar


class DevicesScreen(DetuiScreen):
    """GPUs, host, queue."""

    PLACE = "Devices"
    KEYS = (DEVICES, MOVE)
    BINDINGS = bindings(*KEYS)

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace

    def compose(self) -> ComposeResult:
        """Lay out title and keys."""
        yield TitleBar("Devices")
        yield self.key_bar()
