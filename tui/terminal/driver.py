"""Textual's driver for a real terminal, sending only the cells that changed.

Textual redraws whole regions. Over somebody's SSH link bytes are what counts, so what it writes is drawn into a
picture here, and the difference to what the terminal shows is sent. Where that is unknown (at the start, after a
resize, after a sequence that is not understood) everything goes through unchanged until a whole frame was drawn.
"""

from __future__ import annotations

import asyncio
import re
import threading
from typing import Any

from textual import events
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message
from textual.messages import InBandWindowResize

from detui.tui.terminal.changes import Shadow
from detui.tui.terminal.picture import Picture
from detui.tui.terminal.plain_text import ascii_only
from detui.tui.terminal.styles import Styles, UnknownSequence

_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
_SCREEN, _LEAVE = "\x1b[?1049h", "\x1b[?1049l"
# Modes, queries and keyboard protocols, clipboard, pointer shape, notices on the desktop (in tmux handed through), the
# bell: nothing that changes a cell.
_HARMLESS = re.compile(
    r"(?:\x1b\[[?<>=][\d;]*\$?[a-zA-Z]"
    r"|\x1b\](?:52|22|9);[^\x00-\x1f]*(?:\x07|\x1b\\)"
    r"|\x1bPtmux;(?:\x1b\x1b|[^\x00-\x1f])*\x1b\\"
    r"|\x07)*"
)
_AT_ONCE = 1000
"""Bytes that arrive in one piece: so few need no brackets against being shown half drawn."""
_BEHIND = 2
"""Writes that wait for a terminal before nothing more is sent until it has caught up."""
_LATER = 0.1
"""Seconds after which that is looked at again."""


class ChangesDriver(LinuxDriver):
    """Keeps what the terminal shows, and sends what differs.

    A terminal that does not read holds nobody up: what it misses is sent as one difference once it reads again.
    """

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        """As Textual makes its drivers."""
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._styles = Styles()
        self._shadow = Shadow(self._styles)
        self._picture: Picture | None = None
        self._whole = False
        """Whether the picture is what Textual wants, in the size that the terminal has."""
        self._lost = True
        """Whether the terminal may show something else than the shadow says."""
        self._shown = False
        """Whether the alternate screen is on."""
        self._bracketed = False
        self._cursor = (0, 0)
        self._lock = threading.RLock()
        self._busy = False
        self._disturbed = False
        self._later: asyncio.TimerHandle | None = None

    def forget(self) -> None:
        """Assume nothing of what the terminal shows: all of it is sent again, soon."""
        self._lost = True
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._call_later)

    def _get_terminal_size(self) -> tuple[int, int]:
        # Textual asks whenever the terminal says that its size changed, and what is shown then is anybody's guess:
        # it may have been another size in between.
        if self._shown:
            self.forget()
        return super()._get_terminal_size()

    def process_message(self, message: Message) -> None:
        """Take note of sizes that the terminal reports by itself."""
        if isinstance(message, events.Resize | InBandWindowResize):
            self.forget()
        super().process_message(message)

    def write(self, data: str) -> None:
        """Send what of this output changes the screen."""
        with self._lock:
            if self._busy:  # a signal handler, in the middle of the lines below
                self._disturbed = True
                super().write(data)
                return
            self._busy = True
            try:
                found = self._needed(data)
            finally:
                self._busy = False
            if self._disturbed:
                # The terminal was given away and taken again meanwhile: what was found belongs to another screen.
                self._disturbed = False
                self.forget()
            elif found:
                super().write(found)

    def _needed(self, data: str) -> str:
        if data in (_BEGIN, _END):
            self._bracketed = data == _BEGIN
            return ""
        if data in (_SCREEN, _LEAVE):
            self._shown = data == _SCREEN
            self.forget()
            return data
        if not self._shown or _HARMLESS.fullmatch(data):
            return data
        if getattr(self._app, "ascii_only", False):
            data = ascii_only(data)
        size = super()._get_terminal_size()
        if self._picture is None or (self._picture.columns, self._picture.rows) != size:
            self._picture = Picture(self._styles, *size)
            self._whole = False
        try:
            drawn = self._picture.draw(data)
        except UnknownSequence:
            self._picture, self._whole = None, False
            return self._framed(data)
        if drawn and not self._whole:
            self._whole = self._lost = True
        return self._difference(self._picture) if self._whole else self._framed(data)

    def _difference(self, picture: Picture) -> str:
        assert self._writer_thread is not None
        if self._writer_thread._queue.qsize() >= _BEHIND:
            self._call_later()
            return ""
        if self._lost:
            self._lost = False
            self._shadow.forget(picture)
        found = self._shadow.changes(picture)
        cursor = (picture.x, picture.y)
        # Textual leaves the cursor in the corner where nobody types; then its place does not matter.
        if cursor != (0, 0) and (found or cursor != self._cursor):
            found += self._shadow.to_cursor(picture)
        self._cursor = cursor
        return self._framed(found)

    def _framed(self, data: str) -> str:
        return f"{_BEGIN}{data}{_END}" if self._bracketed and len(data) > _AT_ONCE else data

    def _call_later(self) -> None:
        if self._later is None:
            self._later = self._loop.call_later(_LATER, self._catch_up)

    def _catch_up(self) -> None:
        """Send what was held back, if nothing else has taken it along."""
        self._later = None
        with self._lock:
            picture = self._picture
            if not (self._shown and self._whole and picture is not None and (self._lost or picture.changed)):
                return
            if super()._get_terminal_size() == (picture.columns, picture.rows) and (found := self._difference(picture)):
                super().write(found)
