"""YOLO's text files: one label file an image, one object a line.

A line is ``class x y width height``: the class counted from 0, the centre and
the size as fractions of the image. More numbers than that are a polygon,
``class x1 y1 x2 y2 …``; its box is the polygon's extent. An empty label file
means that nothing is on the image; a missing one is a problem of its own,
because it may just as well be a lost file.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detui.engine.data.definition import YoloDefinition
from detui.engine.data.form import Box, Image
from detui.engine.data.imagefiles import SUFFIXES
from detui.engine.data.masks import area_of
from detui.engine.data.reading import Content, Gathering, Reading, is_name
from detui.engine.errors import DataError, MissingError


@dataclass(frozen=True, slots=True)
class YoloLayout:
    """Where things lie, relative to the root."""

    classes: tuple[str, ...]
    splits: Mapping[str, tuple[tuple[str, ...], str | None]]
    """By split: folders or lists of images, and the folder of labels where it is given."""


def read_yolo(layout: YoloDefinition, reading: Reading) -> Content:
    """Read the wanted splits. Raises MissingError, DataError for a data.yaml or a list that cannot be used."""
    found = resolve(layout, reading.root)
    first_id = 1
    splits = {}
    for name, (sources, labels) in found.splits.items():
        if not reading.wants(name):
            continue
        gathering = Gathering(name, found.classes, reading.ledger)
        images = _listed(reading, sources)
        gathering.declared_images = len(images)
        for index, image in enumerate(images):
            reading.progress(f"reading {name}", index, len(images))
            _read_image(reading, gathering, image, _label_file(reading.root, image, sources, labels), first_id + index)
        reading.progress(f"reading {name}", len(images), len(images))
        first_id += len(images)
        splits[name] = gathering.split()
    return Content(found.classes, splits)


def resolve(layout: YoloDefinition, root: Path) -> YoloLayout:
    """The layout, from the definition or from the data.yaml that it names. Raises MissingError, DataError."""
    if layout.data_yaml is None:
        given = {name: ((split.images,), split.labels) for name, split in layout.splits.items()}
        return YoloLayout(tuple(layout.classes or ()), given)
    from detui.engine.yaml import load_yaml

    document = load_yaml(root / layout.data_yaml)
    value = document.value
    if not isinstance(value, dict):
        raise DataError("A data.yaml is a mapping of keys.", where=document.where(()))
    splits = {
        name: (tuple(_below(root, layout.data_yaml, value, item) for item in _items(value[name])), None)
        for name in ("train", "val", "test")
        if value.get(name)
    }
    if not splits:
        raise DataError("The file names neither train nor val.", where=document.where(()))
    return YoloLayout(_names(value, document.where), splits)


def _names(value: Mapping[str | int, Any], where: Any) -> tuple[str, ...]:
    """The class names: a list, or a mapping from 0…n-1."""
    names = value.get("names")
    if isinstance(names, dict) and sorted(map(str, names)) == sorted(map(str, range(len(names)))):
        names = [text for _, text in sorted((int(key), text) for key, text in names.items())]
    if not isinstance(names, list) or not names or not all(isinstance(name, (str, int)) for name in names):
        raise DataError("names must list the classes, or map 0…n-1 to them.", where=where(("names",)))
    if len(set(map(str, names))) < len(names):
        raise DataError("A class stands in names twice.", where=where(("names",)))
    if value.get("nc", len(names)) != len(names):
        reason = f"nc is {value['nc']!r}, but names has {len(names)} classes."
        raise DataError(reason, where=where(("nc",)))
    return tuple(map(str, names))


def _items(value: Any) -> list[str]:
    return [str(item) for item in (value if isinstance(value, list) else [value])]


def _below(root: Path, data_yaml: str, value: Mapping[str | int, Any], item: str) -> str:
    """A path of a data.yaml relative to the root.

    Its `path` is absolute on the machine that wrote it as a rule: tried first, then the
    file's own folder, which is how downloaded sets lie.
    """
    own = (root / data_yaml).parent
    bases = [own / str(value["path"])] if value.get("path") else []
    # Roboflow writes "../train/images" for folders that lie beside the file.
    candidates = [base / item for base in [*bases, own]] + [own / item.removeprefix("../")]
    for candidate in candidates:
        if candidate.exists():
            return _relative(root, candidate)
    raise MissingError(
        f"There is no {item}, which the data.yaml names.",
        where=str(root / data_yaml),
        hint="looked for " + ", ".join(str(candidate) for candidate in candidates),
    )


def _relative(root: Path, path: Path) -> str:
    return Path(os.path.relpath(path, root)).as_posix()


def _listed(reading: Reading, sources: tuple[str, ...]) -> list[str]:
    """The images of a split, relative to the root: a folder's by name, a list's in its order."""
    found: dict[str, None] = {}
    for source in sources:
        path = reading.root / source
        if path.is_dir():
            names = sorted(item.relative_to(reading.root).as_posix() for item in _images_below(path))
            entries: list[tuple[str, str, int | None]] = [(name, source, None) for name in names]
        else:
            entries = _from_list(reading, path, source)
        for name, file, line in entries:
            if name in found:
                reading.ledger.report("duplicate_image", file, line, f"the image {name} stands there already")
            found[name] = None
    if not found:
        raise DataError(f"There is no image in {', '.join(sources)}.", where=str(reading.root))
    return list(found)


def _images_below(path: Path) -> list[Path]:
    return [item for item in path.rglob("*") if item.suffix.lower() in SUFFIXES and item.is_file()]


def _from_list(reading: Reading, path: Path, source: str) -> list[tuple[str, str, int | None]]:
    """Image paths from a text file: relative to its folder or to the root."""
    entries: list[tuple[str, str, int | None]] = []
    for line, text in enumerate(reading.text(path).splitlines(), 1):
        if not (name := text.strip()):
            continue
        if not is_name(name):
            reading.ledger.report("malformed", source, line, f"{name!r} cannot be a file")
            continue
        beside = path.parent / name
        entries.append((_relative(reading.root, beside if beside.exists() else reading.root / name), source, line))
    return entries


def _label_file(root: Path, image: str, sources: tuple[str, ...], labels: str | None) -> Path:
    """Where the labels of an image are: below `labels`, or where `images` becomes `labels` in its path."""
    if labels is not None:
        folder = next((s for s in sources if (root / s).is_dir() and Path(image).is_relative_to(s)), None)
        inner = Path(image).relative_to(folder) if folder else Path(Path(image).name)
        return (root / labels / inner).with_suffix(".txt")
    parts = list(Path(image).parts)
    if "images" in parts[:-1]:
        parts[len(parts) - 2 - parts[-2::-1].index("images")] = "labels"
    return (root / Path(*parts)).with_suffix(".txt")


def _read_image(reading: Reading, gathering: Gathering, name: str, labels: Path, image_id: int) -> None:
    source = reading.relative(labels)
    size = reading.size(name)
    if size is None:
        return
    image = Image(id=image_id, file=name, width=size[0], height=size[1], source=source)
    lines = _lines(reading, name, labels, source)
    if lines is None:
        return
    gathering.begin_image(image)
    for line, text in enumerate(lines, 1):
        if text.strip():
            _read_line(reading, gathering, image, line, text.split())


def _lines(reading: Reading, name: str, labels: Path, source: str) -> list[str] | None:
    """The lines of a label file; none at all when the image is left out."""
    if not labels.is_file():
        action = reading.ledger.report("missing_annotation", name, None, f"there is no label file {source}")
        return [] if action == "keep" else None
    return reading.lines(source)


def _read_line(reading: Reading, gathering: Gathering, image: Image, line: int, words: list[str]) -> None:
    place = (image.source, line)
    try:
        values = [float(word) for word in words]
    except ValueError:
        reading.ledger.report("malformed", *place, f"a number was expected in {' '.join(words)[:60]!r}")
        return
    if len(values) < 5 or (len(values) > 5 and (len(values) < 7 or len(values) % 2 == 0)):
        reading.ledger.report("malformed", *place, f"it has {len(values)} columns, expected 5, or an odd number from 7")
        return
    number = values[0]
    known = math.isfinite(number) and number == int(number) and 0 <= number < len(gathering.classes)
    gathering.declare(gathering.classes[int(number)] if known else words[0])
    if not known:
        reason = f"the class {words[0]} is out of range: there are {len(gathering.classes)}, counted from 0"
        reading.ledger.report("unknown_class", *place, reason)
        return
    _add(gathering, image, int(number) + 1, values[1:], place)


def _add(
    gathering: Gathering, image: Image, category_id: int, values: list[float], place: tuple[str, int | str | None]
) -> None:
    width, height = image.width, image.height
    if len(values) == 4:
        gathering.add(image, category_id, _box(values, width, height), place)
        return
    polygon = [v * (height if i % 2 else width) for i, v in enumerate(values)]
    xs, ys = polygon[0::2], polygon[1::2]
    box = (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))
    if not all(map(math.isfinite, polygon)):
        box = (math.nan,) * 4
    gathering.add(image, category_id, box, place, area=area_of([polygon]) or None, segmentation=[polygon])


def _box(values: list[float], width: int, height: int) -> Box:
    """Centre and size as fractions to pixels."""
    x, y, w, h = values
    return (x - w / 2) * width, (y - h / 2) * height, w * width, h * height
