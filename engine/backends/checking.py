"""Problems that the checks of several backends find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from detui.engine.backends.base import Problem

FEW_STEPS = 50
"""Optimizer steps below which a training is said to be too short for anything."""


def error(where: str, text: str, hint: str) -> Problem:
    """What stops the start."""
    return Problem(level="error", text=text, where=where, hint=hint)


def warning(where: str, text: str, hint: str) -> Problem:
    """What is shown, and goes into the record."""
    return Problem(level="warning", text=text, where=where, hint=hint)


def unfinished_warm_up(train: Mapping[str, Any], steps: int) -> Iterator[Problem]:
    """A warm-up (`train.warmup_steps`) that takes all of a training of `steps` optimizer steps."""
    if train["warmup_steps"] >= steps:
        text = f"The warm-up of {train['warmup_steps']} steps does not end within the training of {steps}."
        yield error("train.warmup_steps", text, f"--set train.warmup_steps={steps // 10}")


def few_steps(train: Mapping[str, Any], steps: int) -> Iterator[Problem]:
    """A training of so few optimizer steps that nothing comes of it."""
    if steps < FEW_STEPS:
        text = f"The training has {steps} optimizer steps in all: a detector learns next to nothing in so few."
        yield warning("train.epochs", text, f"--set train.epochs={-(-FEW_STEPS * train['epochs'] // steps)}")
