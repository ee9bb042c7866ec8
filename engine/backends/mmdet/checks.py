"""What is wrong with a configuration before anything starts. Nothing heavy here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detui.engine.backends.base import CheckContext, Problem


def problems(context: CheckContext) -> list[Problem]:
    """Contradictions between fields, and what the device cannot do."""
    model, train = context.config["model"], context.config["train"]
    return [*_devices(context.devices), *_amp(train, context.device), *_frozen(model), *_schedule(train, context)]


def _devices(count: int) -> list[Problem]:
    if count == 1:
        return []
    text = f"Runs of this backend train on one device, and each would take {count}."
    return [_error("devices", text, "--devices 1, or the devices to choose from: --devices 0,1")]


def _amp(train: Mapping[str, Any], device: str) -> list[Problem]:
    if device != "cpu" or not train["amp"]:
        return []
    text = f"{train['amp']} mixed precision needs a GPU, and this run is planned on the CPU."
    return [_error("train.amp", text, "--set train.amp=false")]


def _frozen(model: Mapping[str, Any]) -> list[Problem]:
    return []


def _schedule(train: Mapping[str, Any], context: CheckContext) -> list[Problem]:
    return []


def _error(where: str, text: str, hint: str) -> Problem:
    return Problem(level="error", text=text, where=where, hint=hint)
