"""Resuming a run in a test."""

from __future__ import annotations

import time

from detui.engine.process.control import supervised
from detui.engine.process.launch import launch
from detui.engine.run.directory import RunDir


def resume(run: RunDir, seconds: float = 120) -> None:
    """Start a new attempt once the last one's supervisor has left: it evaluates first what was dumped.

    Raises AssertionError where it does not leave within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while supervised(run):
        assert time.monotonic() < deadline, "its results are still being evaluated"
        time.sleep(0.1)
    launch(run, resume=True)
