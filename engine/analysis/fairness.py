"""Do the arms differ in what the recipe says they differ in, and in nothing else?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detui.engine.secrets import redacted

ABSENT = "(not set)"
LEVELS = ("confounder", "varies", "note")
"""In the order in which findings are told."""
_FOLLOWS = {"model": ("built",), "train.imgsz": ("built.imgsz", "built.gflops")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One field, compared over all arms."""

    level: str
    """"varies": differs and is declared; "confounder": differs and is not; "note": declared, yet equal."""
    field: str
    """Dotted name, as in the recipe."""
    values: dict[str, Any]
    """Arm → value; `(not set)` where an arm lacks the field."""
    text: str
    """One English sentence, for the plan and the terminal."""


def audit(arms: Mapping[str, Mapping[str, Any]], varies: Sequence[str]) -> list[Finding]:
    """Compare all arms (name → configuration, nested or flat) field by field.

    A name in `varies` covers the field itself and all below it: `train.augment`
    covers `train.augment.mosaic`. Confounders come first, then what is
    declared and differs, then what is declared and does not.
    """
    # A section that is empty in one arm and holds a field in another differs in that field, not in being there.
    flat = {name: {k: v for k, v in flatten(config).items() if v != {}} for name, config in arms.items()}
    fields = sorted({field for config in flat.values() for field in config})
    differing = {field: values for field in fields if _differ(values := _values(flat, field))}
    findings = [_finding(field, values, varies) for field, values in differing.items()]
    findings += [_equal(name, flat, fields) for name in varies if not any(covers(name, field) for field in differing)]
    return sorted(findings, key=lambda finding: (LEVELS.index(finding.level), finding.field))


def with_consequences(varies: Sequence[str]) -> list[str]:
    """What a recipe declares, and what that changes by itself: another model has other parameters."""
    return [*varies, *(field for name, fields in _FOLLOWS.items() for field in fields if _declares(varies, name))]


def _declares(varies: Sequence[str], name: str) -> bool:
    return any(covers(name, one) or covers(one, name) for one in varies)


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings to dotted names; lists and empty mappings stay values."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = value
    return flat


def covers(name: str, field: str) -> bool:
    """Whether the declared `name` speaks of `field`: the same, or a parent of it."""
    return field == name or field.startswith(f"{name}.")


def _values(flat: Mapping[str, Mapping[str, Any]], field: str) -> dict[str, Any]:
    return {arm: config.get(field, ABSENT) for arm, config in flat.items()}


def _differ(values: Mapping[str, Any]) -> bool:
    return len({_key(value) for value in values.values()}) > 1


def _key(value: Any) -> str:
    """Equal for equal values: 1 and 1.0 train alike, True and 1 are not the same word."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(float(value))
    return json.dumps(value, sort_keys=True, default=str)


def _finding(field: str, values: dict[str, Any], varies: Iterable[str]) -> Finding:
    shown = ", ".join(f"{arm}: {_show(field, value)}" for arm, value in values.items())
    if any(covers(name, field) for name in varies):
        return Finding(level="varies", field=field, values=values, text=f"{field} differs, as declared ({shown}).")
    text = f"{field} differs between the arms ({shown}) and the recipe does not declare it in `varies`."
    return Finding(level="confounder", field=field, values=values, text=text)


def _equal(name: str, flat: Mapping[str, Mapping[str, Any]], fields: Sequence[str]) -> Finding:
    covered = [field for field in fields if covers(name, field)]
    values = _values(flat, covered[0]) if len(covered) == 1 else {}
    return Finding(level="note", field=name, values=values, text=declared_equal(name))


def declared_equal(name: str) -> str:
    """What is said of a field that a recipe declares to vary, and that is the same in all arms."""
    return f"{name} is declared in `varies` but does not differ."


def _show(field: str, value: Any) -> str:
    """A value as text. A secret stays hidden: in a sentence nobody could tell it from a word any more."""
    value = redacted({field: value})[field]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
