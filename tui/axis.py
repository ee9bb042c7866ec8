"""The x axes of curves: steps, epochs, or the time that was spent training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detui.engine.run.history import History

Floats = NDArray[np.float64]
AXES = ("step", "epoch", "time")
"""In the order in which a key goes through them; "time" is minutes of training, attempts one after the other."""


def steps_per_epoch(history: History) -> int | None:
    """Return the steps of an epoch, None where the worker did not say."""
    each = (history.begin or {}).get("steps_per_epoch")
    return each if isinstance(each, int) and each > 0 else None


def usable(history: History, axis: str) -> str:
    """Return `axis`, or "step" where the run does not say what it would need."""
    return "step" if axis == "epoch" and steps_per_epoch(history) is None else axis


def of_steps(history: History, steps: Floats, axis: str) -> Floats:
    """Return where steps lie on an axis, (n,) → (n,)."""
    if axis == "epoch" and (each := steps_per_epoch(history)) is not None:
        return steps / each
    return np.interp(steps, *_clock(history)) if axis == "time" and len(history.steps) else steps


def of_epochs(history: History, epochs: Floats, axis: str) -> Floats:
    """Return where the ends of epochs lie on an axis, (n,) → (n,); on that of steps only where those are known."""
    each = steps_per_epoch(history)
    return epochs if axis == "epoch" or each is None else of_steps(history, epochs * each, axis)


def end_of(history: History, axis: str) -> float | None:
    """Return where an axis will end once the run is done, None where that is unknown."""
    epochs, each = history.total_epochs, steps_per_epoch(history)
    if axis == "time" or not isinstance(epochs, int):
        return None
    return float(epochs) if axis == "epoch" else None if each is None else float(epochs * each)


def _clock(history: History) -> tuple[Floats, Floats]:
    """Return all steps and the minutes spent until each. Every attempt counts from its own zero, so they are added."""
    steps, seconds = history.steps.clock()
    t = np.asarray(seconds, dtype=np.float64)
    gained = np.diff(t, prepend=0.0)
    return np.asarray(steps, dtype=np.float64), np.cumsum(np.where(gained < 0, t, gained)) / 60
