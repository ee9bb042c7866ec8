"""Values set on the command line: `--set train.lr0=0.0005`, `--set weighted.train.lr0=0.0005`.

A key that begins with an arm's name holds for that arm; `arm.NAME.` says the
same in full. The value is read as YAML: `false`, `1e-4`, `[10, 20]`, `null`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from detui.engine.errors import RecipeError
from detui.engine.recipe.load import Recipe, nearest
from detui.engine.yaml import parse_yaml

RECIPE_KEYS = ("data", "data_sets", "milestones", "checkpoint_rule", "seeds")
"""Keys of the recipe itself, rather than of a section, that may be set."""


@dataclass(frozen=True, slots=True)
class Override:
    """One `--set`."""

    text: str
    arm: str | None
    """The arm it is for, on every data set (`l`) or on one of several (`l-crowded`); all arms when None."""
    keys: tuple[str, ...]
    value: Any

    @property
    def nested(self) -> dict[str, Any]:
        """The override as a mapping: `{train: {lr0: 0.0005}}`."""
        result: Any = self.value
        for key in reversed(self.keys):
            result = {key: result}
        return dict(result)


def on_each(arm: str, data: object) -> list[str]:
    """The names of an arm on each of several data sets; empty where the recipe's `data` is no list."""
    return [f"{arm}-{name}" for name in data] if isinstance(data, list) else []


def parse_overrides(recipe: Recipe, texts: Sequence[str]) -> list[Override]:
    """Read the `--set` arguments. Raises RecipeError naming the argument."""
    return [_parse(recipe, text) for text in texts]


def _parse(recipe: Recipe, text: str) -> Override:
    where = f"--set {text}"
    dotted, equals, raw = text.partition("=")
    if not equals or not dotted:
        raise RecipeError("An override is KEY=VALUE.", where=where, hint="--set train.lr0=0.0005")
    value = parse_yaml(raw, source=where).value
    keys = tuple(dotted.split("."))
    arms = [name for arm in recipe.arms for name in (arm.name, *on_each(arm.name, recipe.file.data))]
    # An arm's name may hold dots itself, so the longest that fits wins.
    rest = keys[1:] if keys[0] == "arm" else keys
    for arm in sorted(arms, key=len, reverse=True):
        length = len(arm.split("."))
        if ".".join(rest[:length]) == arm and len(rest) > length:
            return Override(text, arm, rest[length:], value)
    if keys[0] == "arm":
        raise RecipeError(
            f"There is no arm {rest[0] if rest else ''!r}.", where=where, hint=nearest(".".join(rest), arms)
        )
    sections = [*recipe.backend.config.model_fields, *RECIPE_KEYS]
    if keys[0] not in sections:
        message = f"{keys[0]!r} is neither a section nor an arm."
        raise RecipeError(message, where=where, hint=nearest(keys[0], [*sections, *arms]))
    if keys[0] == "data" and len(keys) > 1 and isinstance(recipe.file.data, str | list):
        message = f"The data of {recipe.ref} is named: {', '.join(recipe.file.data_sets)}."
        name = next(iter(recipe.file.data_sets))
        raise RecipeError(message, where=where, hint=f"--set data_sets.{name}.{'.'.join(keys[1:])}={raw}")
    return Override(text, None, keys, value)
