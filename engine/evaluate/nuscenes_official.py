"""Runs in the environment `nuscenes`: scores boxes with nuscenes-devkit. Standard library, numpy and the devkit alone.

    python -I nuscenes_official.py < REQUEST > ANSWER

Both are JSON. The request has `tokens`, the `truth`, and the `sides` to score against it; each is {"frame": places in
tokens, "name", "box": the columns x, y, z, w, l, h, yaw, vx, vy in the world's axes, "attribute", "score"}. Which boxes
are judged was decided before. The tables of the data set are not needed: the evaluation gets its boxes by hand.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import signal
import sys
from importlib.metadata import version
from typing import Any

_PR_SET_PDEATHSIG = 1
ERRORS = ("trans_err", "scale_err", "orient_err", "vel_err", "attr_err")


def main() -> None:
    """Read the request, write the answer."""
    # Whoever asked may be killed, as a run's evaluation is on request: nobody reads the answer then.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries print while they are imported
    asked = json.load(sys.stdin.buffer)
    truth = _boxes(asked["tokens"], asked["truth"])
    sides = [_score(truth, _boxes(asked["tokens"], side)) for side in asked["sides"]]
    with answer:
        json.dump({"version": version("nuscenes-devkit"), "sides": sides}, answer)


def _boxes(tokens: list[str], columns: dict[str, list[Any]]) -> Any:
    """The boxes of every frame, as the devkit wants them; frames without any are there, too."""
    from nuscenes.eval.common.data_classes import EvalBoxes
    from nuscenes.eval.detection.data_classes import DetectionBox

    by_frame: list[list[Any]] = [[] for _ in tokens]
    names = ("frame", "name", "box", "attribute", "score")
    for place, name, box, attribute, score in zip(*(columns[key] for key in names)):  # noqa: B905
        x, y, z, width, length, height, yaw, *velocity = box
        by_frame[place].append(
            DetectionBox(
                sample_token=tokens[place],
                translation=(x, y, z),
                size=(width, length, height),
                rotation=(math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)),
                velocity=tuple(math.nan if v is None else v for v in velocity),
                num_pts=1,
                detection_name=name,
                detection_score=float(score),
                attribute_name=attribute,
            )
        )
    found = EvalBoxes()
    for token, some in zip(tokens, by_frame):  # noqa: B905
        found.add_boxes(token, some)
    return found


def _score(truth: Any, detections: Any) -> dict[str, Any]:
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.detection.evaluate import DetectionEval

    config = config_factory("detection_cvpr_2019")
    evaluation = DetectionEval.__new__(DetectionEval)  # its constructor reads the data set's tables
    evaluation.cfg, evaluation.gt_boxes, evaluation.pred_boxes, evaluation.verbose = config, truth, detections, False
    metrics, curves = evaluation.evaluate()
    by_class = {}
    for name in config.class_names:
        single = [metrics.get_label_tp(name, error) for error in ERRORS]
        by_class[name] = {
            "ap": [float(metrics.get_label_ap(name, distance)) for distance in config.dist_ths],
            "errors": [None if math.isnan(value) else float(value) for value in single],
            "precision": [curves[(name, distance)].precision.tolist() for distance in config.dist_ths],
        }
    means = [float(metrics.tp_errors[error]) for error in ERRORS]
    return {"mean_ap": float(metrics.mean_ap), "nds": float(metrics.nd_score), "mean_errors": means,
            "distances": list(config.dist_ths), "classes": by_class}  # fmt: skip


if __name__ == "__main__":
    main()
