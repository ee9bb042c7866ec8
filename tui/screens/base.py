"""What screens that read in a thread have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.message import Message
from textual.screen import Screen

from detui.tui.keys import Key
from detui.tui.messages import ReadFailed, Told
from detui.tui.reader import Reader
from detui.tui.widgets.key_bar import KeyBar

if TYPE_CHECKING:
    from detui.tui.app import DetuiApp


class DetuiScreen(Screen[None]):
    """Any screen of the application."""

    AUTO_FOCUS = ""  # a hidden line to type in would take the first keys
    PLACE: ClassVar[str] = "Runs"
    """Which of the five places it belongs to."""
    KEYS: ClassVar[tuple[tuple[Key, ...], ...]] = ()
    """Its groups of keys, in the order in which the line of keys shows them."""

    @property
    def detui(self) -> DetuiApp:
        """The application, as what it is."""
        return cast("DetuiApp", self.app)

    def key_bar(self) -> KeyBar:
        """Return the line of this screen's keys."""
        return KeyBar(*self.KEYS, remapped=self.detui.settings.keys, read_only=self.detui.read_only)


class ReadingScreen(DetuiScreen):
    """A screen that shows what a thread reads again and again."""

    EVERY = 1.0
    """Seconds between two readings where the settings do not ask for longer."""
    COVERED: ClassVar[float | None] = None
    """The same while another screen covers this one; None: it is not read then."""

    def __init__(self) -> None:
        super().__init__()
        self._reader: Reader | None = None

    def read(self) -> Message | None:
        """Read; called in the thread. Raises DetuiError or OSError for what is tried again."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Start to read."""
        self._reader = Reader(self.read, self, self._seconds)
        self._reader.start()

    def on_unmount(self) -> None:
        """Let the thread end."""
        if self._reader is not None:
            self._reader.end()

    def on_screen_suspend(self) -> None:
        """Read less while another screen covers this one, or not at all."""
        if self._reader is not None:
            self._reader.pause(self.COVERED is None)
            self._reader.every = self.COVERED or self._reader.every

    def on_screen_resume(self) -> None:
        """Read again, at once."""
        if self._reader is not None:
            self._reader.every = self._seconds
            self._reader.pause(False)
            self._reader.now()

    @property
    def _seconds(self) -> float:
        return max(self.EVERY, self.detui.settings.refresh)

    def taken(self) -> None:
        """Let the thread read the next."""
        if self._reader is not None:
            self._reader.taken()

    def on_read_failed(self, message: ReadFailed) -> None:
        """Say what could not be read."""
        self.taken()
        self.notify(message.text, severity="warning", markup=False)

    def on_told(self, message: Told) -> None:
        """Say what came of something that was asked."""
        self.notify(message.text, severity="error" if message.failed else "information", markup=False)
        if self._reader is not None:
            self._reader.now()
