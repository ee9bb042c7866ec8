"""What a command line may hold in braces. Other braces pass unchanged, so that JSON and awk need no quoting."""

from __future__ import annotations

import re
from collections.abc import Mapping

PLACEHOLDERS = {
    "seed": "seed of the run",
    "arm": "name of the arm",
    "device": "cpu or cuda",
    "attempt": "number of the attempt, from 1",
    "out": "directory of the attempt, where the program starts and writes",
    "config": "JSON file of the section `train`",
    "data": "directory of the prepared data, empty where the recipe names none",
    "predictions": "directory of the attempt for predictions",
    "resume": "checkpoint to go on from, empty at a first start",
    "python": "the interpreter of the run's environment",
}
"""Each placeholder with its meaning."""

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return `text` with every known placeholder replaced by its value."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)


def unknown_placeholders(text: str) -> list[str]:
    """Return the names in braces that are no placeholders."""
    return [name for name in _PLACEHOLDER.findall(text) if name not in PLACEHOLDERS]
