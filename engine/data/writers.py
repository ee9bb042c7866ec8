"""Writing prepared data: COCO JSON per role, and the tree of links and text files that YOLO trainers read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detui.engine.data.boxes import clip
from detui.engine.data.form import Annotation, Image, Split
from detui.engine.data.imagefiles import is_cut_jpeg
from detui.engine.data.reading import Progress
from detui.engine.run.files import write_json


def coco_json(split: Split, classes: tuple[str, ...]) -> dict[str, Any]:
    """A split in COCO's form, categories 1…n in the order of the classes.

    With `ignore_regions` exactly where the format knows such regions, empty where none was found: the evaluator takes
    their presence for the metric that the data is judged by. So with `void`, a list of
    ``{"image_id", "segmentation"}``: those pixels are taken out of a detection's mask before it is compared.
    """
    content: dict[str, Any] = {
        "images": [_image(image) for image in split.images],
        "annotations": [_annotation(annotation) for annotation in split.annotations],
        "categories": [{"id": number, "name": name} for number, name in enumerate(classes, 1)],
    }
    if split.ignore_regions is not None:
        content["ignore_regions"] = [
            {"image_id": region.image_id, "bbox": list(region.box)} for region in split.ignore_regions
        ]
    if split.void is not None:
        content["void"] = [{"image_id": one.image_id, "segmentation": one.segmentation} for one in split.void]
    return content


def write_coco(path: Path, split: Split, classes: tuple[str, ...]) -> None:
    """Write a split as COCO JSON. Raises RunError."""
    write_json(path, coco_json(split, classes))


def write_yolo(
    folder: Path, splits: Mapping[str, Split], classes: tuple[str, ...], root: Path, progress: Progress
) -> None:
    """Write ``data.yaml``, ``images/<role>`` and ``labels/<role>``, and ``depth/<role>`` where there are depth maps.

    A file's stem is the image's id in twelve digits: that is how predictions find their way back.
    Images and maps are links to the originals. The data.yaml names no absolute path: a trainer takes its folder.
    """
    for role, split in splits.items():
        images, labels = folder / "images" / role, folder / "labels" / role
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        if any(image.depth_file for image in split.images):
            (folder / "depth" / role).mkdir(parents=True)
        by_image: dict[int, list[Annotation]] = {}
        for annotation in split.annotations:
            by_image.setdefault(annotation.image_id, []).append(annotation)
        for index, image in enumerate(split.images):
            progress(f"writing labels of {role}", index, len(split.images))
            stem = f"{image.id:012d}"
            _place(root / image.file, images / f"{stem}{Path(image.file).suffix}")
            if image.depth_file:
                _place(root / image.depth_file, folder / "depth" / role / f"{stem}.png")
            lines = [yolo_line(a, image) for a in by_image.get(image.id, ()) if not a.crowd]
            (labels / f"{stem}.txt").write_text("".join(lines), encoding="utf-8")
        progress(f"writing labels of {role}", len(split.images), len(split.images))
    (folder / "data.yaml").write_text(_data_yaml(tuple(splits), classes), encoding="utf-8")


def yolo_line(annotation: Annotation, image: Image) -> str:
    """``class x y width height``: class from 0, centre and size as fractions, clipped to the image."""
    x, y, w, h = clip(annotation.box, float(image.width), float(image.height))
    values = ((x + w / 2) / image.width, (y + h / 2) / image.height, w / image.width, h / image.height)
    numbers = " ".join(f"{min(max(value, 0.0), 1.0):.9f}" for value in values)
    return f"{annotation.category_id - 1} {numbers}\n"


def _image(image: Image) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": image.id,
        "file_name": image.file,
        "width": image.width,
        "height": image.height,
    }
    if image.depth_file:
        entry["depth_file"] = image.depth_file
    return entry


def _annotation(annotation: Annotation) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": annotation.id,
        "image_id": annotation.image_id,
        "category_id": annotation.category_id,
        "bbox": list(annotation.box),
        "area": annotation.area,
        "iscrowd": int(annotation.crowd),
    }
    if annotation.segmentation is not None:
        entry["segmentation"] = annotation.segmentation
    return entry


def _place(original: Path, link: Path) -> None:
    """Link to the original, or copy it.

    A JPEG that does not end with its end marker is copied: Ultralytics "restores" such a file, some
    versions in place and thus through the link, which would change the person's data. A file system
    without links gets copies too.
    """
    if is_cut_jpeg(original):
        link.write_bytes(original.read_bytes())
        return
    try:
        link.symlink_to(os.path.abspath(original))  # noqa: PTH100 - the link must not resolve other links
    except (PermissionError, NotImplementedError):
        link.write_bytes(original.read_bytes())


def _data_yaml(roles: tuple[str, ...], classes: tuple[str, ...]) -> str:
    lines = [f"{role}: images/{role}" for role in roles]
    # JSON's quoted strings are YAML as well, whatever the class is called.
    lines += ["names:", *(f"  {i}: {json.dumps(name, ensure_ascii=False)}" for i, name in enumerate(classes))]
    return "\n".join(lines) + "\n"
