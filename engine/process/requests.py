"""What was asked of a supervisor: files in control/, or a SIGTERM to it."""

from __future__ import annotations

import os
import pwd
import signal
import time
from types import FrameType

from detui.engine.process.ledger import log
from detui.engine.run.directory import RunDir

STOP = "stop"
"""Save, then end."""
KILL = "kill"
"""End at once."""


class Requests:
    """The requests that reached one supervisor, with the monotonic time of each."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self.stop_at: float | None = None
        self.kill_at: float | None = None

    @property
    def why(self) -> str | None:
        """What asked for the end where that was no person; None where it was."""
        return None

    def install(self) -> None:
        """Take SIGTERM as a stop, and let a terminal that closes, or a Ctrl-C, pass by."""
        signal.signal(signal.SIGTERM, self._terminate)
        for ignored in (signal.SIGHUP, signal.SIGINT):
            signal.signal(ignored, _ignore)  # not SIG_IGN, which the worker would inherit

    def _terminate(self, _number: int, _frame: FrameType | None) -> None:
        self.stop_at = self.stop_at or time.monotonic()

    def poll(self) -> None:
        """Look for new requests."""
        if self.stop_at is None and self._is_asked(STOP):
            self.stop_at = time.monotonic()
        if self.kill_at is None and self._is_asked(KILL):
            self.kill_at = time.monotonic()

    def _is_asked(self, name: str) -> bool:
        """Whether the request is there; one that another user put there is removed, and logged."""
        path = self._run.control_dir / name
        try:
            uid = path.lstat().st_uid
        except OSError:
            return False
        if uid in (0, os.getuid()):
            return True
        log(f"refused the request {name!r} of user {user_name(uid)}: this is {user_name(os.getuid())}'s run")
        path.unlink(missing_ok=True)
        return False

    @property
    def asked(self) -> str | None:
        """The state that a run which has not started takes by what was asked, None where nothing was."""
        if self.kill_at is not None:
            return "killed"
        return "stopped" if self.stop_at is not None else None

    def clear(self) -> None:
        """Remove the requests that were served, and forget them: what comes later is asked of what runs then."""
        self.stop_at = self.kill_at = None
        for name in (STOP, KILL):
            (self._run.control_dir / name).unlink(missing_ok=True)


def user_name(uid: int) -> str:
    """Return a user's name, or the number where the system knows none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    return
