"""Checks of ground truth and detections before anything is computed.

The metric libraries answer bad input with silence (NaN scores, annotation id
0), a warning (unknown image ids) or a wrong number (an `area` that is missing).
Here each is an error that names the file, the entry and the reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from detui.engine.errors import DataError
from detui.engine.evaluate.regions import REGIONS
from detui.engine.evaluate.void import VOID

HINT_TRUTH = "detui data check NAME"
HINT_DETECTIONS = "evaluate the checkpoint again, or look at the program that wrote this file"


def check_truth(truth: Any, where: str) -> None:
    """Raise DataError unless `truth` is a COCO mapping whose every field the metric reads is right."""
    if not isinstance(truth, Mapping):
        text = f"The ground truth is a {type(truth).__name__}, not a mapping with images, annotations and categories."
        raise DataError(text, where=where, hint="a list of detections goes with --predictions")
    for key in ("images", "annotations", "categories"):
        if not isinstance(truth.get(key), list):
            raise DataError(f"The ground truth has no list {key!r}.", where=where, hint=HINT_TRUTH)
    images = _ids(truth["images"], "images", where)
    categories = _ids(truth["categories"], "categories", where)
    annotations = _ids(truth["annotations"], "annotations", where)
    if annotations and min(annotations) < 1:
        # pycocotools stores "no match" as annotation id 0: such a box could never be found.
        raise DataError("An annotation id is below 1.", where=where, hint=HINT_TRUTH)
    for index, entry in enumerate(truth["annotations"]):
        reason = _place(entry, images, categories) or _box(entry.get("bbox")) or _area(entry)
        if reason:
            raise DataError(f"{reason}.", where=f"{where}: annotations[{index}]", hint=HINT_TRUTH)
    if truth.get(REGIONS) is not None:
        _check_regions(truth, images, where)
    if truth.get(VOID) is not None:
        _check_void(truth, where)


def _check_void(truth: Mapping[str, Any], where: str) -> None:
    """Void pixels are run lengths of their image's size."""
    if not isinstance(truth[VOID], list):
        raise DataError(f"{VOID!r} is no list of masks.", where=where, hint=HINT_TRUTH)
    sizes = {entry["id"]: [entry.get("height"), entry.get("width")] for entry in truth["images"]}
    for index, entry in enumerate(truth[VOID]):
        place = f"{where}: {VOID}[{index}]"
        if not isinstance(entry, Mapping) or not _known(entry.get("image_id"), set(sizes)):
            raise DataError("This is no mask of an image of the ground truth.", where=place, hint=HINT_TRUTH)
        reason = _mask(entry.get("segmentation"), sizes[entry["image_id"]])
        if reason:
            raise DataError(f"{reason}.", where=place, hint=HINT_TRUTH)


def _check_regions(truth: Mapping[str, Any], images: set[int], where: str) -> None:
    """Ignore regions are boxes on images whose sizes are stated."""
    if not isinstance(truth[REGIONS], list):
        raise DataError(f"{REGIONS!r} is no list of regions.", where=where, hint=HINT_TRUTH)
    for index, entry in enumerate(truth[REGIONS]):
        reason = _region(entry, images)
        if reason:
            raise DataError(f"{reason}.", where=f"{where}: {REGIONS}[{index}]", hint=HINT_TRUTH)
    for index, image in enumerate(truth["images"]):
        for key in ("width", "height"):
            if not _finite(image.get(key)) or image[key] < 1:
                text = f"The {key} {image.get(key)!r} is no number of pixels, and ignore regions end at the border."
                raise DataError(text, where=f"{where}: images[{index}]", hint=HINT_TRUTH)


def _region(entry: Any, images: set[int]) -> str | None:
    if not isinstance(entry, Mapping):
        return f"{type(entry).__name__} is no region"
    if not _known(entry.get("image_id"), images):
        return f"image_id {entry.get('image_id')!r} is not in the ground truth"
    return _box(entry.get("bbox"))


def check_detections(
    truth: Mapping[str, Any], detections: Sequence[Any], where: str, masks: bool | None = None
) -> bool:
    """Raise DataError unless `detections` is a COCO results list that fits `truth`. Returns whether masks are judged.

    A box may reach over the image's border or be empty: it is then merely wrong, and so is a mask without a pixel.
    Masks are run lengths, of their image's size; either all detections have one, or none has. `masks`: whether they
    must have one (then none at all is judged, too), or what they have is left alone; None: as it is found in them.
    """
    if not isinstance(detections, list | tuple):
        raise DataError("The predictions are no list of detections.", where=where, hint=HINT_DETECTIONS)
    images = {entry["id"] for entry in truth["images"]}
    categories = {entry["id"] for entry in truth["categories"]}
    for index, entry in enumerate(detections):
        reason = _detection(entry, images, categories)
        if reason:
            raise DataError(f"{reason}.", where=f"{where}: [{index}]", hint=HINT_DETECTIONS)
    if masks is None:
        masks = any(isinstance(entry.get("segmentation"), Mapping) for entry in detections)
    if masks:
        _check_masks(truth, detections, where)
    return masks


def _check_masks(truth: Mapping[str, Any], detections: Sequence[Any], where: str) -> None:
    sizes = {entry["id"]: [entry.get("height"), entry.get("width")] for entry in truth["images"]}
    for index, entry in enumerate(detections):
        reason = _mask(entry.get("segmentation"), sizes[entry["image_id"]])
        if reason:
            raise DataError(f"{reason}.", where=f"{where}: [{index}]", hint=HINT_DETECTIONS)
    for index, entry in enumerate(truth["annotations"]):
        if not entry.get("segmentation"):
            text = f"The detections have masks, and annotations[{index}] of the ground truth has none."
            raise DataError(text, where=where, hint=HINT_TRUTH)


def _mask(mask: Any, size: list[Any]) -> str | None:
    if not isinstance(mask, Mapping) or not isinstance(mask.get("counts"), str | list):
        return "its segmentation is no run lengths {size, counts}, which are needed of each"
    return None if list(mask.get("size", ())) == size else f"its mask has the size {mask.get('size')}, the image {size}"


def _ids(entries: Sequence[Any], name: str, where: str) -> set[int]:
    seen: set[int] = set()
    for index, entry in enumerate(entries):
        number = entry.get("id") if isinstance(entry, Mapping) else None
        place = f"{where}: {name}[{index}]"
        if not isinstance(number, int) or isinstance(number, bool):
            raise DataError(f"The id {number!r} is no integer.", where=place, hint=HINT_TRUTH)
        if number in seen:
            raise DataError(f"The id {number} occurs twice.", where=place, hint=HINT_TRUTH)
        seen.add(number)
    return seen


def _detection(entry: Any, images: set[int], categories: set[int]) -> str | None:
    if not isinstance(entry, Mapping):
        return f"{type(entry).__name__} is no detection"
    reason = _place(entry, images, categories) or _box(entry.get("bbox"))
    if reason:
        return reason
    score = entry.get("score")
    return None if _finite(score) else f"score {score!r} is no finite number"


def _place(entry: Mapping[str, Any], images: set[int], categories: set[int]) -> str | None:
    if not _known(entry.get("image_id"), images):
        return f"image_id {entry.get('image_id')!r} is not in the ground truth"
    if not _known(entry.get("category_id"), categories):
        return f"category_id {entry.get('category_id')!r} is not in the ground truth"
    return None


def _known(number: Any, known: set[int]) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number in known


def _box(box: Any) -> str | None:
    if not isinstance(box, list | tuple) or len(box) != 4:
        return f"bbox {box!r} is not [x, y, width, height]"
    if not all(_finite(number) for number in box):
        return f"bbox {box!r} holds something that is no finite number"
    return f"bbox {box!r} has a negative size" if box[2] < 0 or box[3] < 0 else None


def _area(entry: Mapping[str, Any]) -> str | None:
    area: Any = entry.get("area")
    return None if _finite(area) and area >= 0 else f"area {area!r} is no finite number of square pixels"


def _finite(number: Any) -> bool:
    return isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
