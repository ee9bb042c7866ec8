"""Home: every run of the workspace, live."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from textual.app import ComposeResult
from textual.events import Resize
from textual.widgets import Static

from detui.engine.process.places import HOLD
from detui.engine.run.directory import RunDir
from detui.engine.workspace import Workspace
from detui.tui.control import not_resumable
from detui.tui.glance import Glance, read_status
from detui.tui.keys import MOVE, RUNS, bindings
from detui.tui.messages import RunsRead
from detui.tui.rows import Heading, Row, RowReader, runs_of
from detui.tui.screens.base import ReadingScreen, question
from detui.tui.widgets.run_list import RunList, header
from detui.tui.widgets.title_bar import TitleBar


class RunsScreen(ReadingScreen):
    """The list of runs, grouped by experiment, newest first."""

    PLACE = "Runs"
    KEYS = (RUNS, MOVE)
    BINDINGS = bindings(*KEYS)

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._rows = RowReader(workspace)

    def compose(self) -> ComposeResult:
        """Lay out title, column titles, list and keys."""
        yield TitleBar("Runs")
        yield Static("", id="columns", markup=False)
        yield RunList(ascii_only=self.detui.ascii_only)
        yield Static(self._empty(), classes="empty", id="nothing", markup=False)
        yield self.key_bar()

    def _empty(self) -> str:
        return (
            f"No experiments in {self._workspace.path} yet.\n\nn   choose a recipe and start it\n?   all keys\nq   quit"
        )

    def read(self) -> RunsRead:
        """Read all runs."""
        return RunsRead(self._rows.read())

    def on_runs_read(self, message: RunsRead) -> None:
        """Show them."""
        rows = message.rows
        self.set_class(not rows, "-empty")
        self.query_one(RunList).set_rows(rows)
        self.query_one(TitleBar).set_note(f"{_counts(rows)}  {self._workspace.path}")
        self.taken()

    def on_resize(self, event: Resize) -> None:
        """Align the titles of the columns with the list."""
        self.query_one("#columns", Static).update(header(event.size.width), layout=False)

    def on_run_list_chosen(self) -> None:
        """Open what was clicked."""
        self.action_open()

    @property
    def _list(self) -> RunList:
        return self.query_one(RunList)

    def selected_experiment(self) -> Path | None:
        """Return the directory of the experiment that is selected."""
        row = self._list.selected
        if row is None:
            return None
        return row.path if isinstance(row, Heading) else row.path.parent.parent

    def action_open(self) -> None:
        """Open the selected run, or the record of the selected experiment."""
        row = self._list.selected
        if isinstance(row, Glance):
            self.detui.open_run(runs_of(row)[0])
        elif row is not None:
            self.detui.open_record(row.path)

    def action_record(self) -> None:
        """Open the record."""
        if (path := self.selected_experiment()) is not None:
            self.detui.open_record(path)

    def action_copy(self) -> None:
        """Copy the name of the row."""
        if (row := self._list.selected) is not None:
            self.detui.copy(row.ref)

    def action_stop(self) -> None:
        """Stop what is selected."""
        self._ask("stop")

    def action_kill(self) -> None:
        """Kill what is selected."""
        self._ask("kill")

    def action_resume(self) -> None:
        """Resume what is selected."""
        self._ask("resume")

    def action_hold(self) -> None:
        """Hold what waits of what is selected; where all of it is held, release it."""
        waiting = self._waiting()
        held = all((run.control_dir / HOLD).exists() for run in waiting)
        if waiting:
            self.put(waiting, "release" if held else "hold")

    def action_front(self) -> None:
        """Move what waits of what is selected to the front."""
        if waiting := self._waiting():
            self.put(waiting, "front")

    def _waiting(self) -> list[RunDir]:
        """Return the runs of the selection that wait in the queue; say so where none does."""
        row = self._list.selected
        waiting = [] if row is None else [run for run in runs_of(row) if read_status(run)[0].word == "queued"]
        if row is not None and not waiting:
            self.notify(f"{row.ref} does not wait in the queue.", markup=False)
        return waiting

    def _ask(self, what: str) -> None:
        row = self._list.selected
        if row is None:
            return
        if what == "resume":
            runs = [run for run in runs_of(row) if not_resumable(run) is None]
        else:
            runs = [run for run in runs_of(row) if not read_status(run)[0].terminal]
        if runs:
            self.ask_runs(runs, what, question(runs, what))
        else:
            reason = "has nothing to resume" if what == "resume" else "has ended"
            self.notify(f"{row.ref} {reason}.", markup=False)

    def action_down(self) -> None:
        """One row down."""
        self._list.move(1)

    def action_up(self) -> None:
        """One row up."""
        self._list.move(-1)

    def action_top(self) -> None:
        """To the first row."""
        self._list.move(-len(self._list.rows))

    def action_bottom(self) -> None:
        """To the last row."""
        self._list.move(len(self._list.rows))

    def action_page_down(self) -> None:
        """A page down."""
        self._list.move(max(1, self._list.size.height - 1))

    def action_page_up(self) -> None:
        """A page up."""
        self._list.move(-max(1, self._list.size.height - 1))


def _counts(rows: Sequence[Row]) -> str:
    counts = Counter(row.word for row in rows if isinstance(row, Glance) and row.live)
    return ", ".join(f"{count} {word}" for word, count in counts.items()) or "nothing running"
