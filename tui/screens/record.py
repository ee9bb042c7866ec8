"""The record of an experiment, rendered, its placeholders marked and counted; read again when it changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.message import Message
from textual.widgets import Static

from detui.engine.errors import DetuiError
from detui.engine.experiment import Experiment
from detui.tui.editor import edit
from detui.tui.keys import MOVE, RECORD, bindings
from detui.tui.language import current, tr
from detui.tui.markdown import Piece, rendered
from detui.tui.messages import RecordRead, Told
from detui.tui.reader import in_thread
from detui.tui.screens.base import ReadingScreen
from detui.tui.screens.choose import ChooseScreen
from detui.tui.screens.moving import PageMoves
from detui.tui.widgets.line_list import Line, LineList
from detui.tui.widgets.title_bar import TitleBar

FORMATS = ("html", "md", "latex", "csv", "tensorboard")
_HOLE = Style(bold=True, reverse=True)
_LEAST_COLUMNS = 40


class RecordScreen(PageMoves, ReadingScreen):
    """record.md as a page, in one of its languages. The cursor stands on placeholders."""

    PLACE = "Record"
    CSS_PATH = "record.tcss"
    KEYS = (RECORD, MOVE)
    BINDINGS = bindings(*KEYS)
    EVERY = 2.0

    def __init__(self, experiment: Path) -> None:
        super().__init__()
        self._experiment = Experiment(experiment)
        self._language = current()
        self._columns = 0
        self._seen: tuple[Path, int, int] | None = None

    def compose(self) -> ComposeResult:
        """Lay out title, page and keys."""
        yield TitleBar("Record", self._experiment.id)
        yield Static(
            tr("{name} has no record yet. It is written when the first run is evaluated; f writes it now.",
               name=self._experiment.id),
            classes="empty", id="nothing", markup=False,
        )  # fmt: skip
        yield LineList()
        yield self.key_bar()

    @property
    def path(self) -> Path:
        """The file that is shown."""
        return self._experiment.record_path(self._language)

    def page(self) -> LineList:
        """Return the record."""
        return self.query_one(LineList)

    def on_line_list_resized(self) -> None:
        """Wrap to the new width."""
        self._columns = self.page().columns
        self._read_now()

    def _read_now(self) -> None:
        if self._reader is not None:
            self._reader.now()

    def read(self) -> RecordRead | None:
        """Read the record where it, or the width, changed."""
        path, columns = self.path, max(self._columns - 1, _LEAST_COLUMNS)
        if not self._columns:
            return None  # the screen is not laid out yet
        try:
            stamp = (path, path.stat().st_mtime_ns, columns)
            if stamp == self._seen:
                return None
            text = path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            self._seen = None
            return RecordRead(path, None)
        self._seen = stamp
        return RecordRead(path, rendered(text, columns))

    def on_record_read(self, message: RecordRead) -> None:
        """Show it."""
        if message.path == self.path:
            self.set_class(message.lines is None, "-absent")
            lines = message.lines or ()
            self.page().set_lines(_lines(lines))
            holes = sum(piece.hole for line in lines for piece in line)
            told = tr("{count} to fill in", count=holes) if holes else ""
            self.query_one(TitleBar).set_note("  ".join(part for part in (told, self._experiment.id) if part))
        self.taken()

    def action_next_place_holder(self) -> None:
        """To the next placeholder."""
        self.page().move(1)

    def action_previous_place_holder(self) -> None:
        """To the placeholder before."""
        self.page().move(-1)

    def action_language(self) -> None:
        """Show the record in the other language, where there is one."""
        other = "zh" if self._language == "en" else "en"
        if self._experiment.record_path(other).is_file():
            self._language = other
            self._seen = None
            self.page().scroll_home(animate=False)
            self._read_now()
        else:
            self.detui.tell(tr("There is no {file}.", file=self._experiment.record_path(other).name))

    def action_edit(self) -> None:
        """Open the record in the editor."""
        if self.path.is_file():
            edit(self, self.path)
            self._read_now()

    def action_fill(self) -> None:
        """Evaluate what waits, and bring the record up to date."""
        self.detui.tell(tr("Filling the record…"))
        in_thread(self._fill, self)

    def _fill(self) -> Message:
        from detui.engine.evaluate import evaluate_run
        from detui.engine.record import fill

        problems: list[DetuiError] = []
        try:
            for run in self._experiment.runs():
                evaluate_run(run, problems)
            fill(self._experiment.path)
        except (DetuiError, OSError) as error:
            return Told(str(error), failed=True)
        if problems:
            return Told("\n".join(map(str, problems)), failed=True)
        return Told(tr("The record says what is measured by now."))

    def action_export(self) -> None:
        """Ask for a format, then write the record in it."""
        question = tr("Export to {folder} as:", folder=Path.cwd())
        self.app.push_screen(ChooseScreen(question, FORMATS), self._chosen_format)

    def _chosen_format(self, form: str | None) -> None:
        if form is not None:
            in_thread(lambda: self._export(form), self)

    def _export(self, form: str) -> Message:
        try:
            written = self._written(form)
        except (DetuiError, OSError) as error:
            return Told(str(error), failed=True)
        return Told(tr("Written: {files}", files=", ".join(str(path) for path in written)))

    def _written(self, form: str) -> Sequence[Path]:
        from detui.engine.record.export import export
        from detui.engine.record.tensorboard import Events

        if form != "tensorboard":
            return export(self._experiment.path, form, Path.cwd(), language=self._language)
        with Events(self._experiment.path, Path.cwd() / f"{self._experiment.id}.tensorboard", force=False) as events:
            events.update()
            return list(events.folders)

    def action_copy(self) -> None:
        """Copy the path."""
        self.detui.copy(str(self.path))


def _lines(lines: Sequence[Sequence[Piece]]) -> list[Line]:
    """Return the lines for the list; those with a placeholder can be chosen."""
    found = []
    for number, pieces in enumerate(lines):
        segments = tuple(Segment(piece.text, _HOLE if piece.hole else cast("Style", piece.style)) for piece in pieces)
        found.append(Line(segments, key=str(number) if any(piece.hole for piece in pieces) else ""))
    return found
