"""What the definitions of all formats share, and the kinds of values in them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from detui.engine.closed import Closed
from detui.engine.data.depth_layout import DepthLayout
from detui.engine.data.problems import ALIASES, KINDS
from detui.engine.data.published import Published
from detui.engine.run.files import SCHEMA


def _inside(value: str) -> str:
    if Path(value).is_absolute() or ".." in Path(value).parts:
        raise ValueError(f"{value!r} must be a path below the data set's folder.")
    return value


def _actions(value: dict[str, str]) -> dict[str, str]:
    for name, action in value.items():
        kind = ALIASES.get(name, name)
        if kind not in KINDS:
            raise ValueError(f"there is no kind of problem {name!r}; the kinds are {', '.join(KINDS)}.")
        if action not in KINDS[kind].actions:
            allowed = ", ".join(KINDS[kind].actions)
            raise ValueError(f"{name} cannot be {action!r}; it can be {allowed}.")
    return value


def _distinct(value: list[str]) -> list[str]:
    repeated = sorted({name for name in value if value.count(name) > 1})
    if repeated:
        raise ValueError(f"a class stands there twice: {', '.join(repeated)}.")
    return value


Inside = Annotated[str, AfterValidator(_inside)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
Classes = Annotated[list[str], Field(min_length=1), AfterValidator(_distinct)]


class LayoutBase(Closed):
    """What all formats share."""

    definition_schema: Annotated[int, Field(alias="schema", ge=1)] = SCHEMA
    name: Name
    title: str
    folder: Inside | None = None
    """The folder that holds the data below the place found for it; the place itself serves too."""
    on_problem: Annotated[dict[str, str], AfterValidator(_actions)] = {}
    """What to do about each kind of problem, where not the default."""
    published: Published = Published()
    depth: DepthLayout | None = None
    """Where depth maps lie, for data that may have them; read when a recipe says `data: {depth: true}`."""
