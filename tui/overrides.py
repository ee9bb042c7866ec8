"""Completing what `--set` takes: the fields of a recipe's arms, their present values and their types."""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from detui.engine.secrets import redacted
from detui.tui.language import tr

if TYPE_CHECKING:
    from detui.engine.planning import Plan
    from detui.engine.recipe.resolve import ResolvedArm

_RECIPE_KEYS = ("milestones", "checkpoint_rule")
"""What a recipe itself says that is often set for one launch, beside how much of its data is used."""


def keys(plan: Plan) -> list[str]:
    """Return every key that may be set: for all arms, then for one."""
    fields = sorted({field for arm in plan.arms for field in arm.flat()})
    own = [f"{arm.name}.{field}" for arm in plan.arms for field in fields] if len(plan.arms) > 1 else []
    data = [f"data_sets.{state.role}" if state.role else "data" for state in plan.data]
    images = [f"{key}.{role}.images" for key in data for role in ("train", "val")]
    return [*fields, *_RECIPE_KEYS, *images, *own]


def candidates(plan: Plan, text: str) -> list[str]:
    """Return what may come next, one step at a time: "tr" → "train.", "train.l" → "train.lr0=", "train.lrf=".

    A word that begins no key is looked for at the keys' ends: "lr0" → "train.lr0=".
    """
    if "=" in text:
        return []
    known = keys(plan)
    found = [_step(key, len(text)) for key in known if key.startswith(text)]
    found += [f"{key}=" for key in known if text and not found and key.rsplit(".", 1)[-1].startswith(text)]
    return list(dict.fromkeys(found))


def _step(key: str, typed: int) -> str:
    dot = key.find(".", typed)
    return f"{key}=" if dot < 0 else key[: dot + 1]


def completed(plan: Plan, text: str) -> str | None:
    """Return what the text would most likely become: the first candidate, or the present value behind the `=`."""
    key, equals, value = text.partition("=")
    if equals:
        present = _present(plan, key)
        secret = redacted({key: present}) != {key: present}  # a token must not appear by being completed
        return None if value or present is None or secret else f"{text}{_written(present)}"
    return next((one for one in candidates(plan, text) if one.startswith(text) and one != text), None)


def about(plan: Plan, text: str) -> str:
    """Return one line on what is being typed: the candidates, or the field's present value, type and source."""
    key, equals, _ = text.partition("=")
    if not equals:
        return "  ".join(candidates(plan, text))
    arms = _arms(plan, key)
    field = _field(plan, key)
    if not arms or field not in arms[0].sources:
        return ""
    values = [_written(redacted({field: arm.flat().get(field)})[field]) for arm in arms]
    if len(set(values)) > 1:
        now = ", ".join(f"{arm.name} {value}" for arm, value in zip(arms, values, strict=True))
    else:
        now = values[0]
    return tr("now {value} · {type} · {source}", value=now, type=_type(plan, field), source=arms[0].sources[field])


def _arms(plan: Plan, key: str) -> Sequence[ResolvedArm]:
    """Return the arms that a key speaks of: one, where it begins with its name."""
    return [arm for arm in plan.arms if _bare(key).startswith(f"{arm.name}.")] or plan.arms


def _field(plan: Plan, key: str) -> str:
    bare = _bare(key)
    names = sorted((arm.name for arm in plan.arms), key=len, reverse=True)
    return next((bare[len(name) + 1 :] for name in names if bare.startswith(f"{name}.")), bare)


def _bare(key: str) -> str:
    return key.removeprefix("arm.")


def _present(plan: Plan, key: str) -> Any:
    return _arms(plan, key)[0].flat().get(_field(plan, key)) if plan.arms else None


def _written(value: Any) -> str:
    """Return a value as `--set` reads it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"[{', '.join(map(_written, value))}]" if isinstance(value, list) else str(value)


def _type(plan: Plan, field: str) -> str:
    """Return in words what a field may be."""
    from detui.engine.closed import submodel

    *before, last = field.split(".")
    model = submodel(plan.recipe.backend.config, tuple(before))
    known = model.model_fields.get(last) if model is not None else None
    return _words(known.annotation) if known is not None else tr("anything")


def _words(annotation: Any) -> str:
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return tr("one of {words}", words=", ".join(map(_written, inside)))
    if origin in (Union, types.UnionType):
        return " / ".join(_words(one) for one in inside)
    if hasattr(annotation, "__metadata__"):  # Annotated: a bound beside the type
        return _words(inside[0])
    simple = {bool: tr("true or false"), int: tr("whole number"), float: tr("number"), str: tr("text"),
              type(None): "null"}  # fmt: skip
    if origin is list or annotation is list:
        return tr("list")
    return simple.get(annotation, tr("anything"))
