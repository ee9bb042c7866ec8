"""The metric of nuScenes' detection task: mAP, NDS and five errors, over all ten classes and class by class.

Two evaluators compute it, and the result says which did: detui's own (nuscenes_metric.py, numpy alone), and
nuscenes-devkit in an environment of its own (nuscenes_devkit.py), whose numbers compare with published ones by name.

A class of which nothing is annotated counts as AP 0 and errors of 1 in the means, as the devkit has it. So what
perfect detections would score on the same data stands beside them: `mAP_ceiling`, `NDS_ceiling`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from detui.engine.data.frame import NUSCENES_CLASSES
from detui.engine.data.frame_truth import METRIC
from detui.engine.evaluate.coco import ALL_CLASSES, Result
from detui.engine.evaluate.nuscenes_boxes import MOST, Truth, read_detections, read_truth
from detui.engine.evaluate.nuscenes_metric import DISTANCES, ERRORS, NOT_JUDGED, POINTS, Scores, measure

OWN, DEVKIT = "detui", "nuscenes-devkit"
LIBRARIES = (OWN, DEVKIT)
"""What may compute; the second is the reference, in the environment `nuscenes`."""
CURVES = (0.5, 2.0)
"""Metres: of which distances the curves of precision and recall are kept."""


def evaluate_nuscenes(
    truth: Mapping[str, Any],
    detections: Any,
    *,
    truth_name: str = "ground truth",
    detections_name: str = "predictions",
    library: str = OWN,
) -> Result:
    """Score detections against a ground truth, both as nuscenes_boxes.py describes their files.

    Values: `mAP`, `NDS`, `mATE` (m), `mASE`, `mAOE` (rad), `mAVE` (m/s), `mAAE`, the ceilings, and `mAP/<class>`,
    `mATE/<class>` …; None where nothing is annotated for it. `boxes` and `detections` are those that are judged.
    Raises DataError for wrong content, MissingError where the environment of the devkit is absent.
    """
    judged = read_truth(truth, truth_name)
    found = read_detections(detections, judged, detections_name)
    sides = [found, judged.perfect()]
    if library == DEVKIT:
        from detui.engine.evaluate.nuscenes_devkit import measure_officially

        (scores, ceiling), release = measure_officially(judged, sides)
        evaluator = f"{DEVKIT} {release}"
    else:
        scores, ceiling = (measure(judged.boxes, side) for side in sides)
        evaluator = f"nuScenes metric of detui {version('detui')}"
    classes = [str(name) for name in truth["classes"]]
    return Result(
        values=_values(scores, ceiling, judged, classes),
        curves=_curves(scores, judged, classes),
        images=len(judged.tokens),
        boxes=len(judged.boxes),
        detections=len(found),
        evaluator=evaluator,
        max_dets=MOST,
        metric=METRIC,
    )


def _values(scores: Scores, ceiling: Scores, truth: Truth, classes: list[str]) -> dict[str, float | None]:
    known = {name: _known(truth, name) for name in NUSCENES_CLASSES}
    some = any(known.values())
    values: dict[str, float | None] = {"mAP": scores.mean_ap if some else None, "NDS": scores.nds if some else None}
    for place, error in enumerate(ERRORS):
        judged = any(error in one for one in known.values())
        values[f"m{error}"] = float(scores.mean_errors[place]) if judged else None
    values |= {"mAP_ceiling": ceiling.mean_ap if some else None, "NDS_ceiling": ceiling.nds if some else None}
    for name in classes:
        row = NUSCENES_CLASSES.index(name)
        values[f"mAP/{name}"] = float(scores.ap[row].mean()) if known[name] else None
        for place, error in enumerate(ERRORS):
            values[f"m{error}/{name}"] = float(scores.errors[row, place]) if error in known[name] else None
    return values


def _known(truth: Truth, name: str) -> set[str]:
    """The errors that a class has on this ground truth; none where none of it is judged."""
    boxes = truth.boxes.where(truth.boxes.label == NUSCENES_CLASSES.index(name))
    if not len(boxes):
        return set()
    unknown = {"AVE"} if np.isnan(boxes.box[:, 7:]).any(axis=1).all() else set()
    unknown |= {"AAE"} if (boxes.attribute == "").all() else set()
    return set(ERRORS) - unknown - set(NOT_JUDGED.get(name, ()))


def _curves(scores: Scores, truth: Truth, classes: list[str]) -> dict[str, Any]:
    """Precision at the 101 recall points by distance: the mean over classes with ground truth, and each of them."""
    there = {name: NUSCENES_CLASSES.index(name) for name in classes
             if (truth.boxes.label == NUSCENES_CLASSES.index(name)).any()}  # fmt: skip
    precision: dict[str, dict[str, list[float] | None]] = {}
    for distance in CURVES:
        curves = scores.precision[:, DISTANCES.index(distance)]
        mean = curves[list(there.values())].mean(axis=0).tolist() if there else None
        single = {name: curves[there[name]].tolist() if name in there else None for name in classes}
        precision[f"{distance:g} m"] = {ALL_CLASSES: mean, **single}
    return {"distances": list(CURVES), "recall": [point / (POINTS - 1) for point in range(POINTS)],
            "precision": precision}  # fmt: skip
