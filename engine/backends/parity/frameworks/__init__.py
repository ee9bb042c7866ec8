"""What a framework must offer the model, and the two that do."""

from __future__ import annotations

from typing import Literal

from detui.engine.backends.parity.frameworks.framework import Framework

Name = Literal["torch", "jittor"]
"""The frameworks there are."""


def open_framework(name: Name, device: str = "cpu") -> Framework:
    """The framework by its name, on "cpu" or "cuda"; nothing of the other is imported.

    Raises ImportError where it is not installed, ValueError for another name.
    """
    if name == "torch":
        from detui.engine.backends.parity.frameworks.in_torch import Torch

        return Torch(device)
    if name == "jittor":
        from detui.engine.backends.parity.frameworks.in_jittor import Jittor

        return Jittor(device)
    raise ValueError(f"There is no framework {name!r}: torch or jittor.")
