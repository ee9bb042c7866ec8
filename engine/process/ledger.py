"""What a supervisor writes about its run: kept and tried again where the disk refuses, never a reason to die."""

from __future__ import annotations

import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from detui.engine.errors import RunError
from detui.engine.run.directory import RunDir, now
from detui.engine.run.files import write_json

ROOM = 16 << 10
"""Bytes kept free for how a run ended, in case that its disk is full by then."""


def log(text: str) -> None:
    """Write a line to the supervisor's own log, its standard error. A full disk loses the line, not the run."""
    with suppress(OSError):
        sys.stderr.write(f"{now()} {text}\n")
        sys.stderr.flush()


def guarded(action: Callable[[], None]) -> None:
    """Do a piece of bookkeeping; what goes wrong is logged, because the training matters more."""
    try:
        action()
    except Exception:  # noqa: BLE001 - a healthy training must outlive any fault of its bookkeeping
        log(f"went on after this:\n{traceback.format_exc()}")


class Ledger:
    """Writes events and files of one run in order; what cannot be written now waits.

    A small file of zeros lies beside them while the run is supervised. It makes room where the disk is full, so that
    the end of a run is known even then.
    """

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._waiting: deque[Callable[[], None]] = deque()
        self._room = run.path / ".room"

    def keep_room(self) -> None:
        """Set the room aside. Nothing happens where there is none left."""
        with suppress(OSError):
            self._room.write_bytes(bytes(ROOM))  # written, not allocated: file systems differ in what that promises

    def event(self, state: str, **fields: Any) -> None:
        """Append a transition to events.jsonl, with the time of now."""
        log(f"{state} {fields}")
        self._do(lambda: self._run.append_event(state, **fields))

    def file(self, path: Path, obj: dict[str, Any]) -> None:
        """Write a JSON file whole."""
        self._do(lambda: write_json(path, obj))

    def _do(self, action: Callable[[], None]) -> None:
        self._waiting.append(action)
        self.flush()

    def flush(self) -> bool:
        """Write what waits. Returns whether nothing does any more."""
        while self._waiting:
            try:
                self._waiting[0]()
            except RunError as error:
                log(str(error))
                if not self._make_room():
                    return False
                continue
            self._waiting.popleft()
        return True

    def _make_room(self) -> bool:
        """Give up the room that was set aside. Returns whether there was any."""
        try:
            self._room.unlink()
        except OSError:
            return False
        return True

    def settle(self, seconds: float = 60.0) -> None:
        """Write what waits, trying for a while: the disk may have space again soon."""
        deadline = time.monotonic() + seconds
        while not self.flush() and time.monotonic() < deadline:
            time.sleep(1.0)
        self._make_room()
