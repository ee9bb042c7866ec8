"""No framework: holds a network's numbers as numpy, and computes nothing. For names, shapes, counts and first values
where no framework is loaded."""

from __future__ import annotations

from typing import Any

import numpy as np

from detui.engine.backends.parity.frameworks.framework import Array, as_float32


class ShapesOnly:
    """A `Framework` for a network that is never run."""

    name, device = "numpy", "cpu"

    def weight(self, array: Array, *, trainable: bool) -> Array:
        """A copy."""
        return as_float32(np.array(array))

    def assign(self, weight: Array, array: Array) -> None:
        """Put numbers into it."""
        weight[...] = array

    def array(self, tensor: Array) -> Array:
        """A copy."""
        return np.array(tensor)

    def __getattr__(self, name: str) -> Any:
        """Activations are asked for while a model is built; calling one fails."""
        if name.startswith("__"):
            raise AttributeError(name)

        def refuse(*_arguments: Any, **_named: Any) -> Any:
            raise NotImplementedError(f"Nothing computes {name} here: open a framework.")

        return refuse
