"""Where AQR's numbers have room on the screen of a run that reports them."""

from __future__ import annotations

from detui.tui.aqr import AqrPicture
from detui.tui.keys import all_keys
from detui.tui.language import tr
from detui.tui.screens.base import ReadingScreen
from detui.tui.widgets.aqr_panel import AqrPanel
from detui.tui.widgets.key_bar import KeyBar

FOUR = (100, 30)
"""Columns and rows from which on four charts are shown at once, on a smaller terminal one."""
SIX = (170, 48)
"""From which on six; or four, with the panel of AQR beside them."""


class RunAqr(ReadingScreen):
    """A small terminal shows the panel in the place of everything else, a larger one beside a chart, when asked to.

    A large one shows it without being asked.
    """

    def __init__(self) -> None:
        super().__init__()
        self._reports_aqr = False
        self._read = False
        """Whether all there is of the run has been read once."""
        self._panel: bool | None = None
        """Whether the panel is wanted; None: where there is room beside everything else."""

    def aqr_changed(self) -> None:
        """Arrange the screen: the panel comes."""
        raise NotImplementedError

    @property
    def small(self) -> bool:
        """Whether there is room for one chart alone."""
        return self.app.size.width < FOUR[0] or self.app.size.height < FOUR[1]

    @property
    def large(self) -> bool:
        """Whether there is room for six."""
        return self.app.size.width >= SIX[0] and self.app.size.height >= SIX[1]

    @property
    def shows_aqr(self) -> bool:
        """Whether the overview has the panel."""
        return self._reports_aqr and (self.large if self._panel is None else self._panel)

    @property
    def aqr_alone(self) -> bool:
        """Whether the panel stands in the place of charts, numbers and log."""
        return self.shows_aqr and self.small

    def show_aqr(self, picture: AqrPicture | None, *, more: bool) -> None:
        """Show what was read; the first time offer the key, too. `more`: whether there is more to read at once."""
        self._read = self._read or not more
        if picture is None and not self._reports_aqr:
            return
        self.query_one(AqrPanel).show(picture)
        if not self._reports_aqr:
            self._reports_aqr = True
            self.query_one(KeyBar).offer(all_keys()["run.aqr"])
            self.aqr_changed()

    def choose_aqr(self, *, shown: bool) -> bool:
        """Show the panel from now on, or not. Returns whether this run has one; says so where it has none."""
        self._panel = shown
        if self._read and not self._reports_aqr:
            self.detui.tell(tr("This run reports nothing of AQR."))
        return self._reports_aqr

    def leave_aqr(self) -> None:
        """Make room for a chart where there is none beside the panel."""
        if self.aqr_alone:
            self._panel = False
