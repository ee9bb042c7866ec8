"""What the arms got wrong: boxes missed and false alarms at IoU 0.5, and the pictures with most of both.

Whoever asks has left out the detections below the confidence at which a detector is used. Matching is the evaluator's:
by falling confidence, within a class, so the right place under a wrong name is a box missed and a false alarm. What
lies on a crowd region is neither, and what the data's metric drops is not looked at (evaluate/regions.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PICTURES = 4

Box = Sequence[float]
"""x, y, width, height in pixels of the original image."""
Truth = Mapping[str, Any]
"""COCO ground truth, checked by the evaluator before."""
Detections = Sequence[Mapping[str, Any]]
"""COCO results that count as said: those of low confidence left out."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one arm did on one picture."""

    found: list[Box] = field(default_factory=list)
    """Ground truth that a detection finds."""
    missed: list[Box] = field(default_factory=list)
    """Ground truth that none finds."""
    false: list[Box] = field(default_factory=list)
    """Detections that find nothing."""
    masks: list[tuple[str, Any]] = field(default_factory=list)
    """Of those that have a mask: "found", "missed" or "false", and its COCO segmentation."""


def worst(truth: Truth, arms: Iterable[Detections], pictures: int = PICTURES) -> list[int]:
    """Ids of at most `pictures` images with most failures, summed over the arms; the worst first, ties by id.

    Images without a failure are never among them, so there may be none at all.
    """
    images = sorted(entry["id"] for entry in truth["images"])
    failures = dict.fromkeys(images, 0)
    for detections in arms:
        for image, count in zip(images, _failures(truth, detections), strict=True):
            failures[image] += int(count)
    failed = [image for image in images if failures[image]]
    return sorted(failed, key=lambda image: (-failures[image], image))[:pictures]


def _failures(truth: Truth, detections: Detections) -> NDArray[np.int64]:
    """[I] Boxes missed plus false alarms of each image, by id."""
    import numpy as np

    from detui.engine.evaluate.matches import match
    from detui.engine.evaluate.regions import drop, limit

    truth, detections = drop(truth, detections)
    matches = match(truth, detections, max_detections=limit(truth))
    count = len(matches.images)
    total = np.zeros(count, np.int64)
    for one in matches.by_area["all"]:
        found, counted = one.found[0], one.counted[0]
        total += one.truth - np.bincount(one.image[found], minlength=count)
        total += np.bincount(one.image[counted & ~found], minlength=count)
    return total


def judge(truth: Truth, detections: Detections, images: Sequence[int]) -> dict[int, Verdict]:
    """Image → what the detections did there, box by box."""
    from detui.engine.evaluate.regions import drop

    truth, detections = drop(truth, detections)
    wanted = set(images)
    boxes = [entry for entry in truth["annotations"] if entry["image_id"] in wanted]
    said = [entry for entry in detections if entry["image_id"] in wanted]
    shown = {**truth, "images": [entry for entry in truth["images"] if entry["id"] in wanted], "annotations": boxes}
    by_id = {entry["id"]: entry for entry in boxes}
    verdicts = {image: Verdict() for image in images}
    for entry in _matched(shown, said):
        verdict = verdicts[entry["image_id"]]
        for box, found, crowd in zip(entry["gtIds"], entry["gtMatched"][0], entry["gtIgnore"], strict=True):
            if not crowd:
                _add(verdict, "found" if found else "missed", by_id[box])
        for row, found, ignored in zip(entry["dtIds"], entry["dtMatched"][0], entry["dtIgnore"][0], strict=True):
            if not (found or ignored):
                _add(verdict, "false", said[row - 1])
    return verdicts


def _add(verdict: Verdict, kind: str, entry: Mapping[str, Any]) -> None:
    """Note a box as "found", "missed" or "false", and its mask where it has one."""
    {"found": verdict.found, "missed": verdict.missed, "false": verdict.false}[kind].append(entry["bbox"])
    if entry.get("segmentation"):
        verdict.masks.append((kind, entry["segmentation"]))


def _matched(truth: Truth, said: Detections) -> list[Mapping[str, Any]]:
    """hotcoco's own words for each image and class, at IoU 0.5; its ids of detections count from 1 in `said`."""
    import numpy as np
    from hotcoco import COCO, COCOeval

    from detui.engine.evaluate.regions import limit

    rows = [[entry["image_id"], *entry["bbox"], entry["score"], entry["category_id"]] for entry in said]
    known = COCO(dict(truth))
    evaluation = COCOeval(known, known.load_res(np.array(rows, np.float64).reshape(len(rows), 7)), "bbox")
    params = evaluation.params
    params.iou_thrs, params.max_dets = [0.5], [limit(truth)]
    params.area_rng, params.area_rng_lbl = [[0.0, 1e10]], ["all"]
    evaluation.evaluate()
    judged = [entry for entry in evaluation.eval_imgs if entry is not None]
    return sorted(judged, key=lambda entry: (entry["image_id"], entry["category_id"]))
