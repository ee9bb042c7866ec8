"""One run, live: charts, numbers, log; and on tabs of their own statistics, alarms, the log, configuration, files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.containers import Container, Horizontal
from textual.events import Resize
from textual.widgets import Static

from detui.engine.run.directory import RunDir
from detui.tui.axis import AXES
from detui.tui.editor import edit
from detui.tui.keys import CHART, MOVE, RUN, TABS, bindings
from detui.tui.language import tr
from detui.tui.messages import RunRead
from detui.tui.output import percent_tick
from detui.tui.run_charts import KINDS
from detui.tui.run_facts import PageLine
from detui.tui.screens.chart_actions import ChartActions
from detui.tui.screens.run_aqr import FOUR, RunAqr
from detui.tui.screens.run_requests import RunRequests
from detui.tui.snapshot import PAGES, Snapshot, SnapshotReader
from detui.tui.widgets.aqr_panel import AqrPanel
from detui.tui.widgets.ask_line import AskLine
from detui.tui.widgets.chart import Chart
from detui.tui.widgets.line_list import Line, LineList
from detui.tui.widgets.log_view import LogView
from detui.tui.widgets.numbers import Numbers
from detui.tui.widgets.run_head import RunHead
from detui.tui.widgets.tab_bar import TabBar
from detui.tui.widgets.title_bar import TitleBar

TAB_NAMES = ("Overview", "Statistics", "Alarms", "Log", "Configuration", "Files")
_OVERVIEW, _LOG = 0, TAB_NAMES.index("Log")
_HEAD = Style(bold=True)


class RunScreen(ChartActions, RunAqr, RunRequests):
    """Follows one run."""

    PLACE = "Runs"
    CSS_PATH = "run.tcss"
    KEYS = (RUN, CHART, TABS, MOVE)
    BINDINGS = bindings(*KEYS)

    def __init__(self, run: RunDir) -> None:
        super().__init__()
        self._run = run
        self._snapshots = SnapshotReader(run)
        self._present = ["loss", "validation", "rate"]
        self._chart = "loss"
        self._one: bool | None = None
        """Whether one chart is shown large; None: as the terminal's size asks."""

    def compose(self) -> ComposeResult:
        """Lay out title, head, tabs, what is on them, keys."""
        yield TitleBar("Runs", f"{self._run.name} · {self._run.experiment_dir.name}")
        yield RunHead()
        yield TabBar(TAB_NAMES)
        with Horizontal(id="body"):
            with Container(id="charts"):
                for kind in KINDS:
                    yield Chart(tr(kind.title), form=kind.form, id=kind.name, ascii_only=self.detui.ascii_only)
            yield AqrPanel(ascii_only=self.detui.ascii_only)
            yield Numbers()
        yield LineList()
        yield Static("", id="alarms", markup=False)
        yield LogView()
        yield AskLine("Search")
        yield self.key_bar()

    def read(self) -> RunRead:
        """Read what is new of the run."""
        return RunRead(self._snapshots.read())

    def on_run_read(self, message: RunRead) -> None:
        """Show it."""
        found = message.snapshot
        self.query_one(RunHead).show(found.glance)
        self.show_aqr(found.aqr, more=found.more)
        self._show_charts(found)
        self.query_one(Numbers).set_numbers(found.numbers)
        self._show_alarms(found)
        self.query_one(LogView).write_lines(found.log)
        if self._snapshots.page is not None:
            self.query_one(LineList).set_lines(_lines(found.page))
        self.taken()

    def _show_charts(self, found: Snapshot) -> None:
        if found.charts is None:
            return
        for name, data in found.charts.items():
            chart = self.query_one(f"#{name}", Chart)
            if data.title not in (None, chart.title):
                chart.describe(str(data.title), percent_tick)
            chart.set_series(data.series, x_label=tr(data.x_label), x_most=data.x_most)
        present = [kind.name for kind in KINDS if kind.name in found.charts]
        if present != self._present:
            self._present = present
            self._arrange()

    def _show_alarms(self, found: Snapshot) -> None:
        alarms = self.query_one("#alarms", Static)
        self.query_one(TabBar).note(TAB_NAMES.index("Alarms"), f"!{len(found.alarms)}" if found.alarms else "")
        alarms.display = bool(found.alarms) and self._tab == _OVERVIEW
        if found.alarms:
            before = len(found.alarms) - 1
            more = "  " + tr("(and {count} before)", count=before) if before else ""
            alarms.update(f"! {found.alarms[-1]}{more}")

    def on_mount(self) -> None:
        """Choose what fits."""
        self._arrange()

    def on_resize(self, event: Resize) -> None:
        """Choose what fits."""
        self._arrange()

    # Tabs

    @property
    def _tab(self) -> int:
        return self.query_one(TabBar).open

    def action_next_tab(self) -> None:
        """Open the next tab."""
        self._open(self._tab + 1)

    def action_previous_tab(self) -> None:
        """Open the tab before."""
        self._open(self._tab - 1)

    def on_tab_bar_chosen(self, message: TabBar.Chosen) -> None:
        """Open the tab that was clicked."""
        self._open(message.index)

    def _open(self, index: int) -> None:
        tabs = self.query_one(TabBar)
        tabs.choose(index)
        name = TAB_NAMES[tabs.open]
        self._snapshots.page = name if name in PAGES else None
        if name in PAGES:
            self.query_one(LineList).set_lines([Line((Segment(tr("reading…")),))])
            self.query_one(LineList).scroll_home(animate=False)
            if self._reader is not None:
                self._reader.now()
        self._arrange()

    def _arrange(self) -> None:
        columns = self.app.size.width
        self.set_class(columns < FOUR[0], "-narrow")
        self.set_class(self._tab == _OVERVIEW, "-overview")
        self.set_class(self._tab == _LOG, "-log")
        self.set_class(self._snapshots.page is not None, "-page")
        shown = [chart.id for chart in self.charts()]
        self.set_class(len(shown) == 1, "-one")
        self.set_class(len(shown) > 4, "-six")
        self.set_class(self.shows_aqr, "-aqr")
        self.set_class(self.aqr_alone and self._tab == _OVERVIEW, "-alone")
        self.set_class(self.large, "-large")
        for kind in KINDS:
            self.query_one(f"#{kind.name}").display = kind.name in shown

    # Charts

    def charts(self) -> Sequence[Chart]:
        """Return the charts that are shown."""
        few = self.small or (self.shows_aqr and not self.large)
        if few if self._one is None else self._one:
            return [self.shown_chart()]
        most = 6 if self.large and not self.shows_aqr else 4
        return [self.query_one(f"#{name}", Chart) for name in self._present[:most]]

    def shown_chart(self) -> Chart:
        """Return the chart that was chosen."""
        return self.query_one(f"#{self._chart}", Chart)

    def show_chart(self, by: int) -> None:
        """Show another chart large; from the picture of all, the first press enlarges one instead of skipping it."""
        if self.aqr_alone:
            self.leave_aqr()
        elif len(self.charts()) == 1:
            at = self._present.index(self._chart)
            self._chart = self._present[(at + by) % len(self._present)]
        self._one = True
        self._open(_OVERVIEW)

    def change_axis(self) -> None:
        """Draw over the next axis."""
        self._snapshots.axis = AXES[(AXES.index(self._snapshots.axis) + 1) % len(AXES)]
        if self._reader is not None:
            self._reader.now()

    def action_maximise(self) -> None:
        """Show one chart, or all."""
        self.leave_aqr()
        self._one = len(self.charts()) > 1
        self._open(_OVERVIEW)

    # Log

    def action_follow(self) -> None:
        """Follow the log's end, or not."""
        log = self.query_one(LogView)
        log.follow(not log.following)
        following = tr("Following the log.")
        self.detui.tell(following if log.following else tr("The log stays where it is. f follows again."))

    def action_search(self) -> None:
        """Type what to search the log for."""
        if self._tab not in (_OVERVIEW, _LOG):
            self._open(_LOG)
        self.query_one(AskLine).ask()

    def on_ask_line_changed(self, message: AskLine.Changed) -> None:
        """Search at each letter."""
        count = self.query_one(LogView).search(message.text)
        found = tr("{count} lines", count=count) if count else tr("nothing found")
        self.query_one(AskLine).complain(found if message.text else "")

    def on_ask_line_done(self) -> None:
        """Go back to the screen; n and N go on."""
        self.set_focus(None)

    def action_next_match(self) -> None:
        """Go to the next line that was sought."""
        self._match(1)

    def action_previous_match(self) -> None:
        """Go to the line before."""
        self._match(-1)

    def _match(self, by: int) -> None:
        found = self.query_one(LogView).next_match(by)
        if found is None:
            self.detui.tell(tr("Nothing is searched for, or nothing found. Press /"))
        else:
            self.query_one(AskLine).complain(f"{found[0]}/{found[1]}")

    # AQR

    def aqr_changed(self) -> None:
        """Show the panel, or no longer."""
        self._arrange()

    def action_aqr(self) -> None:
        """Show AQR's numbers, or not; from another tab, show them."""
        if self.choose_aqr(shown=not self.shows_aqr or self._tab != _OVERVIEW):
            self._open(_OVERVIEW)

    # Requests

    def chosen_runs(self) -> tuple[str, Sequence[RunDir]]:
        """Return this run."""
        return self._run.name, [self._run]

    def action_copy(self) -> None:
        """Copy the path of the selected file, or the command that prints this run."""
        path = self._selected_file()
        self.detui.copy(str(path) if path else f"detui tail {self._run.experiment_dir.name}/{self._run.name} --follow")

    def action_edit(self) -> None:
        """Open the selected file, or the log, in the editor."""
        attempts = self._run.attempts()
        path = self._selected_file() or (attempts[-1].console_path if attempts else None)
        if path is not None and path.is_file():
            edit(self, path)
        else:
            self.detui.tell(tr("There is no log yet."))

    def _selected_file(self) -> Path | None:
        line = self.query_one(LineList).selected
        return Path(line.key) if TAB_NAMES[self._tab] == "Files" and line is not None else None

    def action_record(self) -> None:
        """Open the record of the experiment."""
        self.detui.open_record(self._run.experiment_dir)

    def action_compare(self) -> None:
        """Compare with the other runs of the experiment."""
        self.detui.open_comparison(self.detui.home.runs_of_experiment(self._run.experiment_dir))

    # Moving: the page, or the log

    def action_down(self) -> None:
        """One line down."""
        self._scroll(1)

    def action_up(self) -> None:
        """One line up."""
        self._scroll(-1)

    def action_page_down(self) -> None:
        """A page down."""
        self._scroll(self._height)

    def action_page_up(self) -> None:
        """A page up."""
        self._scroll(-self._height)

    def action_top(self) -> None:
        """To the beginning."""
        if self._snapshots.page is not None:
            self.query_one(LineList).to_end(last=False)
            self.query_one(LineList).scroll_home(animate=False)
        else:
            self.query_one(LogView).to_top()

    def action_bottom(self) -> None:
        """To the end; of the log, and follow it."""
        if self._snapshots.page is not None:
            self.query_one(LineList).to_end(last=True)
            self.query_one(LineList).scroll_end(animate=False)
        else:
            self.query_one(LogView).follow(True)

    @property
    def _height(self) -> int:
        page = self._snapshots.page is not None
        return max(1, (self.query_one(LineList) if page else self.query_one(LogView)).size.height - 1)

    def _scroll(self, by: int) -> None:
        if self._snapshots.page is not None:
            self.query_one(LineList).move(by)
        else:
            self.query_one(LogView).move(by)


def _lines(page: Sequence[PageLine]) -> list[Line]:
    """Return the lines of a page for the list; only files can be chosen."""
    return [
        Line((Segment(line.text, _HEAD if line.head else None),), key=str(line.path) if line.path else "")
        for line in page
    ]
