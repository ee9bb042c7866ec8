"""The selected run beside the list of runs: when it is shown, and how it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.message import Message

from detui.engine.run.directory import RunDir
from detui.tui.glance import Glance
from detui.tui.messages import PreviewRead
from detui.tui.reader import Reader, in_thread
from detui.tui.rows import Row
from detui.tui.screens.run_requests import RunRequests

if TYPE_CHECKING:
    from detui.tui.snapshot import SnapshotReader
    from detui.tui.widgets.preview import Preview

_BESIDE = 160
"""Columns from which the preview stands beside the list."""
_BELOW = 30
"""Rows from which it stands below."""


class PreviewLoaded(Message):
    """What the preview needs was imported."""


def _load_preview() -> PreviewLoaded:
    """Import charts and numpy in a thread: the list is there before them."""
    from detui.tui.widgets import preview  # noqa: F401

    return PreviewLoaded()


class Previewing(RunRequests):
    """A list of runs with a preview in its container `#panes`."""

    def __init__(self) -> None:
        super().__init__()
        self._wanted: bool | None = None
        """Whether the preview is shown; None: as the terminal's size asks."""
        self._selected: Row | None = None
        """What the list's cursor stands on. The reading thread takes it from here, and asks no widget."""
        self._pinned: Glance | None = None
        self._previewed: tuple[str, SnapshotReader] | None = None
        self._preview_reader: Reader | None = None
        self._loading = False
        """Whether the preview is being loaded."""
        self._again = False
        """Whether the previewed run is to be read from its beginning."""

    def look_at(self, row: Row | None) -> None:
        """Preview what the cursor stands on, unless a run is pinned."""
        moved = row is not None and (self._selected is None or row.ref != self._selected.ref)
        self._selected = row
        if moved and self._preview_reader is not None:
            self._preview_reader.now()

    def preview_again(self) -> None:
        """Read the previewed run from its beginning: the widget that showed it has gone."""
        self._again = True

    def pause_preview(self) -> None:
        """Do not read while nobody sees it."""
        if self._preview_reader is not None:
            self._preview_reader.pause(True)

    def end_preview(self) -> None:
        """Let the thread end."""
        if self._preview_reader is not None:
            self._preview_reader.end()

    def arrange_panes(self, anything: bool) -> None:
        """Show the preview where it fits or is wanted. `anything`: whether there is a run at all."""
        columns, rows = self.app.size
        beside = columns >= _BESIDE
        wanted = (beside or rows >= _BELOW) if self._wanted is None else self._wanted
        self.set_class(beside, "-beside")
        self.set_class(wanted, "-preview")
        if wanted and anything and self._preview is None and not self._loading:
            self._loading = True
            in_thread(_load_preview, self)
        if self._preview_reader is not None:
            self._preview_reader.pause(not wanted)

    async def on_preview_loaded(self) -> None:
        """Show the preview."""
        from detui.tui.widgets.preview import Preview

        await self.query_one("#panes").mount(Preview(ascii_only=self.detui.ascii_only))
        self._loading = False
        if self._preview_reader is None:
            self._preview_reader = Reader(self._read_preview, self, max(1.0, self.detui.settings.refresh))
            self._preview_reader.start()

    @property
    def _preview(self) -> Preview | None:
        found = self.query("Preview")  # by its name, because it may not be loaded
        return cast("Preview", found.first()) if found else None

    def _read_preview(self) -> PreviewRead | None:
        """Read the selected run, or the pinned one; called in a thread."""
        run = self._pinned or self._selected
        if not isinstance(run, Glance) or run.problem is not None:
            return None
        from detui.tui.snapshot import SnapshotReader

        if self._previewed is None or self._previewed[0] != run.ref or self._again:
            self._again = False
            self._previewed = (run.ref, SnapshotReader(RunDir(run.path)))
        return PreviewRead(run.ref, self._previewed[1].read())

    def on_preview_read(self, message: PreviewRead) -> None:
        """Show the reading, unless the cursor has moved on."""
        run = self._pinned or self._selected
        if (preview := self._preview) is None or run is None or run.ref != message.ref:
            self._again = True  # what was read of it is lost
        else:
            preview.show(message.ref, message.snapshot, pinned=self._pinned is not None)
        if self._preview_reader is not None:
            self._preview_reader.taken()

    def action_preview(self) -> None:
        """Show the preview, or not."""
        self._wanted = not self.has_class("-preview")
        self.arrange_panes(True)

    def action_pin(self) -> None:
        """Keep the preview on this run, or let it follow the cursor again."""
        row = self._selected
        self._again = True
        same = self._pinned is not None and row is not None and row.ref == self._pinned.ref
        self._pinned = row if isinstance(row, Glance) and not same else None
        if self._pinned is not None and not self.has_class("-preview"):
            self.action_preview()
        if self._preview_reader is not None:
            self._preview_reader.now()
