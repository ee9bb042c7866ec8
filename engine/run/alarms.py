"""The alarms that detui raises by itself: their names, and where one is marked so that a list sees it at a glance.

A worker raises those of its curves into metrics.jsonl, a supervisor those of
the host into telemetry.jsonl. Every alarm states evidence, none a verdict.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote

CURVES = {
    "nan": "a number that the training reports is not finite",
    "divergence": "the total loss is far above its own lowest level, and stays there",
    "rising_term": "a term of the loss rises over epochs while the other terms fall",
    "plateau": "neither the validation metric nor the loss has improved for many epochs",
    "aqr_gain": "AQR scaled features by more, or by less, than its settings allow",
}
"""Alarms of the worker: name → what it means."""

HOST = {
    "gpu_memory": "a GPU of the run has less than 3 % of its memory free",
    "disk_low": "the disk has hardly room for the next checkpoints",
    "no_step": "no step has been made for much longer than a step takes",
}
"""Alarms of the supervisor: name → what it means."""

ALARMS = {**CURVES, **HOST}
"""What `stop_on` of a recipe may name."""


def mark(attempt: Path, name: str, text: str) -> None:
    """Leave the alarm as a file of the attempt at `attempt`. A disk that refuses it is no reason to fail."""
    folder = attempt / "alarms"
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
        (folder / quote(name, safe="")[:200]).write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def marked(attempt: Path) -> list[str]:
    """Return the names of the alarms that have sounded in the attempt at `attempt`, without reading its lines."""
    try:
        return sorted(unquote(path.name) for path in (attempt / "alarms").iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
