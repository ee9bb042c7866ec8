"""Runs side by side: curves, metrics, configuration, confounders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll
from textual.events import Resize
from textual.widgets import Static

from detui.engine.run.directory import RunDir
from detui.tui.axis import AXES
from detui.tui.compare_list import axis_label, form_of, lines, metric_title, titles
from detui.tui.curves import LOSS, CurveReader, Curves, CurvesRead, Member, Wish, arms, members
from detui.tui.keys import CHART, COMPARE, MOVE, TABS, bindings
from detui.tui.language import tr
from detui.tui.reader import in_thread
from detui.tui.recipe_page import counted
from detui.tui.screens.base import ReadingScreen
from detui.tui.screens.chart_actions import ChartActions
from detui.tui.widgets.chart import Chart
from detui.tui.widgets.line_list import LineList
from detui.tui.widgets.tab_bar import TabBar
from detui.tui.widgets.title_bar import TitleBar

if TYPE_CHECKING:
    from detui.tui.compared import Compared, Comparing, Tables

TAB_NAMES = ("Curves", "Metrics", "Differences")
_CURVES, _METRICS, _DIFFERENCES = range(3)
_WIDE = 170
"""Columns from which the list of runs stands beside the chart."""


class CompareScreen(ChartActions, ReadingScreen):
    """Curves laid over each other, and what they come to."""

    CSS_PATH = "compare.tcss"
    PLACE = "Compare"
    KEYS = (TABS, COMPARE, CHART, MOVE)
    BINDINGS = bindings(*KEYS)

    def __init__(self, runs: Sequence[RunDir]) -> None:
        """`runs`: one at least; the first is the reference."""
        super().__init__()
        self._members = members(runs)
        self._order = list(self._members)
        """The same, the reference first."""
        self._wish = Wish(tuple(self._order))
        self._curve_reader = CurveReader()
        self._curves: Curves | None = None
        self._work: Comparing | None = None
        self._tables: Tables | None = None
        self._compared: tuple[tuple[Member, ...], frozenset[str]] | None = None
        """What the tables are about: the runs in order, and which of them had ended."""

    def compose(self) -> ComposeResult:
        """Lay out title, tabs, what is on them, keys."""
        yield TitleBar("Compare")
        yield TabBar(TAB_NAMES)
        with Container(id="body"):
            yield Chart(metric_title(LOSS), ascii_only=self.detui.ascii_only)
            with Container(id="runs"):
                yield Static("", id="titles", markup=False)
                yield LineList()
        with VerticalScroll():
            yield Static("", id="page", markup=False)
        yield self.key_bar()

    def on_mount(self) -> None:
        """Choose what fits. All keys are the screen's: nothing on it takes the focus."""
        self.query_one(VerticalScroll).can_focus = False
        self._arrange()

    def on_unmount(self) -> None:
        """Compute no further."""
        if self._work is not None:
            self._work.cancel()

    def read(self) -> CurvesRead:
        """Read what is new of the runs."""
        return CurvesRead(self._curve_reader.read(self._wish))

    def on_curves_read(self, message: CurvesRead) -> None:
        """Show it."""
        found = message.curves
        self.taken()
        before = self._curves
        self._curves = found
        if found.series is None and before is not None:
            self._curves = replace(found, latest=before.latest)
        else:
            self._show_chart(found)
        self._show_list()
        self._compare_again()

    def _show_chart(self, found: Curves) -> None:
        chart, form = self.shown_chart(), form_of(found.wish.metric)
        title = metric_title(found.wish.metric)
        if found.wish.by_arm:
            title = tr("{metric}, mean ± sd over seeds", metric=title)
        if title != chart.title:
            chart.describe(title, form)
        chart.set_series(found.series or (), x_label=axis_label(found.wish.axis), x_most=found.x_most)

    def _show_list(self) -> None:
        found = self._curves
        if found is None:
            return
        chart, runs = self.shown_chart(), self.query_one(LineList)
        drawn = arms(self._order) if found.wish.by_arm else None
        at = None if chart.cursor is None or found.wish.by_arm else chart.readings()
        here = None if at is None else tr("at cursor")
        self.query_one("#titles", Static).update(titles(found, self._order, runs.columns, here))
        form = form_of(found.wish.metric)
        runs.set_lines(lines(found, self._order, drawn, form, at, runs.columns, ascii_only=self.detui.ascii_only))

    def _arrange(self) -> None:
        columns, rows = self.app.size
        wide = columns >= _WIDE
        self.set_class(wide, "-wide")
        self.query_one(TitleBar).set_note(counted(len(self._order), "run"))
        tab = self.query_one(TabBar).open
        self.query_one("#body").display = tab == _CURVES
        self.query_one(VerticalScroll).display = tab != _CURVES
        height = min(len(self._order), max(3, rows // 4)) + 1
        self.query_one("#runs").styles.height = None if wide else height

    def on_resize(self, event: Resize) -> None:
        """Choose what fits."""
        self._arrange()
        self._show_page()

    def on_line_list_resized(self) -> None:
        """Write the lines of runs in their new width."""
        self._show_list()

    def on_line_list_chosen(self) -> None:
        """Open the run that was clicked."""
        self.action_open()

    # Tabs

    def on_tab_bar_chosen(self, message: TabBar.Chosen) -> None:
        """Open the tab that was clicked."""
        self._open_tab(message.index)

    def action_next_tab(self) -> None:
        """Open the next tab."""
        self._open_tab(self.query_one(TabBar).open + 1)

    def action_previous_tab(self) -> None:
        """Open the tab before."""
        self._open_tab(self.query_one(TabBar).open - 1)

    def _open_tab(self, index: int) -> None:
        self.query_one(TabBar).choose(index)
        self._arrange()
        self.query_one(VerticalScroll).scroll_home(animate=False)
        self._compare_again()
        self._show_page()

    # What is drawn

    def charts(self) -> Sequence[Chart]:
        """Return the one chart."""
        return [self.shown_chart()]

    def shown_chart(self) -> Chart:
        """Return the one chart."""
        return self.query_one(Chart)

    def show_chart(self, by: int) -> None:
        """Show the next metric that the runs have, or the one before."""
        if self._curves is not None and self._curves.metrics:
            known = self._curves.metrics
            now = known.index(self._wish.metric) if self._wish.metric in known else 0
            self._change(metric=known[(now + by) % len(known)])

    def change_axis(self) -> None:
        """Lay the curves on the next axis."""
        axis = AXES[(AXES.index(self._wish.axis) + 1) % len(AXES)]
        self._change(axis=axis)

    def cursor_moved(self) -> None:
        """Show the values at the cursor."""
        self._show_list()

    def action_band(self) -> None:
        """Show a line for each run, or each arm's mean with its spread."""
        self._change(by_arm=not self._wish.by_arm)

    def _change(self, **wished: object) -> None:
        self._wish = replace(self._wish, **wished)  # type: ignore[arg-type]
        if self._reader is not None:
            self._reader.now()

    # The runs

    def _selected(self) -> Member | None:
        line = self.query_one(LineList).selected
        return next((one for one in self._order if line is not None and one.ref == line.key), None)

    def action_reference(self) -> None:
        """Compare all others with the run under the cursor, or with its arm."""
        if (member := self._selected()) is not None:
            self._order = [member, *(one for one in self._order if one != member)]
            self._reorder()

    def action_drop(self) -> None:
        """Take the run under the cursor out of the comparison. Its files stay."""
        member = self._selected()
        if member is None:
            return
        if len(self._order) == 1:
            self.detui.tell(tr("This is the last one. q goes back."))
            return
        self._order.remove(member)
        self._reorder()

    def _reorder(self) -> None:
        self._change(members=tuple(self._order))
        self._arrange()
        self._show_list()
        self._compare_again()

    def action_open(self) -> None:
        """Open the run under the cursor."""
        if (member := self._selected()) is not None:
            self.detui.open_run(member.run)

    def action_record(self) -> None:
        """Open the record of its experiment."""
        if (member := self._selected()) is not None:
            self.detui.open_record(member.run.experiment_dir)

    def action_copy(self) -> None:
        """Copy the command that prints the same."""
        from detui.tui.compared import command

        self.detui.copy(command(self._order))

    # Metrics and differences

    def _compare_again(self) -> None:
        """Compare in a thread, unless just these runs are compared already, as far as they have got."""
        if self._curves is None or self.query_one(TabBar).open == _CURVES:
            return
        ended = frozenset(ref for ref, run in self._curves.glances.items() if not run.live)
        if self._compared == (tuple(self._order), ended):
            return
        from detui.tui.compared import Comparing  # what computes is loaded when it is first wanted: curves come at once

        if self._work is not None:
            self._work.cancel()
        self._compared = (tuple(self._order), ended)
        self._tables = None
        self._work = Comparing(self._order, self.post_message)
        in_thread(self._work.run, self)
        self._show_page()

    def on_compared(self, message: Compared) -> None:
        """Show how far the comparison has got."""
        if message.work is self._work:
            self._tables = message.tables
            self._show_page()

    def _show_page(self) -> None:
        tab = self.query_one(TabBar).open
        if tab != _CURVES:
            from detui.tui.compared import page

            self.query_one("#page", Static).update(page(self._tables, tab == _METRICS, self.app.size.width - 4))

    # Moving: the cursor among the runs, or the page

    def action_down(self) -> None:
        """One run, or one line of the page, down."""
        self._scroll(1)

    def action_up(self) -> None:
        """One run, or one line of the page, up."""
        self._scroll(-1)

    def action_page_down(self) -> None:
        """A page down."""
        self._scroll(max(1, self._moving.size.height - 1))

    def action_page_up(self) -> None:
        """A page up."""
        self._scroll(-max(1, self._moving.size.height - 1))

    def action_top(self) -> None:
        """To the first run, or the top of the page."""
        self._scroll(-self._moving.virtual_size.height)

    def action_bottom(self) -> None:
        """To the last run, or the end of the page."""
        self._scroll(self._moving.virtual_size.height)

    @property
    def _moving(self) -> LineList | VerticalScroll:
        on_page = self.query_one(TabBar).open != _CURVES
        return self.query_one(VerticalScroll) if on_page else self.query_one(LineList)

    def _scroll(self, by: int) -> None:
        moving = self._moving
        if isinstance(moving, LineList):
            moving.move(by)
        else:
            moving.scroll_relative(y=by, animate=False)
