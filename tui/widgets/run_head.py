"""The line above the charts: state, bar, epoch, loss, metric."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from detui.tui.glance import Glance
from detui.tui.language import tr
from detui.tui.output import cut, number, percent_signed, width
from detui.tui.widgets.palette import DIM, bar, state_style

_SHORTEST = 10
"""Cells of the bar beside a long note."""


class RunHead(Widget):
    """One run in one line."""

    DEFAULT_CSS = "RunHead { height: 1; width: 1fr; }"

    def __init__(self) -> None:
        super().__init__()
        self._run: Glance | None = None

    def show(self, run: Glance) -> None:
        """Show the run; nothing is drawn where nothing changed."""
        if run != self._run:
            self._run = run
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return the line."""
        columns = self.size.width
        if self._run is None:
            return Strip([Segment(f" {tr('reading…')}", DIM)]).adjust_cell_length(columns).apply_style(self.rich_style)
        run = self._run
        epoch = f"{tr('epoch')} {run.epoch}/{run.epochs or '?'}"
        right = f"  {epoch}  {tr('loss')} {number(run.loss)}  {run.metric_name} {percent_signed(run.metric)} "
        state = Segment(f" {run.letter} {tr(run.word)} ", state_style(run.word) + Style(reverse=True))
        told = [getattr(run.state, "reason", None), run.problem, *run.notes]
        notes = "; ".join(str(text) for text in told if text)
        room = columns - state.cell_length - width(right) - 1
        note = cut(f"  {notes}".replace("\n", " "), max(0, room - _SHORTEST)) if notes else ""
        filled = Segment(" " + bar(run.epoch, run.epochs, max(0, room - width(note))), state_style(run.word))
        return (
            Strip([state, filled, Segment(note), Segment(right)])
            .adjust_cell_length(columns)
            .apply_style(self.rich_style)
        )
