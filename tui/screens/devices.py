"""The devices of this machine: load, who is on them, and the queue."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich.segment import Segment
from textual.app import ComposeResult

from detui.engine.run.directory import RunDir
from detui.engine.workspace import Workspace
from detui.tui.device_page import in_use, page
from detui.tui.devices import name_of
from detui.tui.keys import DEVICES, MOVE, bindings
from detui.tui.language import tr
from detui.tui.machine import Machine, machine_of
from detui.tui.messages import Latest
from detui.tui.screens.moving import ListMoves
from detui.tui.screens.run_requests import RunRequests
from detui.tui.widgets.line_list import Line, LineList
from detui.tui.widgets.palette import DIM
from detui.tui.widgets.title_bar import TitleBar


class DevicesRead(Latest):
    """The machine was looked at."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self.machine = machine


class DevicesScreen(ListMoves, RunRequests):
    """GPUs, host, queue."""

    PLACE = "Devices"
    KEYS = (DEVICES, MOVE)
    BINDINGS = bindings(*KEYS)
    CSS_PATH = "devices.tcss"
    EVERY = 2.0
    """The driver is asked under its lock; and numbers that jump every second are not read."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._machine = machine_of(workspace.path)
        self._seen: Machine | None = None

    def compose(self) -> ComposeResult:
        """Lay out title, list and keys."""
        yield TitleBar("Devices")
        yield LineList()
        yield self.key_bar()

    def read(self) -> DevicesRead:
        """Look at the machine."""
        return DevicesRead(self._machine.read())

    def on_devices_read(self, message: DevicesRead) -> None:
        """Show it."""
        self._seen = message.machine
        self._show()
        self.taken()

    def on_line_list_resized(self) -> None:
        """Lay the lines out anew."""
        self._show()

    def _show(self) -> None:
        if self._seen is None:
            self._list.set_lines([Line((Segment(tr("reading…"), DIM),))])
            return
        self._list.set_lines(page(self._seen, self._list.columns, ascii_only=self.detui.ascii_only))
        self.query_one(TitleBar).set_note(_note(self._seen))

    @property
    def _list(self) -> LineList:
        return self.query_one(LineList)

    @property
    def selected(self) -> RunDir | None:
        """The run under the cursor."""
        line = self._list.selected
        return None if line is None or line.run is None else RunDir(line.run)

    def _readable(self) -> RunDir | None:
        """Return the run under the cursor; say so where it is another user's who lets nobody look."""
        run = self.selected
        if run is not None and not os.access(run.path, os.R_OK | os.X_OK):
            self.detui.tell(tr("{run} cannot be read from here.", run=name_of(run.path)), failed=True)
            return None
        return run

    def on_line_list_chosen(self) -> None:
        """Open what was clicked."""
        self.action_open()

    def action_open(self) -> None:
        """Open the run under the cursor."""
        if (run := self._readable()) is not None:
            self.detui.open_run(run)

    def action_copy(self) -> None:
        """Copy the name of the run."""
        if (run := self.selected) is not None:
            self.detui.copy(name_of(run.path))

    def chosen_runs(self) -> tuple[str, Sequence[RunDir]]:
        """Return the run under the cursor."""
        run = self._readable()
        return ("", []) if run is None else (name_of(run.path), [run])


def _note(machine: Machine) -> str:
    used = sum(map(in_use, machine.gpus))
    waiting = tr("{count} waiting", count=len(machine.queue))
    if not machine.gpus:
        return f"{tr('no GPU')}, {waiting}"
    return f"{tr('{used}/{all} GPUs in use', used=used, all=len(machine.gpus))}, {waiting}"
