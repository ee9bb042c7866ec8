"""The end of a training that would compute wrongly, or something else than was asked, before its first step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detui.engine.errors import RunError
from detui.engine.worker.arithmetic import BATCH_NORM, refused, told


def refuse_wrong(result: Mapping[str, Any], *, batch_of_one: bool) -> None:
    """Raise RunError where arithmetic.py's tests failed. `batch_of_one`: as `arithmetic.refused` takes it."""
    names = refused(result, batch_of_one=batch_of_one)
    if not names:
        return
    hint = "`detui doctor` tests every environment; train in one that is right"
    if names == [BATCH_NORM]:
        hint = "train with batches of two or more, and no last batch of one"
    raise RunError(told(result, names), where="arithmetic", hint=hint)


def refuse_other_settings(asked: Mapping[str, Any], used: Mapping[str, Any]) -> None:
    """Raise RunError where a field that was asked for is not what the built parts hold."""
    if different := [name for name in asked if asked[name] != used.get(name)]:
        both = ", ".join(f"{name} {asked[name]} was asked and {used.get(name)} is used" for name in different)
        raise RunError(f"Settings are not what was asked: {both}.", where=different[0])
