"""The base of every model that people write values for: no unknown key, no silent conversion, an error with a place.

Messages say which field, what was found, what is expected and the nearest
valid name, in the words of the recipe rather than of the validator.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from detui.engine.errors import RecipeError

Keys = tuple["str | int", ...]
Where = Callable[[Keys], str]


class Closed(BaseModel):
    """Unknown keys are refused; ``"8"`` is not 8 and ``true`` is not 1.0; frozen once read."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


Model = TypeVar("Model", bound=BaseModel)


def validate(model: type[Model], value: Any, where: Where) -> Model:
    """`value` as `model`. `where` gives the place of a path of keys.

    Raises RecipeError with every problem found, the first one's place in `where`.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = _of_one_branch(error.errors(include_url=False), value)
        # A misspelt key is also a missing one: the misspelling is what the writer must see first.
        found.sort(key=lambda problem: problem["type"] != "extra_forbidden")
        problems = [_describe(model, problem, value, where) for problem in found]
        place, message, hint = problems[0]
        rest = "".join(f"\n{other[0]}: {other[1]}" for other in problems[1:6])
        raise RecipeError(message + rest, where=place, hint=hint) from None


def _of_one_branch(found: list[Any], value: Any) -> list[Any]:
    """Problems without those of the other forms that a field may have, where something inside the form in use is wrong.

    A mapping that has one wrong value is also "no text" and "no list"; nobody who wrote a mapping wants to read that.
    """
    written = [_written_keys(problem["loc"], value, absent=problem["type"] == "missing") for problem in found]
    return [problem for problem, keys in zip(found, written, strict=True)
            if not problem["type"].endswith("_type")
            or not any(len(other) > len(keys) and other[: len(keys)] == keys for other in written)]  # fmt: skip


def _describe(model: type[BaseModel], problem: Any, value: Any, where: Where) -> tuple[str, str, str | None]:
    """Place, message and next step of one pydantic error."""
    keys = _written_keys(problem["loc"], value, absent=problem["type"] == "missing")
    name = ".".join(map(str, keys)) or "the file"
    place = where(keys)
    if problem["type"] == "extra_forbidden":
        names = field_names(model, keys[:-1])
        return place, f"{name}: there is no such field here.", _nearest(str(keys[-1]), names)
    if problem["type"] == "missing":
        return place, f"{name}: this field is missing.", None
    found = problem["input"]
    text = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if problem["type"] == "value_error":
        return place, f"{name}: {text}", None
    return place, f"{name}: found {found!r}, expected {_expected(text)}.", _alternative(found, problem)


def _expected(text: str) -> str:
    """What a value should be, in the words of a recipe rather than of a type system."""
    if text.startswith(("greater", "less")):
        return f"a number {text}"
    if "instance of Words" in text:
        return "a text, or {en: …, zh: …}"
    if "should match pattern" in text:
        return f"text of the form {text.split('pattern', 1)[1].strip()}"
    return text


def _alternative(found: Any, problem: Any) -> str | None:
    """The nearest of the words that a field may have."""
    if problem["type"] != "literal_error":
        return None
    words = re.findall(r"'([^']+)'", problem["ctx"]["expected"])
    close = difflib.get_close_matches(str(found).lower(), [word.lower() for word in words], 1, 0.5)
    return next((word for word in words if word.lower() in close), None)


def _written_keys(location: Keys, value: Any, *, absent: bool) -> Keys:
    """A location without the parts that name a branch of a union: only keys that somebody wrote.

    `absent`: the last one is a key that is missing.
    """
    keys: list[str | int] = []
    current: Any = value
    for index, part in enumerate(location):
        last = index == len(location) - 1
        if _holds(current, part):
            current = current[part]
        elif not (absent and last and isinstance(current, dict)):
            continue
        keys.append(part)
    return tuple(keys)


def _holds(value: Any, key: str | int) -> bool:
    if isinstance(value, dict):
        return key in value
    return isinstance(value, list) and isinstance(key, int) and key < len(value)


def _nearest(name: str, names: list[str]) -> str | None:
    close = difflib.get_close_matches(name, names, 1, 0.5)
    if close:
        return f"{close[0]}"
    return f"one of {', '.join(names)}" if names else None


def field_names(model: type[BaseModel], keys: Keys) -> list[str]:
    """The names that may stand below `keys` in `model`; empty where anything may."""
    inner = submodel(model, keys)
    return [field.alias or name for name, field in inner.model_fields.items()] if inner else []


def submodel(model: type[BaseModel], keys: Keys) -> type[BaseModel] | None:
    """The model of the value at `keys`, or None where the schema ends before."""
    current: type[BaseModel] | None = model
    for key in keys:
        if isinstance(key, int) or current is None:
            continue
        field = next((f for n, f in current.model_fields.items() if key in (n, f.alias)), None)
        current = _model_in(field.annotation) if field else None
    return current


def has_field(model: type[BaseModel], keys: Keys) -> bool:
    """Whether the schema knows a field at `keys`."""
    parent = submodel(model, keys[:-1])
    return parent is not None and str(keys[-1]) in field_names(parent, ())


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
