"""What nobody annotated judges nobody: the drop step of VisDrone-DET, for every number that is computed.

A ground truth may carry `ignore_regions`: a list of {"image_id", "bbox"}. Its presence, empty or not, says that the
data set has the notion and is judged by VisDrone's metric. Boxes and detections of which at least half lies in the
union of their image's regions are then dropped before anything is matched, and so is the class `others` (11), which
the challenge does not judge. Without the list nothing is dropped and nothing changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detui.engine.evaluate.union import Union

REGIONS = "ignore_regions"
"""Key of the ground truth."""
MAX_DETECTIONS = 500
"""Detections that count where regions are known: drone pictures hold hundreds of objects."""
OTHERS = "others"
"""Name of the class that nobody is judged by."""

Entries = Sequence[Mapping[str, Any]]


def knows_regions(truth: Mapping[str, Any]) -> bool:
    """Whether the ground truth has the notion, and so is judged by VisDrone's metric."""
    return truth.get(REGIONS) is not None


def limit(truth: Mapping[str, Any]) -> int:
    """How many detections an image and class count in the metric of this ground truth: 500, or COCO's 100."""
    return MAX_DETECTIONS if knows_regions(truth) else 100


def drop(truth: Mapping[str, Any], detections: Entries) -> tuple[Mapping[str, Any], Entries]:
    """Ground truth and detections (checked before) without `others` and without what lies in regions by half.

    Half of a box's own area, as far as it lies in its image, in whole pixels. A ground truth without the notion, and
    its detections, come back as they are. Doing it twice changes nothing more.
    """
    if not knows_regions(truth):
        return truth, detections
    judged = {entry["id"] for entry in truth["categories"] if entry["name"] != OTHERS}
    unions = _unions(truth)
    annotations, kept = (_left(entries, judged, unions) for entries in (truth["annotations"], detections))
    categories = [entry for entry in truth["categories"] if entry["id"] in judged]
    return {**truth, "annotations": annotations, "categories": categories}, kept


def _left(entries: Entries, judged: set[int], unions: Mapping[int, Union]) -> list[Mapping[str, Any]]:
    by_image: dict[int, list[int]] = {}
    for place, entry in enumerate(entries):
        if entry["image_id"] in unions:
            by_image.setdefault(entry["image_id"], []).append(place)
    dropped: set[int] = set()
    for image, places in by_image.items():
        covered = unions[image].covers_half([entries[place]["bbox"] for place in places])
        dropped.update(place for place, inside in zip(places, covered, strict=True) if inside)
    return [entry for place, entry in enumerate(entries) if place not in dropped and entry["category_id"] in judged]


def _unions(truth: Mapping[str, Any]) -> dict[int, Union]:
    """Image → the union of its regions; images without any are not among them."""
    from detui.engine.evaluate.union import Union

    boxes: dict[int, list[Any]] = {}
    for entry in truth[REGIONS]:
        boxes.setdefault(entry["image_id"], []).append(entry["bbox"])
    sizes = {image["id"]: (image["width"], image["height"]) for image in truth["images"]}
    return {image: Union.of(found, *sizes[image]) for image, found in boxes.items()}
