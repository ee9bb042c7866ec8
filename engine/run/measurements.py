"""Measurements of speed beside an attempt: speed.json, {"measurements": […]}, the newest last."""

from __future__ import annotations

from typing import Any

from detui.engine.run.directory import AttemptDir
from detui.engine.run.files import read_json_if_there, write_json

SPEED_FILE = "speed.json"
"""Of an attempt. Each measurement has `at`, `checkpoint`, `epoch`, its settings, and whether it was `alone`."""


def measurements(attempt: AttemptDir) -> list[dict[str, Any]]:
    """What was measured in an attempt, the newest last. Raises FormatError for a broken file."""
    return list((read_json_if_there(attempt.path / SPEED_FILE) or {}).get("measurements") or ())


def add_measurement(attempt: AttemptDir, measured: dict[str, Any]) -> None:
    """Append a measurement. Raises RunError where it cannot be written."""
    write_json(attempt.path / SPEED_FILE, {"measurements": [*measurements(attempt), measured]})
