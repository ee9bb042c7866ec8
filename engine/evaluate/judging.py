"""Which metric judges: the one that the ground truth calls for, unless somebody asks for another by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from detui.engine.errors import RecipeError, UsageError
from detui.engine.evaluate.coco import LIBRARIES as COCO_LIBRARIES
from detui.engine.evaluate.coco import Result, evaluate
from detui.engine.evaluate.regions import knows_regions
from detui.engine.evaluate.tables import of_masks

METRICS = ("coco", "visdrone", "nuscenes")
LIBRARIES = {"coco": COCO_LIBRARIES, "visdrone": COCO_LIBRARIES, "nuscenes": ("detui", "nuscenes-devkit")}
"""What may compute each metric; the first does unless somebody asks for another."""


def metric_of(truth: Any) -> str:
    """What a ground truth is judged by: "nuscenes" where it says so, "visdrone" where it knows ignore regions, else
    "coco".
    """
    if isinstance(truth, Mapping) and truth.get("metric") == "nuscenes":
        return "nuscenes"
    return "visdrone" if isinstance(truth, Mapping) and knows_regions(truth) else "coco"


def judge(
    truth: Mapping[str, Any],
    detections: Any,
    *,
    metric: str | None = None,
    truth_name: str = "ground truth",
    detections_name: str = "predictions",
    library: str | None = None,
    masks: bool | None = None,
) -> Result:
    """Score detections by the metric of the ground truth: COCO results in original pixels, or boxes of frames.

    `metric`: one of METRICS instead. `library`: one of the metric's LIBRARIES instead of the first. `masks`: whether
    the detections carry masks, where that is known of what made them. Raises UsageError for one that does not fit, and
    what the metric's own function raises.
    """
    asked = metric or metric_of(truth)
    known = LIBRARIES[asked]
    if library is not None and library not in known:
        text = f"{library} does not compute the metric {asked}."
        raise UsageError(text, where="evaluator", hint=f"one of {', '.join(known)}")
    by: Callable[..., Result] = evaluate
    if asked == "visdrone":
        from detui.engine.evaluate.visdrone import evaluate_visdrone as by
    elif asked == "nuscenes":
        from detui.engine.evaluate.nuscenes import evaluate_nuscenes as by
    names = {"truth_name": truth_name, "detections_name": detections_name}
    more = {} if asked == "nuscenes" else {"masks": masks}
    return by(truth, detections, library=library or known[0], **names, **more)


def unfit_for_masks(rule: Mapping[str, Any], backend: bool | None, data: bool | None) -> tuple[str, str, str] | None:
    """Why masks cannot be judged as a recipe has it: text, field and next step; None where nothing speaks against it.

    `backend`: whether its detections carry masks; `data`: whether its objects have them; None for what nobody knows.
    """
    metric = str(rule.get("metric", "val/AP"))
    wanted = rule.get("rule") == "best" and of_masks(metric)
    have = "choose data whose objects all have masks; generated scenes draw them: `data: {options: {masks: true}}`"
    if wanted and backend is False:
        text = f"The backend predicts no masks, so {metric} would never choose a checkpoint."
        return text, "checkpoint_rule", "checkpoint_rule: {rule: best, metric: val/AP}"
    if wanted and data is False:
        text = f"Not every object of the data has a mask, so {metric} would never choose a checkpoint."
        return text, "checkpoint_rule", have
    if backend and data is False:
        return "The backend trains on masks, and not every object of the data has one.", "data", have
    return None


def check_judging(data: Mapping[str, Any] | None, rule: Mapping[str, Any], masks: bool | None = None) -> None:
    """Raise RecipeError where prepared data cannot be judged as a recipe has it.

    `masks`: whether the backend's detections carry them. A rule by a metric that the data is not judged by would choose
    no checkpoint, and the record would stay empty; an evaluator that does not compute the data's metric would compute
    nothing.
    """
    judged, metric = str((data or {}).get("metric", "coco")), str(rule.get("metric", "val/AP"))
    if data and (found := unfit_for_masks(rule, masks, bool(data.get("masks")))):
        raise RecipeError(found[0], where=found[1], hint=found[2])
    nuscenes, library = judged == "nuscenes", (data or {}).get("evaluator")
    if rule.get("rule") == "best" and (metric.startswith("val/AP") if nuscenes else metric in ("val/NDS", "val/mAP")):
        text = f"The data is not judged by {metric}, so the rule would never choose a checkpoint."
        right = "val/NDS" if nuscenes else "val/AP"
        raise RecipeError(text, where="checkpoint_rule", hint=f"checkpoint_rule: {{rule: best, metric: {right}}}")
    if library is not None and library not in LIBRARIES[judged]:
        text = f"{library} does not compute the metric {judged}, which the data is judged by."
        raise RecipeError(text, where="data.evaluator", hint="leave it out: it is for data of nuScenes' kind")
