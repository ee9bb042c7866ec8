"""Dead children, collected in one place: a subreaper inherits those of others."""

from __future__ import annotations

import ctypes
import os
import subprocess

_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> None:
    """Make orphaned descendants children of this process, so that none gets out of sight."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Reaper:
    """Collects every child that ended and remembers how."""

    def __init__(self) -> None:
        self._codes: dict[int, int] = {}
        self._known: set[int] = set()

    def expect(self, process: subprocess.Popen[bytes]) -> None:
        """Remember the end of this child, when it comes."""
        self._known.add(process.pid)

    def collect(self) -> None:
        """Collect the children that ended since the last call."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._known:
                self._codes[pid] = os.waitstatus_to_exitcode(status)

    def code(self, process: subprocess.Popen[bytes]) -> int | None:
        """Return how an expected child ended (exit code, or minus the signal), None while it runs."""
        if process.returncode is None:
            self.collect()
            # Popen would wait for a pid that was collected here, and take the absence for success.
            process.returncode = self._codes.pop(process.pid, None)
        return process.returncode
