"""Adapters to training frameworks, one package each. A backend is two halves:

`plan.py` runs in detui's environment and is light: the closed schema of its
sections, checks, and the mapping of a recipe's terms. `train.py` imports the
framework and runs in the backend's environment, inside the worker.
"""

from __future__ import annotations

import difflib
from importlib import import_module

from detui.engine.backends.base import Backend
from detui.engine.errors import RecipeError

BACKENDS = {
    "ultralytics": "detui.engine.backends.ultralytics.plan:UltralyticsBackend",
    "torch": "detui.engine.backends.torch.plan:TorchBackend",
    "mmdet": "detui.engine.backends.mmdet.plan:MmdetBackend",
    "parity": "detui.engine.backends.parity.plan:ParityBackend",
    "numerics": "detui.engine.backends.numerics.plan:NumericsBackend",
    "command": "detui.engine.backends.command.plan:CommandBackend",
}
"""The plan half of each backend, as module:class, imported when it is asked for."""


def backend(name: str, *, where: str | None = None) -> Backend:
    """The plan half of a backend. Raises RecipeError for a name that is none."""
    if name not in BACKENDS:
        close = difflib.get_close_matches(name, BACKENDS, 1)
        hint = close[0] if close else f"one of {', '.join(BACKENDS)}"
        raise RecipeError(f"backend: there is no backend {name!r}.", where=where, hint=hint)
    module, _, cls = BACKENDS[name].partition(":")
    found: Backend = getattr(import_module(module), cls)()
    return found


__all__ = ["BACKENDS", "Backend", "backend"]
