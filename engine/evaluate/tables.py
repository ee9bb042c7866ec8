"""What an evaluation says, as tables that every output format writes in the same way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SIZES = ("AP_small", "AP_medium", "AP_large")
_BY_CLASS = ("AP", "AP50", *SIZES, "precision", "recall")


@dataclass(frozen=True, slots=True)
class Grid:
    """One table: plain text in every cell, numbers already written."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    """What a reader must know to read it."""


def percent(value: float | None) -> str:
    """0.42371 → "42.37"; n/a where there is no ground truth for it."""
    return "n/a" if value is None else f"{100 * value:.2f}"


def grids(values: Mapping[str, float | None], note: str = "") -> list[Grid]:
    """The tables of one evaluation (names without `val/`): overall, and per class and size, in percent."""
    overall = [name for name in values if "/" not in name]
    rows = tuple((_label(name), _written(name, values[name])) for name in overall)
    found = [Grid("Overall (%)", ("metric", "value"), rows, note)]
    classes = list(dict.fromkeys(name.partition("/")[2] for name in values if "/" in name))
    if classes:
        columns = [name for name in _BY_CLASS if any(f"{name}/{one}" in values for one in classes)]
        cells = tuple((one, *(percent(values.get(f"{name}/{one}")) for name in columns)) for one in classes)
        found.append(Grid("Per class (%)", ("class", *map(_label, columns)), cells))
    return found


def _label(name: str) -> str:
    return "confidence of the best F1 (0–1)" if name == "F1_confidence" else name.replace("_", " ")


def _written(name: str, value: float | None) -> str:
    return f"{value:.3f}" if name == "F1_confidence" and value is not None else percent(value)
