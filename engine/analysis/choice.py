"""Which checkpoint of a run counts, by the recipe's rule, which is the same for all arms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

from detui.engine.run.files import number


class _History(Protocol):
    """What is read of engine.run.history.History."""

    evaluations: list[dict[str, Any]]


def standing(history: _History, split: str = "val") -> list[dict[str, Any]]:
    """A split's evaluations that count, one an epoch, by epoch; a later attempt's word counts over an earlier's.

    The history already leaves out what an attempt measured beyond the step that a later one resumed from. What somebody
    asked for later (`detui evaluate`) is left out, too: an arm must not get more candidates than the others.
    """
    found: dict[int, dict[str, Any]] = {}
    for line in sorted(history.evaluations, key=lambda line: int(line.get("attempt") or 1)):
        right = line.get("split", split) == split and line.get("values") and not line.get("on_request")
        if right and isinstance(line.get("epoch"), int):
            found[line["epoch"]] = line
    return [found[epoch] for epoch in sorted(found)]


def rule_metric(rule: Mapping[str, Any]) -> str:
    """The metric that a checkpoint rule looks at; AP of boxes for a rule that looks at none."""
    return str(rule.get("metric") or "val/AP")


def chosen(history: _History, rule: Mapping[str, Any]) -> dict[str, Any] | None:
    """The evaluation line (validation split) of the checkpoint that `rule` chooses, or None while there is none.

    "best": the highest value of the rule's metric, the earlier epoch on a tie.
    "last": the last evaluated epoch.
    What a stage on other data than the run's gave is no candidate (`candidate: false`).
    """
    lines = [line for line in standing(history) if line.get("candidate") is not False]
    if rule.get("rule") == "last":
        return lines[-1] if lines else None
    metric = rule_metric(rule)
    scored = [(value, line) for line in lines if (value := finite(line["values"].get(metric))) is not None]
    return max(scored, key=lambda pair: (pair[0], -int(pair[1]["epoch"])))[1] if scored else None


def finite(value: Any) -> float | None:
    """A finite number, or None for anything else that a line can hold (null, "NaN")."""
    found = number(value)
    return found if found is not None and math.isfinite(found) else None
