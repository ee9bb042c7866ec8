"""The record of an experiment, rendered; read again when it changes."""

from __future__ import annotations

from pathlib import Path

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Markdown, Static

from detui.engine.experiment import Experiment
from detui.tui.editor import edit
from detui.tui.keys import MOVE, RECORD, bindings
from detui.tui.markdown import without_comments
from detui.tui.messages import RecordRead
from detui.tui.screens.base import PageScreen, ReadingScreen
from detui.tui.widgets.title_bar import TitleBar


class RecordScreen(PageScreen, ReadingScreen):
    """record.md as a page, in one of its languages."""

    CSS_PATH = "record.tcss"
    PLACE = "Record"
    KEYS = (RECORD, MOVE)
    BINDINGS = bindings(*KEYS)
    EVERY = 2.0

    def __init__(self, experiment: Path) -> None:
        super().__init__()
        self._experiment = Experiment(experiment)
        self._language = "en"
        self._seen: tuple[Path, int] | None = None

    def compose(self) -> ComposeResult:
        """Lay out title, page and keys."""
        yield TitleBar("Record", self._experiment.id)
        yield Static(
            f"{self._experiment.id} has no record yet. It is written when the first run is evaluated.",
            classes="empty", id="nothing", markup=False,
        )  # fmt: skip
        with VerticalScroll():
            yield Markdown(open_links=False)
        yield self.key_bar()

    @property
    def path(self) -> Path:
        """The file that is shown."""
        return self._experiment.record_path(self._language)

    def read(self) -> RecordRead | None:
        """Read the record where it changed."""
        path = self.path
        try:
            stamp = (path, path.stat().st_mtime_ns)
            if stamp == self._seen:
                return None
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return RecordRead(path, None)
        self._seen = stamp
        return RecordRead(path, without_comments(text))

    async def on_record_read(self, message: RecordRead) -> None:
        """Show it."""
        if message.path == self.path:
            absent = message.text is None
            self.set_class(absent, "-absent")
            if message.text is not None:
                await self.query_one(Markdown).update(message.text)
        self.taken()

    def action_language(self) -> None:
        """Show the record in the other language, where there is one."""
        other = "zh" if self._language == "en" else "en"
        if self._experiment.record_path(other).is_file():
            self._language = other
            self._seen = None
            if self._reader is not None:
                self._reader.now()
        else:
            self.notify(f"There is no {self._experiment.record_path(other).name}.", markup=False)

    def action_edit(self) -> None:
        """Open the record in the editor."""
        if self.path.is_file():
            edit(self, self.path)

    def action_copy(self) -> None:
        """Copy the path."""
        self.detui.copy(str(self.path))
