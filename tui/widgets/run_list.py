"""The list of runs. Draws single lines: a run that moves costs some two hundred bytes, not a screen."""

from __future__ import annotations

from collections.abc import Container, Sequence

from rich.segment import Segment
from rich.style import Style
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from detui.tui.columns import NAMED, Column, bar_width, fitting
from detui.tui.glance import Glance
from detui.tui.language import tr
from detui.tui.output import cut, pad, width
from detui.tui.rows import Heading, Row
from detui.tui.widgets.palette import DIM, bar, cursor_style, state_style

_BOLD = Style(bold=True)
_MARK = Style(bold=True, reverse=True)


class RunList(ScrollView, can_focus=False):
    """Experiments and their runs, one line each, with a cursor.

    Never focused: a focused scrolling widget takes the arrow keys for itself as soon as there is something to scroll.
    """

    class Chosen(Message):
        """A row was clicked a second time."""

    class Moved(Message):
        """The cursor is on another row."""

    def __init__(self, marked: Container[str] = (), *, ascii_only: bool = False) -> None:
        """`marked`: the runs that are marked, by "EXPERIMENT/RUN"; looked at whenever a line is drawn."""
        super().__init__()
        self._marked = marked
        self._whole = False
        self._rows: list[Row] = []
        self._drawn: dict[int, tuple[object, ...]] = {}
        """What each line of the screen shows."""
        self._cursor = 0
        self._ascii = ascii_only
        self._named = False

    @property
    def selected(self) -> Row | None:
        """The row under the cursor."""
        return self._rows[self._cursor] if self._rows else None

    @property
    def rows(self) -> Sequence[Row]:
        """All rows."""
        return self._rows

    def set_rows(self, rows: Sequence[Row], *, named: bool = False) -> None:
        """Show these rows; the cursor stays on its run, and only lines that changed are drawn.

        `named`: whether each metric says its name.
        """
        self._named = named
        before, selected = len(self._rows), self.selected
        self._rows = list(rows)
        # Without headings the name of a run says its experiment.
        self._whole = not any(isinstance(row, Heading) for row in rows)
        self._follow(selected)
        if before != len(rows):
            self.virtual_size = Size(0, len(rows))
            self.refresh()
            return
        # Only the lines in sight: with a thousand runs the others would cost as much as all the rest.
        top = self.scroll_offset.y
        for y, row in enumerate(self._rows[top : top + self.size.height]):
            if self._drawn.get(y) != self._shown(row):
                self._refresh_row(top + y)

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
        self.refresh_line(index)

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
        self.post_message(self.Moved())

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
        self._drawn[y] = self._shown(row)
        here = index == self._cursor
        segments = self._heading(row) if isinstance(row, Heading) else self._run(row, columns - 2)
        mark = Segment("*", _MARK) if self._is_marked(row) else Segment(" ")
        whole = Strip([Segment(">" if here else " "), mark, *segments]).adjust_cell_length(columns)
        return whole.apply_style(self.rich_style + cursor_style() if here else self.rich_style)

    def _is_marked(self, row: Row) -> bool:
        refs = [f"{row.id}/{name}" for name in row.runs] if isinstance(row, Heading) else [row.ref]
        return bool(refs) and all(ref in self._marked for ref in refs)

    def _run(self, run: Glance, columns: int) -> list[Segment]:
        state = Segment(f"{run.letter} {pad(cut(tr(run.word), 9), 9)}", state_style(run.word))
        name = f"{run.name}  {run.experiment}" if self._whole else run.name
        if run.problem is not None:
            return [state, Segment(f" {name}  {run.problem}")]
        wide = bar_width(columns)
        filled = Segment(f" {self._bar(run, wide)}" if wide else "", state_style(run.word))
        chosen = self._columns(columns)
        cells = [pad(cut(one.text(run), one.width), one.width, right=True) for one in chosen]
        rest = "".join(f" {cell}" for cell in cells)
        notes = f"  {'; '.join(run.notes)}" if run.notes else ""
        room = columns - state.cell_length - filled.cell_length - width(rest) - 2
        text = pad(cut(f"{name}{notes}", room), room) if room > 0 else ""
        return [state, Segment(f" {text}"), filled, Segment(f"{rest} ")]

    def _bar(self, run: Glance, wide: int) -> str:
        return bar(run.epoch, run.epochs, wide, ascii_only=self._ascii)

    def _heading(self, row: Heading) -> list[Segment]:
        problem = [Segment(f"  ! {row.problem}", state_style("broken"))] if row.problem else []
        return [Segment(row.id, _BOLD), Segment(f"  {row.text}", DIM), *problem]

    def _columns(self, columns: int) -> Sequence[Column]:
        return fitting(columns, flat=self._whole, named=self._named)

    def _shown(self, row: Row) -> tuple[object, ...]:
        """Return what of a row is on the screen: two equal ones need no drawing."""
        if isinstance(row, Heading):
            return (row.id, row.text, row.problem)
        columns = self.size.width - 2
        measured = (self._bar(row, bar_width(columns)), *(one.text(row) for one in self._columns(columns)))
        return (row.ref, row.word, row.notes, row.problem, *measured)


def header(columns: int, sort: str = "started", *, flat: bool = False, named: bool = False) -> str:
    """Return the titles of the columns, aligned with the runs of a list of that width; the sorted one is marked."""

    def title(name: str, room: int) -> str:
        return pad(cut(tr(name), room), room, right=True)

    inside = columns - 2
    wide = bar_width(inside)
    titles = [f" {title(one.title, one.width)}" for one in fitting(inside, flat=flat, named=named)]
    right = " " * (wide + 1 if wide else 0) + "".join(titles)
    left = f"  {pad(tr('state'), 12)}{tr('run')}"
    if sort != "started":
        column = NAMED.title if named and sort == "AP %" else sort
        left += "  " + tr("sorted by {column}", column=tr(column))
    return pad(cut(left, columns - width(right) - 1), columns - width(right) - 1) + right + " "
