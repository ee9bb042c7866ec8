"""The formats of what a program writes that can be watched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

OWN = ("printed", "jsonl", "csv", "tensorboard")
"""With names of the program's own, which the recipe maps to metrics."""
KNOWN = ("json_lines", "mmcv1", "mmengine", "aqr")
"""Whose names are known."""
FILES_ONLY = ("csv", "tensorboard")
"""That cannot be printed."""


def entries(formats: Sequence[str]) -> list[dict[str, Any]]:
    """Return what a recipe's `watch` holds for these formats of printed lines, with every field."""
    nothing: dict[str, Any] = {"file": None, "metrics": {}, "kind": "step", "step": None, "epoch": None}
    return [{"format": name, **nothing, "steps_per_epoch": None, "first_epoch": 1} for name in formats]
