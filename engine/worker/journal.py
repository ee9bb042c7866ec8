"""A line file behind a backlog: the writing thread never waits for the disk, nor fails because it is full."""

from __future__ import annotations

import os
import sys
import time
import weakref
from collections import deque
from contextlib import suppress
from pathlib import Path
from threading import Event, RLock, Thread
from typing import Any

from detui.engine.run.lines import LineWriter

BACKLOG_BYTES = 16 << 20
"""How much may wait in memory for space on the disk; beyond that the oldest lines are given up, and counted."""

SYNC_SECONDS = 1.0
"""The shortest time between two fdatasync calls, urgent lines apart."""


class Journal:
    """Appends lines to one file, from any thread of the process that opened it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.given_up = 0
        """Lines lost because the disk stayed full for too long; `close` says how many."""
        self._writer = LineWriter(path)
        self._backlog: deque[bytes] = deque()
        self._waiting = 0
        self._dirty = False
        self._lock = RLock()
        self._wake = Event()
        self._closing = False
        self._silent = False
        _journals.add(self)
        self._thread = Thread(target=self._keep_synced, name="detui-sync", daemon=True)
        self._thread.start()

    def write(self, obj: dict[str, Any], *, urgent: bool = False) -> str | None:
        """Append a line; `urgent` asks for a sync at once, on the other thread.

        Returns what is wrong where the disk refused it: the line then waits in memory.
        """
        if self._silent:
            return None
        with self._lock:
            line = self._writer.line(obj)
            trouble = self._append(line)
            self._dirty = True
        if urgent:
            self._wake.set()
        return trouble

    def _append(self, line: bytes) -> str | None:
        if self._backlog and not self._drain():
            self._keep(line)
            return None
        try:
            self._writer.write_bytes(line)
        except OSError as error:
            self._keep(line)
            return f"{self.path} cannot be written ({error.strerror}); measurements wait in memory."
        return None

    def _keep(self, line: bytes) -> None:
        self._backlog.append(line)
        self._waiting += len(line)
        while self._waiting > BACKLOG_BYTES:
            self._waiting -= len(self._backlog.popleft())
            self.given_up += 1

    def _drain(self) -> bool:
        """Write what waits, in order. Returns whether nothing waits any more. Tried once a second at most."""
        if time.monotonic() < self._retry_at:
            return False
        while self._backlog:
            try:
                self._writer.write_bytes(self._backlog[0])
            except OSError:
                self._retry_at = time.monotonic() + SYNC_SECONDS
                return False
            self._waiting -= len(self._backlog.popleft())
        return True

    _retry_at = 0.0

    def _keep_synced(self) -> None:
        while not self._closing:
            self._wake.wait(SYNC_SECONDS)
            self._wake.clear()
            with self._lock:
                if self._backlog:
                    self._drain()
                dirty, self._dirty = self._dirty, False
            if dirty and not self._closing:
                self._sync()

    def _sync(self) -> None:
        try:
            self._writer.sync()
        except OSError:  # the data is with the kernel; the next sync tries again
            self._dirty = True

    def close(self) -> None:
        """Write what waits, if the disk takes it now, sync and close. What was lost is said here and on stderr."""
        self._closing = True
        self._wake.set()
        self._thread.join(timeout=10.0)
        with self._lock:
            self._retry_at = 0.0
            self._drain()
            self._own_up()
            self._sync()
            self._silent = True
            self._writer.close()

    def _own_up(self) -> None:
        """Say how many lines are missing, in the file if it can be written and on the console in any case."""
        lost = self.given_up + len(self._backlog)
        if not lost:
            return
        text = f"{lost} lines of measurements were lost: {self.path} could not be written for too long."
        with suppress(OSError, ValueError):  # the console may be on the same full disk, or closed
            sys.stderr.write(f"detui: {text}\n")
            sys.stderr.flush()
        if not self._backlog:
            with suppress(OSError):
                self._writer.write({"kind": "alarm", "name": "lost-lines", "text": text})

    def silence(self) -> None:
        """Stop writing: in a forked child, which is not the one writer of the file."""
        self._silent = True


_journals: weakref.WeakSet[Journal] = weakref.WeakSet()


def _silence_all() -> None:
    for journal in _journals:
        journal.silence()


os.register_at_fork(after_in_child=_silence_all)
