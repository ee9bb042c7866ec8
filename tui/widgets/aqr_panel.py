"""AQR's numbers beside the charts, or in their place: LiDAR and camera in columns, with what they did lately."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from detui.tui.aqr import BACK, DOWN, LEVEL, UP, AqrPicture, Cell, Row, sparkline, trend
from detui.tui.language import tr
from detui.tui.output import cut, pad, width
from detui.tui.widgets.palette import DIM, PLAIN
from detui.tui.widgets.tones import tone

_TEXT = 13
"""Cells of a number, or of two."""
_ARROWS = {UP: "↗", DOWN: "↘", LEVEL: "→", None: " "}
_ASCII_ARROWS = {UP: "^", DOWN: "v", LEVEL: "=", None: " "}
_ASCII = str.maketrans({"–": "-", "±": "+-"})


class AqrPanel(Widget, can_focus=False):
    """The panel; only lines that changed are sent to the terminal."""

    DEFAULT_CSS = "AqrPanel { width: 1fr; height: 1fr; display: none; }"

    def __init__(self, *, ascii_only: bool = False) -> None:
        super().__init__()
        self._ascii = ascii_only
        self._picture: AqrPicture | None = None

    def show(self, picture: AqrPicture | None) -> None:
        """Show these numbers."""
        before, self._picture = self._picture, picture
        if before is None or picture is None or _labels(before) != _labels(picture):
            self.refresh()
            return
        changed = [
            before.step != picture.step,
            *(old != new for old, new in zip(before.rows, picture.rows, strict=True)),
        ]
        regions = [Region(0, y, self.size.width, 1) for y, moved in enumerate(changed) if moved]
        if regions:
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        """Return one line: the heading, then the rows."""
        segments: list[Segment] = []
        if self._picture is not None and y <= len(self._picture.rows):
            segments = self._heading() if y == 0 else self._row(self._picture.rows[y - 1])
        return Strip(segments).adjust_cell_length(self.size.width).apply_style(self.rich_style)

    def _heading(self) -> list[Segment]:
        left, room = self._widths()
        title = tr("AQR, step {step}", step=self._picture.step if self._picture else 0)
        names = [pad(cut(name, room), room) for name in (tr("LiDAR"), tr("camera"))]
        return [Segment(f" {pad(cut(title, left), left)} ", tone("heading", bold=True)),
                *(Segment(f" {name}", Style(bold=True)) for name in names)]  # fmt: skip

    def _row(self, row: Row) -> list[Segment]:
        left, room = self._widths()
        segments = [Segment(f" {pad(self._written(row.label), left)} ", DIM)]
        for cell in row.cells:
            style = tone("wrong", bold=True) if cell.wrong else PLAIN
            past = self._past(cell, room - _TEXT - 1)
            wide = _TEXT if past else room
            text = f" {pad(cut(self._written(cell.text), wide), wide)}"
            segments += [Segment(text, style), Segment(pad(f" {past}" if past else "", room - wide), DIM)]
        return segments

    def _past(self, cell: Cell, room: int) -> str:
        """Return the past of a number in at most so many cells: as a line, as an arrow, or nothing."""
        if room < 1 or not cell.past:
            return ""
        if room > BACK and not self._ascii:
            return pad(sparkline(cell.past), BACK + 1)
        return (_ASCII_ARROWS if self._ascii else _ARROWS)[trend(cell.past)]

    def _written(self, text: str) -> str:
        return text.translate(_ASCII) if self._ascii else text

    def _widths(self) -> tuple[int, int]:
        """Return the cells of the labels, and of each of the two columns."""
        labels = _labels(self._picture) if self._picture is not None else ()
        left = max((width(self._written(label)) for label in labels), default=0)
        room = (self.size.width - left - 2) // 2 - 1
        return left, max(1, min(room, _TEXT + 1 + BACK + 1))


def _labels(picture: AqrPicture) -> Sequence[str]:
    return [row.label for row in picture.rows]
