"""The metric of VisDrone-DET, which knows regions that nobody annotated.

Both forms begin by dropping boxes and detections of which at least half lies in the union of an image's ignore regions,
and the class `others` (11), which the challenge does not judge.
The main one then is COCO's with at most 500 detections an image and class. The other is what the official toolkit
computes (VisDrone2018-DET-toolkit, calcAccuracy.m): the area under the whole precision-recall curve instead of 101
points, and a mean over classes in which a class counts once for every image that it occurs in. The two differ by
points on the same detections, so each carries its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from detui.engine.errors import UsageError
from detui.engine.evaluate.bootstrap import weighted_ap
from detui.engine.evaluate.checks import check_detections, check_truth
from detui.engine.evaluate.matches import AREAS, ClassMatches, Matches, match

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_DETECTIONS = 500
REGIONS = "ignore_regions"
"""Key of the ground truth: a list of {"image_id", "bbox"}. Its presence says that the data set has the notion."""
COVERED = 0.5
OTHERS = "others"
"""Name of the class that nobody is judged by."""
OFFICIAL = "official_"
"""How the names of the toolkit's own numbers begin."""


def evaluate_visdrone(
    truth: Mapping[str, Any],
    detections: Sequence[Mapping[str, Any]],
    *,
    truth_name: str = "ground truth",
    detections_name: str = "predictions",
) -> dict[str, float | None]:
    """AP, AP50, AP75, AP by size and class after the drop step, and the toolkit's as `official_AP` and so on, 0–1.

    Raises UsageError for a ground truth without ignore regions, DataError for wrong content.
    """
    if not isinstance(truth.get(REGIONS), list):
        message = "This ground truth has no ignore regions, so VisDrone's metric would be COCO's under another name."
        hint = f"--metric coco, or a ground truth with the list {REGIONS!r} (empty where an image has none)"
        raise UsageError(message, where=truth_name, hint=hint)
    check_truth(truth, truth_name)
    check_detections(truth, detections, detections_name)
    kept_truth, kept = drop(truth, detections)
    matches = match(kept_truth, kept, areas=tuple(AREAS), max_detections=MAX_DETECTIONS)
    return _main(matches) | _official(matches)


def drop(
    truth: Mapping[str, Any], detections: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any], list[Mapping[str, Any]]]:
    """Ground truth and detections without `others`, and without what lies in ignore regions by half of its own area."""
    judged = {entry["id"] for entry in truth["categories"] if entry["name"] != OTHERS}
    regions: dict[int, list[Any]] = {}
    for entry in truth[REGIONS]:
        regions.setdefault(entry["image_id"], []).append(entry["bbox"])
    sizes = {image["id"]: (image["width"], image["height"]) for image in truth["images"]}
    sums = {image: _summed(boxes, *sizes[image]) for image, boxes in regions.items()}
    annotations, kept = (
        [entry for entry in entries if entry["category_id"] in judged and not _covered(entry, sums)]
        for entries in (truth["annotations"], detections)
    )
    categories = [entry for entry in truth["categories"] if entry["id"] in judged]
    return {**truth, "annotations": annotations, "categories": categories}, kept


def _summed(boxes: Iterable[Sequence[float]], width: int, height: int) -> NDArray[np.int64]:
    """[height + 1, width + 1] How many ignored pixels lie above and to the left of each corner (Crow 1984)."""
    ignored = np.zeros((height, width), np.int64)
    for x, y, w, h in boxes:
        left, top = max(0, round(x)), max(0, round(y))
        ignored[top : max(0, round(y + h)), left : max(0, round(x + w))] = 1
    return np.pad(ignored.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))


def _covered(entry: Mapping[str, Any], sums: Mapping[int, NDArray[np.int64]]) -> bool:
    """Whether at least half of a box, as far as it lies in the image, is ignored pixels."""
    table = sums.get(entry["image_id"])
    if table is None:
        return False
    x, y, w, h = entry["bbox"]
    left, right = (min(max(0, round(edge)), table.shape[1] - 1) for edge in (x, x + w))
    top, bottom = (min(max(0, round(edge)), table.shape[0] - 1) for edge in (y, y + h))
    pixels = (right - left) * (bottom - top)
    ignored = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
    return bool(pixels > 0 and ignored >= COVERED * pixels)


def _main(matches: Matches) -> dict[str, float | None]:
    ones = np.ones((len(matches.images), 1), np.float32)
    values: dict[str, float | None] = {}
    for area, classes in matches.by_area.items():
        ap = weighted_ap(classes, ones)[:, :, 0]
        if area == "all":
            values |= {"AP": _mean(ap), "AP50": _mean(ap[:, :1]), "AP75": _mean(ap[:, 5:6])}
            values |= {f"AP/{name}": _mean(row) for name, row in zip(matches.classes, ap, strict=True)}
        else:
            values[f"AP_{area}"] = _mean(ap)
    return values


def _mean(ap: NDArray[np.float64]) -> float | None:
    known = ap[~np.isnan(ap)]
    return float(known.mean()) if known.size else None


def _official(matches: Matches) -> dict[str, float | None]:
    classes = matches.by_area["all"]
    ap = np.array([_all_points(one) for one in classes])
    weights = np.array([int((one.truth > 0).sum()) for one in classes], np.float64)
    if not weights.any():
        return {f"{OFFICIAL}{name}": None for name in ("AP", "AP50", "AP75")}
    mean = (weights @ np.nan_to_num(ap)) / weights.sum()
    return {f"{OFFICIAL}AP": float(mean.mean()), f"{OFFICIAL}AP50": float(mean[0]), f"{OFFICIAL}AP75": float(mean[5])}


def _all_points(one: ClassMatches) -> NDArray[np.float64]:
    """[T] The area under the curve of precision, made monotone, over recall; NaN without boxes."""
    boxes = int(one.truth.sum())
    values = np.full(len(one.found), np.nan)
    if not boxes:
        return values
    for level, (found, counted) in enumerate(zip(one.found, one.counted, strict=True)):
        hits = np.cumsum(found[counted])
        precision = hits / np.arange(1, len(hits) + 1)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        values[level] = float((found[counted] * envelope).sum() / boxes)
    return values
