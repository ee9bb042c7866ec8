"""Home: every run of the workspace, live."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from textual.app import ComposeResult
from textual.compose import compose
from textual.containers import Container
from textual.events import Resize
from textual.widgets import Static

from detui.engine.run.directory import RunDir
from detui.engine.workspace import Workspace
from detui.tui import filters
from detui.tui.columns import SORTS, several_metrics
from detui.tui.glance import Glance
from detui.tui.keys import MOVE, RUNS, bindings
from detui.tui.language import tr
from detui.tui.messages import RunsRead
from detui.tui.rows import Arrangement, Heading, Row, RowReader, runs_of
from detui.tui.screens.previewing import Previewing
from detui.tui.watching import Watcher
from detui.tui.widgets.ask_line import AskLine
from detui.tui.widgets.run_list import RunList, header
from detui.tui.widgets.title_bar import TitleBar


class RunsScreen(Previewing):
    """The list of runs, grouped by experiment, newest first, with a preview of the selected one where it fits."""

    PLACE = "Runs"
    KEYS = (RUNS, MOVE)
    COVERED = 5.0  # what ends or raises an alarm is announced wherever one looks
    BINDINGS = bindings(*KEYS)

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._row_reader = RowReader(workspace)
        self._watcher = Watcher()
        self._all: Sequence[Row] = ()
        self._arrangement = Arrangement()

    def compose(self) -> ComposeResult:
        """Lay out title, column titles, list, filter and keys; the preview comes later."""
        yield TitleBar("Runs")
        with Container(id="panes"), Container(id="runs"):
            yield Static("", id="columns", markup=False)
            yield RunList(self.detui.marked, ascii_only=self.detui.ascii_only)
        yield Static(self._empty(), classes="empty", id="nothing", markup=False)
        yield AskLine("Filter")
        yield self.key_bar()

    def _empty(self) -> str:
        keys = f"n   {tr('choose a recipe and start it')}\n?   {tr('all keys')}\nq   {tr('quit')}"
        return f"{tr('No experiments in {path} yet.', path=self._workspace.path)}\n\n{keys}"

    def read(self) -> RunsRead:
        """Read all runs."""
        rows = self._row_reader.read()
        return RunsRead(rows, more=self._row_reader.more)

    def restyle(self) -> None:
        """Lay everything out again: language, keys or characters are others now."""
        self.call_later(self._restyle)

    async def _restyle(self) -> None:
        async with self.batch():  # `recompose` does nothing for a screen: it does not count as attached
            await self.query_children("*").exclude(".-textual-system").remove()
            await self.mount_all(list(compose(self)))
        self.preview_again()
        self._arrange()
        self._show()

    def on_runs_read(self, message: RunsRead) -> None:
        """Show them, and tell of those that ended or raised an alarm since the last time."""
        self._all = message.rows
        self.set_class(not self._all, "-empty")
        self._show()
        self.detui.announce(self._watcher.look([row for row in self._all if isinstance(row, Glance)]))
        self._arrange()
        self.taken()

    @property
    def _named(self) -> bool:
        return several_metrics(row for row in self._all if isinstance(row, Glance))

    def _show(self) -> None:
        rows = self._arrangement.arrange(self._all)
        self._list.set_rows(rows, named=self._named)
        self.look_at(self._list.selected)
        shown, there = (sum(isinstance(row, Glance) for row in some) for some in (rows, self._all))
        parts = [_counts(self._all), f"{shown}/{there}" if shown != there else "", _home(self._workspace.path)]
        if self.detui.marked:
            parts.insert(1, tr("{count} marked", count=len(self.detui.marked)))
        self.query_one(TitleBar).set_note("  ".join(part for part in parts if part))

    def on_resize(self, event: Resize) -> None:
        """Align the titles of the columns, and show the preview where it fits."""
        self._arrange()

    def _arrange(self) -> None:
        self.arrange_panes(bool(self._all))
        self.call_after_refresh(self._show_titles)

    def _show_titles(self) -> None:
        order = self._arrangement
        titles = header(self._list.size.width, order.sort, flat=not order.grouped, named=self._named)
        self.query_one("#columns", Static).update(titles, layout=False)

    def on_unmount(self) -> None:
        """Let the preview's thread end."""
        self.end_preview()

    def on_screen_suspend(self) -> None:
        """Do not read the preview while another screen covers this one; the list goes on, for what is announced."""
        self.pause_preview()

    def on_screen_resume(self) -> None:
        """Show what changed meanwhile: runs, marks, settings."""
        self.query_one("#nothing", Static).update(self._empty())
        self._arrange()
        self._list.refresh()
        self._show()

    def on_run_list_moved(self) -> None:
        """Preview another run at once."""
        self.look_at(self._list.selected)

    # What is shown, and in which order

    def action_filter(self) -> None:
        """Type a filter; what fits is shown at once."""
        self.query_one(AskLine).ask()

    def on_ask_line_changed(self, message: AskLine.Changed) -> None:
        """Filter by what is typed so far."""
        try:
            fits = filters.parse(message.text) if message.text.strip() else None
        except ValueError as error:
            self.query_one(AskLine).complain(tr("no such field: {known}", known=str(error)))
            return
        self.query_one(AskLine).complain("")
        self._arrangement = replace(self._arrangement, fits=fits)
        self._show()

    def on_ask_line_done(self) -> None:
        """Go back to the list; the filter stays."""
        self.set_focus(None)

    def action_sort(self) -> None:
        """Sort by the next column."""
        following = SORTS[(SORTS.index(self._arrangement.sort) + 1) % len(SORTS)]
        self._arrangement = replace(self._arrangement, sort=following)
        self._show_titles()
        self._show()

    def action_reverse(self) -> None:
        """Turn the order round."""
        self._arrangement = replace(self._arrangement, reverse=not self._arrangement.reverse)
        self._show()

    def action_group(self) -> None:
        """Group by experiment, or not."""
        self._arrangement = replace(self._arrangement, grouped=not self._arrangement.grouped)
        self._show_titles()
        self._show()

    # Marks

    def action_mark(self) -> None:
        """Mark the row, or take the mark away, and go to the next."""
        row = self._list.selected
        if row is None:
            return
        found = {f"{run.experiment_dir.name}/{run.name}": run for run in runs_of(row)}
        marked = self.detui.marked
        if all(ref in marked for ref in found):
            for ref in found:
                del marked[ref]
        else:
            marked.update(found)
        self._list.refresh()
        self._list.move(1)
        self._show()

    def action_unmark(self) -> None:
        """Take all marks away."""
        self.detui.marked.clear()
        self._list.refresh()
        self._show()

    def action_new(self) -> None:
        """Choose a recipe."""
        self.detui.go("Recipes")

    def action_compare(self) -> None:
        """Compare what is marked, or the experiment."""
        self.detui.go("Compare")

    # Rows

    def on_run_list_chosen(self) -> None:
        """Open what was clicked."""
        self.action_open()

    @property
    def _list(self) -> RunList:
        return self.query_one(RunList)

    def chosen_runs(self) -> tuple[str, Sequence[RunDir]]:
        """Return what a request is for: the marked runs, or those of the selected row."""
        if self.detui.marked:
            runs = list(self.detui.marked.values())
            return tr("{count} marked", count=len(runs)), runs
        row = self._list.selected
        return ("", []) if row is None else (row.ref, runs_of(row))

    def selected_experiment(self) -> Path | None:
        """Return the directory of the experiment that is selected."""
        row = self._list.selected
        if row is None:
            return None
        return row.path if isinstance(row, Heading) else row.path.parent.parent

    def runs_of_experiment(self, path: Path) -> list[RunDir]:
        """Return the runs of an experiment, as they were last read."""
        headings = (row for row in self._all if isinstance(row, Heading) and row.path == path)
        return [run for heading in headings for run in runs_of(heading)]

    def all_runs(self) -> Sequence[Glance]:
        """Return every run that was read, whatever the filter shows."""
        return [row for row in self._all if isinstance(row, Glance)]

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
    return ", ".join(f"{count} {tr(word)}" for word, count in counts.items()) or tr("nothing running")


def _home(path: Path) -> str:
    """Return a path with ~ for the home directory."""
    try:
        return f"~/{path.relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(path)
