"""What an evaluation says, as tables that every output format writes in the same way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

MASKS = "mask_"
"""How the names of mask metrics begin: `mask_AP`."""
SIZES = ("AP_small", "AP_medium", "AP_large")
ERRORS = ("mATE", "mASE", "mAOE", "mAVE", "mAAE")
"""nuScenes' mean errors: the lower the better, and no parts of a whole."""
UNITS = {"mATE": "m", "mASE": "1 − IoU", "mAOE": "rad", "mAVE": "m/s", "mAAE": "1 − accuracy"}
"""Of each error."""
_FIELD = re.compile(r"[a-z]\w*(\.\w+)+", re.ASCII)
_BY_CLASS = ("AP", "AP50", *SIZES, "precision", "recall", "mAP", *ERRORS)


@dataclass(frozen=True, slots=True)
class Grid:
    """One table: plain text in every cell, numbers already written."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    """What a reader must know to read it."""


def of_masks(metric: str) -> bool:
    """Whether our evaluator's metric is one of masks: `val/mask_AP`."""
    return metric.startswith(f"val/{MASKS}")


def in_percent(metric: str) -> bool:
    """Whether a metric is a part of a whole (0–1), or a relative change, and shown as percent.

    Ours are, but for nuScenes' errors; so are statistics of AQR by their names, and their lowest and highest of several
    processes.
    """
    name, _, group = metric.partition("/")
    first = group.split("/")[0]
    if name == "aqr":
        return first.endswith(("_fraction", "_relative_change", "_relative_change_active", "_change_relative"))
    return name == "val" and first not in ERRORS


def is_setting(metric: str) -> bool:
    """Whether a metric is the name of a field (`model.aqr.residual_weight`), and no measured number."""
    return _FIELD.fullmatch(metric) is not None


def unit_of(metric: str) -> str:
    """What a metric is measured in: "%", one of UNITS, or "" for a plain number."""
    if in_percent(metric):
        return "%"
    name, _, group = metric.partition("/")
    return UNITS.get(group.split("/")[0], "") if name == "val" else ""


def percent(value: float | None) -> str:
    """0.42371 → "42.37"; n/a where there is no ground truth for it."""
    return "n/a" if value is None else f"{100 * value:.2f}"


def grids(values: Mapping[str, float | None], note: str = "") -> list[Grid]:
    """The tables of one evaluation (names without `val/`): overall, and per class and size, in percent."""
    overall = [name for name in values if "/" not in name]
    rows = tuple((_label(name), _written(name, values[name])) for name in overall)
    errors = any(name in ERRORS for name in overall)
    title = "Overall (%, errors in their units)" if errors else "Overall (%)"
    found = [Grid(title, ("metric", "value"), rows, note)]
    classes = list(dict.fromkeys(name.partition("/")[2] for name in values if "/" in name))
    for of, names in (("", _BY_CLASS), (", masks", [f"{MASKS}{name}" for name in _BY_CLASS])):
        columns = [name for name in names if any(f"{name}/{one}" in values for one in classes)]
        cells = tuple((one, *(_written(name, values.get(f"{name}/{one}")) for name in columns)) for one in classes)
        if columns:
            found.append(Grid(title.replace("Overall", f"Per class{of}"), ("class", *map(_label, columns)), cells))
    return found


def _label(name: str) -> str:
    if name in UNITS:
        return f"{name} ({UNITS[name]})"
    return "confidence of the best F1 (0–1)" if name == "F1_confidence" else name.replace("_", " ")


def _written(name: str, value: float | None) -> str:
    if value is None or name not in ("F1_confidence", *ERRORS):
        return percent(value)
    return f"{value:.4f}" if name in ERRORS else f"{value:.3f}"
