"""The metric of VisDrone-DET: what lies in regions that nobody annotated is dropped first, in both of its forms.

The main one then is COCO's with at most 500 detections an image and class, and gives every number that COCO's gives.
Boxes that the data marks as not judged (a score of 0) are COCO's crowd regions there: they neither help nor harm.

The other is what the official toolkit computes (VisDrone2018-DET-toolkit, calcAccuracy.m, as of April 2019), to compare
with published numbers: at most 500 detections an image over all classes; the area under the whole precision-recall
curve instead of 101 points; a mean over classes in which a class counts once for every image that it occurs in; and a
recall whose boxes include those that are not judged, though a detection on one counts as neither right nor wrong. The
two differ by points on the same detections, so each carries its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from detui.engine.errors import UsageError
from detui.engine.evaluate.checks import check_detections, check_truth
from detui.engine.evaluate.coco import Result, score
from detui.engine.evaluate.matches import ClassMatches, Matches, match
from detui.engine.evaluate.regions import MAX_DETECTIONS, REGIONS, Entries, drop, knows_regions

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIMITS = (1, 10, 100, MAX_DETECTIONS)
"""Detections an image and class: what AR1, AR10, AR100, AR500 are of."""
OFFICIAL = "official_"
"""How the names of the toolkit's own numbers begin."""


def evaluate_visdrone(
    truth: Mapping[str, Any],
    detections: Sequence[Mapping[str, Any]],
    *,
    truth_name: str = "ground truth",
    detections_name: str = "predictions",
    library: str = "hotcoco",
    masks: bool | None = None,
) -> Result:
    """COCO's numbers after the drop step, and the toolkit's as `official_AP`, `official_AP50`, `official_AP75`.

    Boxes and detections of the result are those that are left. `masks`: as `coco.evaluate` has it. Raises UsageError
    for a ground truth without ignore regions, DataError for wrong content, MissingError for an absent library.
    """
    check_truth(truth, truth_name)
    if not knows_regions(truth):
        message = "This ground truth has no ignore regions, so VisDrone's metric would be COCO's under another name."
        hint = f"--metric coco, or a ground truth with the list {REGIONS!r} (empty where an image has none)"
        raise UsageError(message, where=truth_name, hint=hint)
    masks = check_detections(truth, detections, detections_name, masks)
    known, kept = drop(truth, detections)
    matches = match(known, kept, max_detections=MAX_DETECTIONS)
    main = score(known, kept, matches, limits=LIMITS, masks=masks, library=library)
    return replace(
        main,
        values=main.values | _official(known, kept, matches),
        evaluator=f"{main.evaluator} after VisDrone's drop step",
        metric="visdrone",
    )


def _official(truth: Mapping[str, Any], kept: Entries, matches: Matches) -> dict[str, float | None]:
    """The toolkit's numbers from what is left by the drop step and its matches."""
    first = _first_of_each_image(kept)
    if len(first) < len(kept):
        matches = match(truth, first, max_detections=MAX_DETECTIONS)
    boxes = _boxes(truth, matches)
    weights = (boxes > 0).sum(axis=1).astype(np.float64)
    if not weights.any():
        return {f"{OFFICIAL}{name}": None for name in ("AP", "AP50", "AP75")}
    ap = np.array([_all_points(one, int(n)) for one, n in zip(matches.by_area["all"], boxes.sum(axis=1), strict=True)])
    mean = (weights @ ap) / weights.sum()
    return {f"{OFFICIAL}AP": float(mean.mean()), f"{OFFICIAL}AP50": float(mean[0]), f"{OFFICIAL}AP75": float(mean[5])}


def _first_of_each_image(detections: Entries) -> Entries:
    """The 500 of each image with the highest scores, equal ones in the order given."""
    by_image: dict[int, list[int]] = {}
    for place, entry in enumerate(detections):
        by_image.setdefault(entry["image_id"], []).append(place)
    beyond: set[int] = set()
    for places in by_image.values():
        if len(places) > MAX_DETECTIONS:
            beyond.update(sorted(places, key=lambda place: -detections[place]["score"])[MAX_DETECTIONS:])
    return [entry for place, entry in enumerate(detections) if place not in beyond] if beyond else detections


def _boxes(truth: Mapping[str, Any], matches: Matches) -> NDArray[np.int64]:
    """[K, I] Boxes of each class on each image, those that are not judged included."""
    images = {image: index for index, image in enumerate(matches.images)}
    ids = sorted(entry["id"] for entry in truth["categories"])
    classes = {category: index for index, category in enumerate(ids)}
    boxes = np.zeros((len(classes), len(images)), np.int64)
    for entry in truth["annotations"]:
        boxes[classes[entry["category_id"]], images[entry["image_id"]]] += 1
    return boxes


def _all_points(one: ClassMatches, boxes: int) -> NDArray[np.float64]:
    """[T] The area under the curve of precision, made monotone, over recall; 0 without boxes, whose weight is 0 too."""
    values = np.zeros(len(one.found))
    for level, (found, counted) in enumerate(zip(one.found, one.counted, strict=True)):
        hits = np.cumsum(found[counted])
        precision = hits / np.arange(1, len(hits) + 1)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        values[level] = (found[counted] * envelope).sum() / max(boxes, 1)
    return values
