"""Which metric judges: the one that the ground truth calls for, unless somebody asks for another by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from detui.engine.evaluate.coco import Result, evaluate
from detui.engine.evaluate.regions import knows_regions

METRICS = ("coco", "visdrone")


def metric_of(truth: Any) -> str:
    """What a ground truth is judged by: "visdrone" where it knows ignore regions, "coco" where not."""
    return "visdrone" if isinstance(truth, Mapping) and knows_regions(truth) else "coco"


def judge(
    truth: Mapping[str, Any],
    detections: Sequence[Mapping[str, Any]],
    *,
    metric: str | None = None,
    truth_name: str = "ground truth",
    detections_name: str = "predictions",
    library: str = "hotcoco",
) -> Result:
    """Score COCO results against COCO ground truth, both in original pixels, by the metric of the ground truth.

    `metric`: one of METRICS instead. Raises what `coco.evaluate` and `visdrone.evaluate_visdrone` raise.
    """
    by: Callable[..., Result] = evaluate
    if (metric or metric_of(truth)) == "visdrone":
        from detui.engine.evaluate.visdrone import evaluate_visdrone as by
    return by(truth, detections, truth_name=truth_name, detections_name=detections_name, library=library)
