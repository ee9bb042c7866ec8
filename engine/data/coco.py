"""COCO's detection JSON.

Category ids have gaps (91 ids for 80 classes): they become 1…n by the order
of the sorted ids, never by arithmetic. An absent or impossible ``area`` is
computed, from the mask where there is one: evaluators read a missing one in
three different ways.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard

from detui.engine.data.definition import CocoDefinition, CocoSplit
from detui.engine.data.form import Image, Split
from detui.engine.data.id_space import Category, faults
from detui.engine.data.masks import area_of
from detui.engine.data.reading import Content, Gathering, Reading, is_name
from detui.engine.data.selecting import Entry, Selecting, absent_class
from detui.engine.data.selection import Select
from detui.engine.errors import DataError

STEP = 500
"""Progress is told every so many images."""
LARGEST_ID = 10**12 - 1
"""Image ids become file names of twelve digits."""


def read_coco(layout: CocoDefinition, reading: Reading) -> Content:
    """Read the wanted splits. Raises MissingError, DataError for a file that is no COCO JSON."""
    classes = layout.class_names
    splits = {}
    for name, split in layout.splits.items():
        if not reading.wants(name):
            continue
        file = _File.load(reading, split)
        classes = classes or file.class_names()
        splits[name] = _read_split(file, name, classes, layout.select)
    return Content(classes or (), splits)


@dataclass(frozen=True, slots=True)
class _File:
    """One JSON file, its three lists known to be lists."""

    reading: Reading
    path: Path
    folder: str
    images: list[Any]
    annotations: list[Any]
    categories: list[Any]

    @classmethod
    def load(cls, reading: Reading, split: CocoSplit) -> _File:
        path = reading.root / split.annotations
        reading.progress(f"reading {split.annotations}", 0, 1)
        value = _parse(reading, path)
        lists: list[list[Any]] = []
        for key in ("images", "annotations", "categories"):
            entries = value.get(key)
            if not isinstance(entries, list):
                raise DataError(f"The list {key!r} is missing.", where=str(path), hint="is it COCO's JSON?")
            lists.append(entries)
        return cls(reading, path, split.images, *lists)

    @property
    def name(self) -> str:
        return self.reading.relative(self.path)

    def report(self, kind: str, key: str, index: int, reason: str) -> str:
        return self.reading.ledger.report(kind, self.name, f"{key}[{index}]", reason)

    def category_names(self) -> dict[int, str]:
        """Names by the file's own ids, in the order of the ids. Raises DataError."""
        found: dict[int, str] = {}
        for index, category in enumerate(self.categories):
            identity, name = (category.get("id"), category.get("name")) if isinstance(category, dict) else (0, 0)
            if not _is_id(identity) or not is_name(name) or identity in found or name in found.values():
                where = f"{self.path}: categories[{index}]"
                raise DataError("A category needs an id and a name of its own.", where=where)
            found[identity] = name
        return dict(sorted(found.items()))

    def class_names(self) -> tuple[str, ...]:
        names = tuple(self.category_names().values())
        if not names:
            raise DataError("The file has no categories.", where=str(self.path))
        return names


def _parse(reading: Reading, path: Path) -> Mapping[str, Any]:
    text = reading.text(path)
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"{path}:{error.lineno}:{error.colno}"
        raise DataError(f"The file is no valid JSON: {error.msg}.", where=where) from None
    except RecursionError:
        raise DataError("The file is no COCO JSON: it is nested without end.", where=str(path)) from None
    except ValueError as error:
        raise DataError(f"The file is no valid JSON: {error}.", where=str(path)) from None
    if not isinstance(value, dict):
        raise DataError("The file is no COCO JSON: an object was expected.", where=str(path))
    return value


def _read_split(file: _File, name: str, classes: tuple[str, ...], rule: Select | None) -> Split:
    gathering = Gathering(name, classes, file.reading.ledger)
    gathering.declared_images = len(file.images)
    selecting = Selecting(rule, classes) if rule else None
    _check_ids(file, classes, rule)
    images: Mapping[int, Image] = _images(file)
    by_image = _by_image(file, images, gathering, selecting)
    if selecting:
        images, gathering.selection = selecting.choose(images, by_image)
    for index, image in enumerate(images.values()):
        if index % STEP == 0:
            file.reading.progress(f"checking {file.name}", index, len(images))
        gathering.begin_image(image)
        for position, entry, category_id in by_image.get(image.id, ()):
            _add(file, gathering, image, position, entry, category_id)
    file.reading.progress(f"checking {file.name}", len(images), len(images))
    return gathering.split()


def _check_ids(file: _File, classes: tuple[str, ...], rule: Select | None) -> None:
    """Report numbers and names that do not belong together, and selected classes that the file does not have."""
    names = file.category_names()
    at = {entry["id"]: index for index, entry in enumerate(file.categories)}
    used: dict[int, int] = {}
    for entry in file.annotations:
        number = entry.get("category_id") if isinstance(entry, dict) else None
        if _is_id(number):
            used[number] = used.get(number, 0) + 1
    categories = {number: Category(name, _group(file.categories[at[number]])) for number, name in names.items()}
    for fault in faults(categories, used, rule.ids if rule else {}):
        line = "annotations" if fault.id is None else f"categories[{at[fault.id]}]"
        file.reading.ledger.report("id_space", file.name, line, fault.reason)
    for name in classes if rule else ():
        if name not in names.values():
            file.reading.ledger.report("unknown_class", file.name, "categories", absent_class(name, names))


def _group(category: Mapping[str, Any]) -> str | None:
    group = category.get("supercategory")
    return group if isinstance(group, str) else None


def _images(file: _File) -> dict[int, Image]:
    """The images that can be used, by id, in the file's order."""
    found: dict[int, Image] = {}
    names: set[str] = set()
    for index, entry in enumerate(file.images):
        if reason := _image_fault(entry):
            file.report("malformed", "images", index, reason)
            continue
        path = PurePosixPath(file.folder, entry["file_name"]).as_posix()
        if entry["id"] in found or path in names:
            again = f"the id {entry['id']}" if entry["id"] in found else f"the file {entry['file_name']}"
            file.report("duplicate_image", "images", index, f"{again} stands there already")
            continue
        names.add(path)
        found[entry["id"]] = Image(
            id=entry["id"],
            file=path,
            width=entry["width"],
            height=entry["height"],
            depth_file=_depth(file, entry),
            source=file.name,
        )
    return found


def _depth(file: _File, entry: Mapping[str, Any]) -> str | None:
    name = entry.get("depth_file")
    return PurePosixPath(file.folder, name).as_posix() if is_name(name) and _is_below(name) else None


def _image_fault(entry: Any) -> str | None:
    """Why an entry of `images` cannot be used."""
    if not isinstance(entry, dict):
        return f"found {entry!r}, expected an object"
    if not _is_id(entry.get("id")) or entry["id"] > LARGEST_ID:
        return f"its id is {entry.get('id')!r}, expected an integer of at most twelve digits, 0 or more"
    name = entry.get("file_name")
    if not is_name(name) or not _is_below(name):
        return f"the file_name of image {entry['id']} is {name!r}, expected a path below the image folder"
    for key in ("width", "height"):
        if not _is_id(entry.get(key)) or entry[key] < 1:
            return f"the {key} of image {entry['id']} is {entry.get(key)!r}, expected pixels"
    return None


def _by_image(
    file: _File, images: Mapping[int, Image], gathering: Gathering, selecting: Selecting | None
) -> dict[int, list[Entry]]:
    """The annotations that can be used, by image: position in the file, entry, contiguous category."""
    names = file.category_names()
    numbers = {name: number for number, name in enumerate(gathering.classes, 1)}
    listed = {entry["id"] for entry in file.images if isinstance(entry, dict) and _is_id(entry.get("id"))}
    grouped: dict[int, list[Entry]] = {}
    seen: dict[object, int] = {}
    for index, entry in enumerate(file.annotations):
        if reason := _annotation_fault(entry):
            file.report("malformed", "annotations", index, reason)
            continue
        name = names.get(entry["category_id"])
        gathering.declare(name or str(entry["category_id"]), crowd=bool(entry.get("iscrowd")))
        if _is_repeated(file, index, entry, seen):
            continue
        if entry["image_id"] not in images:
            # An image that was left out takes its annotations with it; that is reported already.
            if entry["image_id"] not in listed:
                reason = f"there is no image {entry['image_id']}"
                file.report("unknown_image", "annotations", index, reason)
        elif selecting and name is not None and name not in numbers:
            selecting.drop(entry["image_id"], name)
        elif name is None or name not in numbers:
            reason = f"{_name(entry)} has the category {entry['category_id']} ({name or 'not in the file'})"
            file.report("unknown_class", "annotations", index, f"{reason}, which is no class of the data set")
        else:
            grouped.setdefault(entry["image_id"], []).append((index, entry, numbers[name]))
    return grouped


def _annotation_fault(entry: Any) -> str | None:
    """Why an entry of `annotations` cannot be used at all."""
    if not isinstance(entry, dict):
        return f"found {entry!r}, expected an object"
    for key in ("image_id", "category_id"):
        if not _is_id(entry.get(key)):
            return f"{_name(entry)} has the {key} {entry.get(key)!r}, expected an integer"
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        return f"{_name(entry)} has the bbox {box!r}, expected four numbers"
    if entry.get("iscrowd", 0) not in (0, 1):
        return f"{_name(entry)} has iscrowd {entry['iscrowd']!r}, expected 0 or 1"
    return None


def _is_repeated(file: _File, index: int, entry: Mapping[str, Any], seen: dict[object, int]) -> bool:
    """Whether the annotation's id was used before and it is therefore left out."""
    identity = entry.get("id")
    if not isinstance(identity, (int, str)):
        return False
    if identity not in seen:
        seen[identity] = index
        return False
    reason = f"the id {identity} is that of annotations[{seen[identity]}] already"
    return file.report("duplicate_annotation", "annotations", index, reason) != "keep"


def _add(file: _File, gathering: Gathering, image: Image, index: int, entry: dict[str, Any], category_id: int) -> None:
    x, y, w, h = entry["bbox"]
    segmentation = entry.get("segmentation") or None
    place = (file.name, f"annotations[{index}]")
    gathering.add(
        image,
        category_id,
        (float(x), float(y), float(w), float(h)),
        place,
        area=_area(entry, segmentation),
        crowd=bool(entry.get("iscrowd")),
        segmentation=segmentation,
    )


def _area(entry: Mapping[str, Any], segmentation: Any) -> float | None:
    """The stated area where it is possible, that of the mask otherwise; None: that of the box."""
    stated = entry.get("area")
    if _is_number(stated) and math.isfinite(stated) and stated > 0:
        return float(stated)
    return area_of(segmentation) if segmentation is not None else None


def _name(entry: Mapping[str, Any]) -> str:
    return f"annotation {entry.get('id', '(no id)')}"


def _is_id(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_number(value: Any) -> TypeGuard[float]:
    """A number that a float can hold: JSON's integers have no limit."""
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63)


def _is_below(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts
