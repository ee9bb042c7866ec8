"""The selected run beside the list: its losses, and the end of its log."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from rich.segment import Segment
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.strip import Strip
from textual.widget import Widget

from detui.tui.language import tr
from detui.tui.output import cut
from detui.tui.snapshot import Snapshot
from detui.tui.widgets.chart import Chart
from detui.tui.widgets.palette import DIM

_KEPT = 40
"""Lines of the log that are kept: more than fit."""


class LogTail(Widget):
    """The last lines of a log; lines that stand where they stood are not drawn again."""

    DEFAULT_CSS = "LogTail { height: 1fr; width: 1fr; }"

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[str] = deque(maxlen=_KEPT)

    def add(self, lines: Sequence[str]) -> None:
        """Add new lines."""
        if lines:
            self._lines.extend(lines)
            self.refresh()

    def clear(self) -> None:
        """Forget all lines."""
        self._lines.clear()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one line of the end."""
        shown = list(self._lines)[-self.size.height :]
        text = cut(f" {shown[y]}", self.size.width) if y < len(shown) else ""
        return Strip([Segment(text, DIM)]).adjust_cell_length(self.size.width).apply_style(self.rich_style)


class Preview(Vertical):
    """One run in little. It loads the chart, and so numpy, only when it is first shown."""

    DEFAULT_CSS = """
    Preview { layout: vertical; }
    Preview Chart { height: 2fr; }
    Preview LogTail { height: 1fr; min-height: 2; }
    """

    def __init__(self, *, ascii_only: bool = False) -> None:
        super().__init__()
        self._ascii = ascii_only
        self._shown: tuple[str, str] | None = None
        self._chart = Chart(tr("Loss"), ascii_only=ascii_only)

    def compose(self) -> ComposeResult:
        """Lay out chart and log."""
        yield self._chart
        yield LogTail()

    def show(self, ref: str, found: Snapshot, *, pinned: bool) -> None:
        """Show a reading of the run `ref`, "EXPERIMENT/RUN"."""
        name = found.glance.name + (f" ({tr('pinned')})" if pinned else "")
        tail = self.query_one(LogTail)
        if (ref, name) != self._shown:
            # Another run's curve begins on axes of its own.
            self._shown = (ref, name)
            tail.clear()
            self._chart.remove()
            self._chart = Chart(name, ascii_only=self._ascii)
            self.mount(self._chart, before=tail)
        if found.charts is not None:
            data = found.charts["loss"]
            self._chart.set_series(data.series, x_label=tr(data.x_label), x_most=data.x_most)
        tail.add(found.log)
