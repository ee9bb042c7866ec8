"""Named environments in the words of the commands: their rows, and which recipes need them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from detui.tui.output import DASH, size

if TYPE_CHECKING:
    from detui.engine.environment.standing import Standing

HEAD = ("NAME", "STATE", "PYTHON", "SIZE", "NEEDED BY", "TITLE")

EVALUATORS = {"nuscenes-devkit": "nuscenes"}
"""Evaluators that have an environment of their own, and its name."""


def found_text(found: Standing) -> str:
    """Return what a usable environment is: its Python and size, or where the configuration says that it is."""
    if found.note is None:
        return f"{found.python} ({found.source})"
    text = f"Python {found.note['python']}, {size(found.note.get('bytes'))} at {found.folder}"
    return f"{found.through}: {text} ({found.source})" if found.through else text


def operators_text(found: Standing) -> str | None:
    """Return whose operators MMDetection would get in it, as far as files say; None where there is no MMCV."""
    folder = found.python.parent.parent if found.python else None
    places = list(folder.glob("lib/python3*/site-packages/mmcv")) if folder else []
    if not places:
        return None
    if any(True for place in places for _ in place.glob("_ext*.so")):
        return "MMCV has compiled operators, which a run tries first"
    return "MMCV has no compiled operators: torchvision's or detui's own stand in"


def row(found: Standing, recipes: Sequence[str]) -> tuple[str, ...]:
    """Return a row of `detui env list`. `recipes`: those that need the environment."""
    note = found.note or {}
    needed = ", ".join(recipes[:2]) + (f" and {len(recipes) - 2} more" if len(recipes) > 2 else "")
    title = found.pins.file.title if found.pins else str(found.python)
    title = f"{found.through}: {title}" if found.through else title
    python = str(note.get("python", DASH))
    return found.name, found.state, python, size(note.get("bytes")), needed or DASH, title


def as_json(found: Standing, recipes: Sequence[str] = ()) -> dict[str, Any]:
    """Return all that is known of an environment."""
    pins = found.pins
    return {
        "name": found.name,
        "title": pins.file.title if pins else None,
        "state": found.state,
        "usable": found.usable,
        "interpreter": found.python,
        "folder": found.folder,
        "source": found.source,
        "through": found.through,
        "pins": pins.hash if pins else None,
        "packages": pins.packages if pins else None,
        "made": dict(found.note) if found.note else None,
        "older": list(found.older),
        "needed_by": list(recipes),
        "problem": found.problem,
        "hint": found.hint,
    }


def needed_by() -> Mapping[str, list[str]]:
    """Return the shipped recipes by the environment that they need; those that cannot be read are left out."""
    from detui.engine.errors import DetuiError
    from detui.engine.recipe.library import recipe_files
    from detui.engine.recipe.load import read_recipe
    from detui.engine.recipe.schema import DataSelection

    found: dict[str, list[str]] = {}
    for ref, path in recipe_files():
        try:
            recipe = read_recipe(ref, path)
        except DetuiError:
            continue
        file = recipe.file
        selections = [*file.data_sets.values(), *([file.data] if isinstance(file.data, DataSelection) else [])]
        evaluators = {EVALUATORS[one.evaluator] for one in selections if one.evaluator in EVALUATORS}
        for name in sorted({*recipe.environments, *evaluators}):
            found.setdefault(name, []).append(ref)
    return found
