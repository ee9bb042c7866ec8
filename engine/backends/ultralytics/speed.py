"""Speed and size of a checkpoint of Ultralytics: its EMA weights in evaluation mode, on pictures of the run's data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detui.engine.backends.torch_support.speed import measure
from detui.engine.backends.ultralytics import settings
from detui.engine.backends.ultralytics.predict import Loaded, make_validator, prepared
from detui.engine.errors import UsageError
from detui.engine.run.spec import RunSpec


def speed(spec: RunSpec, checkpoint: Path, wanted: Mapping[str, Any], device: str) -> dict[str, Any]:
    """Measure a checkpoint.

    `wanted`: {"batch", "precision", "imgsz" (None: the training's), "fused"}. The pictures are the first of the
    validation split, letterboxed to a square: NMS takes as long as it has boxes to look at, and noise has others.
    Raises RunError for a checkpoint that cannot be read, UsageError for a size that is no multiple of the stride.
    """
    with prepared(spec, checkpoint, device) as (loaded, operators, folder):
        import torch

        torch.use_deterministic_algorithms(False)  # users deploy without it
        torch.backends.cudnn.deterministic = False
        size = int(wanted["imgsz"] or loaded.imgsz)
        validator = make_validator(spec, loaded, "val", folder, size)
        if size % validator.stride:
            near = max(validator.stride, round(size / validator.stride) * validator.stride)
            message = f"{size} is no multiple of the model's stride, {validator.stride}."
            raise UsageError(message, where="--imgsz", hint=f"--imgsz {near}")
        pictures = _pictures(validator, int(wanted["batch"]))
        if wanted["fused"]:
            loaded.model.fuse(verbose=False)
        found = measure(
            loaded.model,
            pictures,
            validator.postprocess,
            precision=str(wanted["precision"]),
            frozen=lambda name: _frozen(name, loaded),
        )
        return {
            **found,
            "model": spec.config["model"]["name"],
            "weights": "EMA",
            "fused": bool(wanted["fused"]),
            "postprocess": _postprocess(validator, operators),
        }


def _pictures(validator: Any, batch: int) -> Any:
    """The first pictures of the split as (batch, channels, size, size); they begin anew where there are too few."""
    import torch

    dataset = validator.dataloader.dataset
    chosen = [dataset[index % len(dataset)]["img"] for index in range(batch)]
    return validator.preprocess({"img": torch.stack(chosen)})["img"]


def _frozen(name: str, loaded: Loaded) -> bool:
    """Whether the training kept a parameter as it was. The EMA module does not say: nothing of it is trained."""
    return ".dfl" in name or any(name.startswith(f"model.{layer}.") for layer in range(loaded.freeze))


def _postprocess(validator: Any, operators: str) -> dict[str, Any]:
    limits = {"confidence": settings.CONFIDENCE, "max_det": validator.args.max_det}
    if type(validator).__name__ == "RTDETRValidator" or validator.end2end:
        return {"kind": "threshold, no NMS", **limits}
    library = "torchvision" if operators == "native" else operators
    return {"kind": f"NMS ({library})", "nms_iou": settings.IOU, **limits}
