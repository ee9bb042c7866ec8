"""Finding recipe files: those that ship with detui, and any file that a path names.

A recipe is called `family/name`: the folder and the file's stem.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from detui.engine.errors import RecipeError

NOT_FAMILIES = frozenset({"datasets", "lists", "templates", "models"})
"""Folders beside the families that hold no recipes."""


def shipped() -> Path:
    """The folder of the recipes that ship with detui."""
    return Path(str(files("detui.recipes")))


def recipe_files(root: Path | None = None) -> Iterator[tuple[str, Path]]:
    """Every recipe as (`family/name`, path), sorted."""
    root = root or shipped()
    for family in sorted(folder for folder in root.iterdir() if folder.is_dir()):
        if family.name not in NOT_FAMILIES:
            for file in sorted(family.glob("*.yaml")):
                yield f"{family.name}/{file.stem}", file


def find_recipe(ref: str) -> tuple[str, Path]:
    """The name and path of a recipe given as `family/name`, as `name` where that is unique, or as a path.

    Raises RecipeError with the nearest names.
    """
    if ref.endswith((".yaml", ".yml")):
        path = Path(ref).expanduser()
        if not path.is_file():
            raise RecipeError(f"There is no recipe file {ref}.", hint="detui recipes lists those that ship with detui")
        return f"{_folder_name(path)}/{path.stem}", path.absolute()
    known = dict(recipe_files())
    if ref in known:
        return ref, known[ref]
    same = [name for name in known if name.split("/")[1] == ref]
    if len(same) == 1:
        return same[0], known[same[0]]
    if same:
        raise RecipeError(f"{ref!r} could be {' or '.join(same)}.", hint=f"detui show {same[0]}")
    raise RecipeError(f"There is no recipe {ref!r}.", hint=_nearest(ref, list(known)))


def _folder_name(path: Path) -> str:
    """The parent folder's name as a family; recipes in odd places belong to `own`."""
    name = path.absolute().parent.name.lower()
    return name if name.replace("-", "").replace("_", "").isalnum() and name.isascii() else "own"


def _nearest(ref: str, known: list[str]) -> str:
    names = {name: name for name in known} | {name.split("/")[1]: name for name in known}
    close = difflib.get_close_matches(ref, names, 1, 0.5)
    return f"{names[close[0]]}, or another that `detui recipes` lists" if close else "detui recipes"
