"""One run, live: charts, numbers, alarms, log."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Container, Horizontal
from textual.events import Resize
from textual.widgets import Log, Static

from detui.engine.run.directory import RunDir
from detui.tui.control import not_resumable
from detui.tui.glance import read_status
from detui.tui.keys import CHART, MOVE, RUN, TABS, bindings
from detui.tui.messages import RunRead
from detui.tui.output import percent_tick
from detui.tui.screens.base import ReadingScreen, question
from detui.tui.snapshot import Snapshot, SnapshotReader, mib
from detui.tui.widgets.chart import Chart
from detui.tui.widgets.numbers import Numbers
from detui.tui.widgets.run_head import RunHead
from detui.tui.widgets.title_bar import TitleBar

_CHARTS = ("loss", "validation", "rate", "memory")
_LOG_LINES = 5000
_ALL_WIDTH = 100
_ALL_HEIGHT = 30


class RunScreen(ReadingScreen):
    """Follows one run. On a small terminal one chart at a time, on a large one all four."""

    CSS_PATH = "run.tcss"
    PLACE = "Runs"
    KEYS = (RUN, CHART, TABS, MOVE)
    BINDINGS = bindings(*KEYS)

    def __init__(self, run: RunDir) -> None:
        super().__init__()
        self._run = run
        self._snapshots = SnapshotReader(run)
        self._chart = 0
        self._one: bool | None = None
        """Whether one chart is shown large; None: as the terminal's size asks."""

    def compose(self) -> ComposeResult:
        """Lay out title, head, charts beside numbers, log, keys."""
        yield TitleBar("Runs", f"{self._run.name} · {self._run.experiment_dir.name}")
        yield RunHead()
        with Horizontal(id="body"):
            with Container(id="charts"):
                plain = self.detui.ascii_only
                yield Chart("Loss", id="loss", ascii_only=plain)
                yield Chart("Validation AP", x_label="epoch", form=percent_tick, id="validation", ascii_only=plain)
                yield Chart("Learning rate", id="rate", ascii_only=plain)
                yield Chart("Memory", form=mib, id="memory", ascii_only=plain)
            yield Numbers()
        yield Static("", id="alarms", markup=False)
        yield Log(max_lines=_LOG_LINES)
        yield self.key_bar()

    def read(self) -> RunRead:
        """Read what is new of the run."""
        return RunRead(self._snapshots.read())

    def on_run_read(self, message: RunRead) -> None:
        """Show it."""
        found = message.snapshot
        self.query_one(RunHead).show(found.glance)
        self._show_charts(found)
        self.query_one(Numbers).set_numbers(found.numbers)
        self._show_alarms(found)
        if found.log:
            self.query_one(Log).write_lines(found.log)
        self.taken()

    def _show_charts(self, found: Snapshot) -> None:
        for name, data in (found.charts or {}).items():
            self.query_one(f"#{name}", Chart).set_series(data.series, x_label=data.x_label, x_most=data.x_most)

    def _show_alarms(self, found: Snapshot) -> None:
        alarms = self.query_one("#alarms", Static)
        alarms.display = bool(found.alarms)
        if found.alarms:
            more = f"  (and {len(found.alarms) - 1} before)" if len(found.alarms) > 1 else ""
            alarms.update(f"! {found.alarms[-1]}{more}")

    def on_mount(self) -> None:
        """Choose what fits."""
        self.query_one("#alarms").display = False
        self._arrange()

    def on_resize(self, event: Resize) -> None:
        """Choose what fits."""
        self._arrange()

    def _arrange(self) -> None:
        columns, rows = self.app.size
        small = columns < _ALL_WIDTH or rows < _ALL_HEIGHT
        one = small if self._one is None else self._one
        self.set_class(one, "-one")
        self.set_class(columns < _ALL_WIDTH, "-narrow")
        for index, name in enumerate(_CHARTS):
            self.query_one(f"#{name}").display = not one or index == self._chart

    def action_next_chart(self) -> None:
        """Show the next chart large."""
        self._show_chart(1)

    def action_previous_chart(self) -> None:
        """Show the chart before large."""
        self._show_chart(-1)

    def _show_chart(self, by: int) -> None:
        # From the picture of all four, the first press enlarges one instead of skipping it.
        if self.has_class("-one"):
            self._chart = (self._chart + by) % len(_CHARTS)
        self._one = True
        self._arrange()

    def action_maximise(self) -> None:
        """Show one chart, or all."""
        self._one = not self.has_class("-one")
        self._arrange()

    def action_log_y(self) -> None:
        """Change the scale of the chart that is shown; with all four, that of the losses."""
        self.query_one(f"#{_CHARTS[self._chart]}", Chart).toggle_log()

    def action_follow(self) -> None:
        """Follow the log's end, or not."""
        log = self.query_one(Log)
        log.auto_scroll = not log.auto_scroll
        if log.auto_scroll:
            log.scroll_end(animate=False)
        self.notify("Following the log." if log.auto_scroll else "The log stays where it is. f follows again.")

    def action_copy(self) -> None:
        """Copy the command that prints this run."""
        self.detui.copy(f"detui tail {self._run.experiment_dir.name}/{self._run.name} --follow")

    def action_record(self) -> None:
        """Open the record of the experiment."""
        self.detui.open_record(self._run.experiment_dir)

    def action_stop(self) -> None:
        """Stop with a checkpoint."""
        self._ask("stop")

    def action_kill(self) -> None:
        """Kill without one."""
        self._ask("kill")

    def action_resume(self) -> None:
        """Resume from the last checkpoint."""
        refusal = not_resumable(self._run)
        if refusal is None:
            self.ask_runs([self._run], "resume", question([self._run], "resume"))
        else:
            self.notify(f"{self._run.name} {refusal}.", markup=False)

    def _ask(self, what: str) -> None:
        state = read_status(self._run)[0]
        if state.terminal:
            self.notify(f"{self._run.name} has ended: {state.word}.", markup=False)
        else:
            self.ask_runs([self._run], what, question([self._run], what))

    def _scroll_log(self, by: int) -> None:
        log = self.query_one(Log)
        log.auto_scroll = False
        log.scroll_relative(y=by, animate=False)

    def action_down(self) -> None:
        """The log one line down."""
        self._scroll_log(1)

    def action_up(self) -> None:
        """The log one line up."""
        self._scroll_log(-1)

    def action_page_down(self) -> None:
        """The log a page down."""
        self._scroll_log(self.query_one(Log).size.height)

    def action_page_up(self) -> None:
        """The log a page up."""
        self._scroll_log(-self.query_one(Log).size.height)

    def action_top(self) -> None:
        """To the beginning of the log."""
        log = self.query_one(Log)
        log.auto_scroll = False
        log.scroll_home(animate=False)

    def action_bottom(self) -> None:
        """To the end of the log, and follow it."""
        log = self.query_one(Log)
        log.auto_scroll = True
        log.scroll_end(animate=False)
