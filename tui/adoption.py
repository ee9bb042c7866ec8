"""Giving a run that lost its supervisor a new one, as soon as anybody of its user looks at it."""

from __future__ import annotations

import time

from detui.engine.errors import DetuiError
from detui.engine.process.control import RunStatus, status
from detui.engine.run.directory import RunDir

RETRY_SECONDS = 30.0
"""A run that could not be adopted is tried again after so long: lists look at every run many times a minute."""

_failed: dict[RunDir, tuple[float, str]] = {}


def adopted(run: RunDir, found: RunStatus) -> RunStatus:
    """Adopt a run whose status says `orphaned`; return its status then, or the old one with what went wrong."""
    from detui.engine.process.adoption import adoptable
    from detui.engine.process.launch import adopt

    if not adoptable(run):
        return found
    at, problem = _failed.get(run, (0.0, ""))
    if problem and time.monotonic() - at < RETRY_SECONDS:
        return _noted(found, problem)
    try:
        adopt(run)
    except (DetuiError, OSError) as error:
        problem = error.message if isinstance(error, DetuiError) else str(error)
        _failed[run] = (time.monotonic(), problem)
        return _noted(found, problem)
    _failed.pop(run, None)
    return status(run)


def _noted(found: RunStatus, problem: str) -> RunStatus:
    return RunStatus(found.state, (*found.notes, f"not adopted: {problem}"), found.attempt)
