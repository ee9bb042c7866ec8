"""COCO metrics of boxes and masks: AP and AR overall, by size, per class and per class × size, PR curves, best F1.

Computed by hotcoco (held to pycocotools by the tests), or by pycocotools where that is asked for. AP is the mean over
IoU 0.50:0.05:0.95, AR100 the recall at 100 detections an image and class; sizes are COCO's (small < 32², medium < 96²,
large above, in square pixels of the original image; both bounds belong to both neighbours). A number for which no
ground truth exists is None: never 0, never COCO's -1.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from detui.engine.errors import MissingError
from detui.engine.evaluate.checks import check_detections, check_truth
from detui.engine.evaluate.tables import MASKS
from detui.engine.evaluate.void import without_void

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from detui.engine.evaluate.matches import Matches

    Array = NDArray[np.float64]

SIZES = ("small", "medium", "large")
MAX_DETECTIONS = 100
LIMITS = (1, 10, MAX_DETECTIONS)
"""Detections an image and class: what AR1, AR10, AR100 are of; AP is at the last."""
ALL_CLASSES = "all classes"
IOU_50, IOU_75 = 0, 5  # places of 0.50 and 0.75 in the ten IoU thresholds


LIBRARIES = ("hotcoco", "pycocotools")
"""What may compute; the second is the reference, and 60 times slower."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What one set of detections scores against one ground truth."""

    values: dict[str, float | None]
    """`AP`, `AP50`, `AP_small`, `AP/<class>`, `AP_small/<class>`, `precision`, `mask_AP` …: 0–1, or None without ground
    truth."""
    curves: dict[str, Any]
    """PR points at IoU 0.5: `recall` [101] and `precision` {size: {class: [101] or None}}."""
    images: int
    boxes: int
    """Ground truth boxes that count (crowd regions do not)."""
    detections: int
    evaluator: str
    """Library and version, for the record."""
    max_dets: int = MAX_DETECTIONS
    metric: str = "coco"
    """Or "visdrone": then boxes and detections are those that its drop step leaves."""


def evaluate(
    truth: Mapping[str, Any],
    detections: Sequence[Mapping[str, Any]],
    *,
    truth_name: str = "ground truth",
    detections_name: str = "predictions",
    library: str = "hotcoco",
    masks: bool | None = None,
) -> Result:
    """Score COCO results against COCO ground truth, both in original pixels.

    Masks are scored beside the boxes where every detection has one, without the ground truth's void. `masks`: whether
    there are any, of a detector of which that is known, so that no detection at all scores 0. The names are what an
    error calls the two. Raises DataError for anything in either that the metric would misread, MissingError for an
    absent library.
    """
    check_truth(truth, truth_name)
    masks = check_detections(truth, detections, detections_name, masks)
    from detui.engine.evaluate.matches import match

    return score(truth, detections, match(truth, detections), masks=masks, library=library)


def score(
    truth: Mapping[str, Any],
    detections: Sequence[Mapping[str, Any]],
    matches: Matches,
    *,
    limits: Sequence[int] = LIMITS,
    masks: bool = False,
    library: str = "hotcoco",
) -> Result:
    """Score what was checked before and matched at the last of the `limits` (rising numbers of detections an image).

    `masks`: whether every detection has one. Raises MissingError for an absent library.
    """
    from detui.engine.evaluate.operating import at_best_f1

    classes = list(_classes(truth).values())
    precision, recall = _accumulate(truth, detections, "bbox", library, limits)
    values = _overall(precision, recall, limits) | _per_class(precision, classes) | at_best_f1(matches)
    if masks:
        arrays = _accumulate(truth, without_void(truth, detections), "segm", library, limits)
        of_masks = _overall(*arrays, limits) | _per_class(arrays[0], classes)
        values |= {f"{MASKS}{name}": value for name, value in of_masks.items()}
    return Result(
        values=values,
        curves=_curves(precision, classes),
        images=len(truth["images"]),
        boxes=sum(not entry.get("iscrowd") for entry in truth["annotations"]),
        detections=len(detections),
        evaluator=f"{library} {version(library)}",
        max_dets=limits[-1],
    )


def _classes(truth: Mapping[str, Any]) -> dict[int, str]:
    """Category id → name, in the order of the evaluator's class axis (by id)."""
    return {entry["id"]: entry["name"] for entry in sorted(truth["categories"], key=lambda entry: entry["id"])}


def _accumulate(
    truth: Mapping[str, Any],
    detections: Sequence[Mapping[str, Any]],
    kind: str,
    library: str,
    limits: Sequence[int],
) -> tuple[Array, Array]:
    """Precision [T=10, R=101, K, A=4, M=limits] and recall [T, K, A, M]; -1 where there is no ground truth."""
    import numpy as np

    if library == "hotcoco" or not detections:  # without any, pycocotools raises an IndexError
        evaluation = _hotcoco(truth, detections, kind)
        evaluation.params.max_dets = list(limits)
    else:
        evaluation = _pycocotools(truth, detections, kind)
        evaluation.params.maxDets = list(limits)
    with contextlib.redirect_stdout(io.StringIO()):  # the output is data, and pycocotools prints its progress
        evaluation.evaluate()
        evaluation.accumulate()
    return np.asarray(evaluation.eval["precision"]), np.asarray(evaluation.eval["recall"])


def _hotcoco(truth: Mapping[str, Any], detections: Sequence[Mapping[str, Any]], kind: str) -> Any:
    from hotcoco import COCO, COCOeval

    known = COCO(dict(truth))
    return COCOeval(known, known.load_res(_given(detections, kind)), kind)


def _pycocotools(truth: Mapping[str, Any], detections: Sequence[Mapping[str, Any]], kind: str) -> Any:
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        hint = "pip install pycocotools"
        raise MissingError("The package pycocotools is not installed.", where="--evaluator", hint=hint) from error
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = {**truth, "annotations": [dict(entry) for entry in truth["annotations"]]}  # it adds to them
        known.createIndex()
        return COCOeval(known, known.loadRes(_given(detections, kind)), kind)


def _given(detections: Sequence[Mapping[str, Any]], kind: str) -> Any:
    """Detections without an `area` that somebody could believe; both libraries add to the entries that they get."""
    if kind == "bbox":
        return _rows(detections)
    keys = ("image_id", "category_id", "score", "segmentation")
    return [{key: entry[key] for key in keys} for entry in detections]


def _rows(detections: Sequence[Mapping[str, Any]]) -> Array:
    """[N, 7] as the COCO tools order it."""
    import numpy as np

    rows = np.empty((len(detections), 7), dtype=np.float64)
    for row, entry in zip(rows, detections, strict=True):
        row[:] = (entry["image_id"], *entry["bbox"], entry["score"], entry["category_id"])
    return rows


def _mean(numbers: Array) -> float | None:
    """The mean of what was measured; None when nothing was."""
    measured = numbers[numbers > -1]
    return float(measured.mean()) if measured.size else None


def _overall(precision: Array, recall: Array, limits: Sequence[int]) -> dict[str, float | None]:
    ap = precision[:, :, :, :, -1]
    values = {
        "AP": _mean(ap[:, :, :, 0]),
        "AP50": _mean(ap[IOU_50, :, :, 0]),
        "AP75": _mean(ap[IOU_75, :, :, 0]),
    }
    for place, size in enumerate(SIZES, start=1):
        values[f"AP_{size}"] = _mean(ap[:, :, :, place])
    for place, number in enumerate(limits):
        values[f"AR{number}"] = _mean(recall[:, :, 0, place])
    for place, size in enumerate(SIZES, start=1):
        values[f"AR_{size}"] = _mean(recall[:, :, place, -1])
    return values


def _per_class(precision: Array, classes: Sequence[str]) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for k, name in enumerate(classes):
        values[f"AP/{name}"] = _mean(precision[:, :, k, 0, -1])
        values[f"AP50/{name}"] = _mean(precision[IOU_50, :, k, 0, -1])
        for place, size in enumerate(SIZES, start=1):
            values[f"AP_{size}/{name}"] = _mean(precision[:, :, k, place, -1])
    return values


def _curves(precision: Array, classes: Sequence[str]) -> dict[str, Any]:
    """Precision at the 101 recall points for IoU 0.5: the mean over classes, and each class."""
    sizes = {"all": 0, "small": 1}
    return {
        "iou": 0.5,
        "recall": [point / 100 for point in range(101)],
        "precision": {name: _curves_of(precision[IOU_50, :, :, a, -1], classes) for name, a in sizes.items()},
    }


def _curves_of(curves: Array, classes: Sequence[str]) -> dict[str, list[float] | None]:
    """`curves` [R, K] → name: [R], None for a class without ground truth."""
    import numpy as np

    known = np.all(curves > -1, axis=0)
    points: dict[str, list[float] | None] = {
        ALL_CLASSES: curves[:, known].mean(axis=1).tolist() if known.any() else None
    }
    for k, name in enumerate(classes):
        points[name] = curves[:, k].tolist() if known[k] else None
    return points
