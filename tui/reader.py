"""Threads that read the disk for the screens, so that the event loop never waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from textual.message import Message
from textual.message_pump import MessagePump

from detui.engine.errors import DetuiError
from detui.tui.messages import ReadFailed


class Reader(threading.Thread):
    """Calls `read` again and again and posts what it returns, one message in flight.

    A message whose `more` is true is followed by the next at once: a long file is shown as it is read.

    A daemon thread: one that hangs on a dead network disk must not keep detui from quitting.
    """

    def __init__(self, read: Callable[[], Message | None], screen: MessagePump, every: float) -> None:
        super().__init__(name=f"reader of {type(screen).__name__}", daemon=True)
        self._read = read
        self._screen = screen
        self.every = every
        """Seconds between the end of one reading and the next."""
        self._over = threading.Event()
        self._free = threading.Event()
        self._shown = threading.Event()
        self._again = threading.Event()
        self._free.set()
        self._shown.set()

    def run(self) -> None:
        """Read until `end`."""
        while not self._over.is_set():
            self._shown.wait()
            self._free.wait()
            if self._over.is_set():
                return
            message = self._try()
            if message is not None:
                self._free.clear()
                if not self._screen.post_message(message):
                    return
            if not getattr(message, "more", False):
                self._again.wait(self.every)
            self._again.clear()

    def _try(self) -> Message | None:
        try:
            return self._read()
        except DetuiError as error:
            return ReadFailed(str(error))
        except OSError as error:
            return ReadFailed(f"{error.filename or 'reading'}: {error.strerror or error}")

    def taken(self) -> None:
        """Say that the last message was dealt with; the next may come."""
        self._free.set()

    def pause(self, paused: bool) -> None:
        """Stop reading while the screen is covered, and go on when it is not."""
        self._shown.clear() if paused else self._shown.set()

    def now(self) -> None:
        """Read at once instead of at the next turn."""
        self._again.set()

    def end(self) -> None:
        """Let the thread end."""
        self._over.set()
        for event in (self._shown, self._free, self._again):
            event.set()


def in_thread(work: Callable[[], Message | None], screen: MessagePump) -> None:
    """Do something that takes a while in a thread, and post the message it returns."""

    def call() -> None:
        message = work()
        if message is not None:
            screen.post_message(message)

    threading.Thread(target=call, name="work", daemon=True).start()
