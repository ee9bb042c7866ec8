"""The list of runs. Draws single lines: a run that moves costs some two hundred bytes, not a screen."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from detui.tui.glance import Glance
from detui.tui.output import age, cut, number, pad, percent
from detui.tui.rows import Heading, Row
from detui.tui.widgets.palette import DIM, bar, cursor_style, state_style

_BOLD = Style(bold=True)


class RunList(ScrollView, can_focus=True):
    """Experiments and their runs, one line each, with a cursor."""

    class Chosen(Message):
        """A row was clicked a second time."""

    def __init__(self, *, ascii_only: bool = False) -> None:
        super().__init__()
        self._rows: list[Row] = []
        self._lines: list[tuple[object, ...]] = []
        self._cursor = 0
        self._ascii = ascii_only

    @property
    def selected(self) -> Row | None:
        """The row under the cursor."""
        return self._rows[self._cursor] if self._rows else None

    @property
    def rows(self) -> Sequence[Row]:
        """All rows."""
        return self._rows

    def set_rows(self, rows: Sequence[Row]) -> None:
        """Show these rows; the cursor stays on its run, and only lines that changed are drawn."""
        before, selected = self._lines, self.selected
        self._rows = list(rows)
        self._lines = [_shown(row) for row in rows]
        self._follow(selected)
        if len(before) != len(self._lines):
            self.virtual_size = Size(self.size.width, len(rows))
            self.refresh()
            return
        for index, (old, new) in enumerate(zip(before, self._lines, strict=True)):
            if old != new:
                self._refresh_row(index)

    def _follow(self, selected: Row | None) -> None:
        if selected is None:
            # The first run rather than its heading: most keys act on a run.
            self._cursor = 1 if len(self._rows) > 1 and isinstance(self._rows[1], Glance) else 0
            return
        refs = [row.ref for row in self._rows]
        if selected.ref in refs:
            self._cursor = refs.index(selected.ref)
        self._cursor = max(0, min(self._cursor, len(self._rows) - 1))

    def _refresh_row(self, index: int) -> None:
        self.refresh_line(index - self.scroll_offset.y)

    def move(self, by: int) -> None:
        """Move the cursor by so many rows, as far as there are any."""
        if not self._rows:
            return
        before, self._cursor = self._cursor, max(0, min(self._cursor + by, len(self._rows) - 1))
        if before == self._cursor:
            return
        top, height = self.scroll_offset.y, self.size.height
        if not top <= self._cursor < top + height:
            self.scroll_to(y=self._cursor if self._cursor < top else self._cursor - height + 1, animate=False)
        self._refresh_row(before)
        self._refresh_row(self._cursor)

    def select(self, ref: str) -> None:
        """Move the cursor to the row of that name."""
        for index, row in enumerate(self._rows):
            if row.ref == ref:
                self.move(index - self._cursor)

    def on_click(self, event: Click) -> None:
        """Select the row that was clicked; open it where it was selected already."""
        index = event.y + self.scroll_offset.y
        if index == self._cursor:
            self.post_message(self.Chosen())
        elif index < len(self._rows):
            self.move(index - self._cursor)

    def render_line(self, y: int) -> Strip:
        """Return one line of the list."""
        index = y + self.scroll_offset.y
        columns = self.size.width
        if index >= len(self._rows):
            return Strip.blank(columns, self.rich_style)
        row = self._rows[index]
        here = index == self._cursor
        segments = _heading(row) if isinstance(row, Heading) else self._run(row, columns - 1)
        marked = Strip([Segment(">" if here else " "), *segments]).adjust_cell_length(columns)
        return marked.apply_style(self.rich_style + cursor_style() if here else self.rich_style)

    def _run(self, run: Glance, columns: int) -> list[Segment]:
        state = Segment(f" {run.letter} {run.word:<9}", state_style(run.word))
        if run.problem is not None:
            return [state, Segment(f" {run.name}  {run.problem}")]
        wide = _bar_width(columns)
        epoch = f"{run.epoch}/{run.epochs or '?'}"
        filled = Segment(
            f" {bar(run.epoch, run.epochs, wide, ascii_only=self._ascii)}" if wide else "", state_style(run.word)
        )
        rest = f" {epoch:>8} {number(run.loss):>7} {percent(run.metric):>5} {age(run.since):>4} "
        notes = f"  {'; '.join(run.notes)}" if run.notes else ""
        room = columns - state.cell_length - filled.cell_length - len(rest) - 1
        name = pad(cut(f"{run.name}{notes}", room), room) if room > 0 else ""
        return [state, Segment(f" {name}"), filled, Segment(rest)]


def _bar_width(columns: int) -> int:
    """Return the cells of the bar: none where the name of the run needs them."""
    return 16 if columns >= 110 else 8 if columns >= 72 else 0


def header(columns: int) -> str:
    """Return the titles of the columns, aligned with the runs of a list of that width."""
    wide = _bar_width(columns)
    right = f" {'epoch':>{wide + 9 if wide else 8}} {'loss':>7} {'AP':>5} {'age':>4} "
    return pad("    state     run", columns - len(right)) + right


def _heading(row: Heading) -> list[Segment]:
    problem = [Segment(f"  ! {row.problem}", state_style("broken"))] if row.problem else []
    return [Segment(row.id, _BOLD), Segment(f"  {row.text}", DIM), *problem]


def _shown(row: Row) -> tuple[object, ...]:
    """Return what of a row is on the screen: two equal ones need no drawing."""
    if isinstance(row, Heading):
        return (row.id, row.text, row.problem)
    measured = (row.epoch, row.epochs, number(row.loss), percent(row.metric), age(row.since))
    return (row.ref, row.word, row.notes, row.problem, *measured)
