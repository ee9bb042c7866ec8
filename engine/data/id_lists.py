"""Committed lists of image ids: the same pictures on every machine.

{"data": "coco2017", "split": "train", "rule": "how they were chosen", "ids": [139, 285]}

A recipe names the file and its SHA-256, so that a list that was changed is noticed, too.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detui.engine.data.definition import CocoDefinition, DatasetDefinition
from detui.engine.data.form import Split
from detui.engine.errors import DataError, MissingError, RecipeError

NAMED = 5
"""So many ids are named in a message; the others are counted."""


@dataclass(frozen=True, slots=True)
class IdList:
    """A list that was read and whose hash is right."""

    file: str
    """Its name, without the folder."""
    sha256: str
    """Of its bytes, 64 hexadecimal digits."""
    ids: tuple[int, ...]
    """As the annotation file numbers its images, each once, in the order of the list."""

    def to_json(self) -> dict[str, Any]:
        """The form that `dataset.json` carries: the same wherever the list lies."""
        return {"file": self.file, "sha256": self.sha256, "images": len(self.ids)}


def read_ids(path: Path, sha256: str, *, where: str) -> IdList:
    """Read a list. `where`: the recipe's field that names it (`data.train.ids`).

    Raises MissingError where it is absent; RecipeError where its hash is another; DataError, with file and place in
    it, where it is no such list or has an id twice.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        hint = "a list lies beside the recipe, or in recipes/lists/"
        raise MissingError(f"There is no list of image ids {path}.", where=f"{where}.file", hint=hint) from None
    except OSError as error:
        raise DataError(f"The list of image ids cannot be read: {error.strerror}.", where=str(path)) from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        message = f"The list of image ids {path} is not the one that the recipe means: its SHA-256 is {found}."
        raise RecipeError(message, where=f"{where}.sha256", hint="the list as it was committed; or this hash, if meant")
    return IdList(path.name, found, _ids(content, path))


def _ids(content: bytes, path: Path) -> tuple[int, ...]:
    try:
        value = json.loads(content)
    except json.JSONDecodeError as error:
        raise DataError(f"This is not valid JSON: {error.msg}.", where=f"{path}:{error.lineno}") from None
    except (UnicodeDecodeError, RecursionError):
        raise DataError("This is not valid JSON.", where=str(path)) from None
    ids = value.get("ids") if isinstance(value, dict) else None
    if not isinstance(ids, list) or not ids:
        raise DataError("A list of image ids is a mapping with `ids`, at least one.", where=f"{path}: ids")
    seen: dict[int, int] = {}
    for index, one in enumerate(ids):
        place = f"{path}: ids[{index}]"
        if not isinstance(one, int) or isinstance(one, bool) or one < 0:
            raise DataError(f"An id is a whole number from 0 on, and this is {json.dumps(one)}.", where=place)
        if one in seen:
            raise DataError(f"The id {one} stands there already, as ids[{seen[one]}].", where=place)
        seen[one] = index
    return tuple(seen)


def unlistable(definition: DatasetDefinition) -> str | None:
    """Why images of a data set cannot be listed by id; None where they can."""
    if isinstance(definition.layout, CocoDefinition):
        return None
    return f"The images of {definition.name} have no ids of their own: lists are for data in COCO's format."


def choose_listed(split: Split, listed: IdList, data: str, *, where: str) -> Split:
    """The split's images that are listed, in the order of the list; their annotations stay in the split's.

    Raises DataError naming the ids that the split lacks, or whose images were left out as unusable.
    """
    from detui.engine.data.opening import keep_images

    by_id = {image.id: image for image in split.images}
    lacking = [one for one in listed.ids if one not in by_id]
    if lacking:
        named = ", ".join(map(str, lacking[:NAMED])) + (" …" if len(lacking) > NAMED else "")
        message = (
            f"The split {split.name!r} of {data} lacks {len(lacking)} of the {len(listed.ids)} images that "
            f"{listed.file} lists, or cannot use them: {named}."
        )
        raise DataError(message, where=where, hint=f"the whole data set; `detui data check {data}` looks at it")
    return keep_images(split, tuple(by_id[one] for one in listed.ids))
