"""What `begin` says of the detector that was built, and of its data. Needs the mmdet environment."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

from detui.engine.backends.mmdet import building
from detui.engine.backends.mmdet.state import unwrapped
from detui.engine.backends.torch_support.generators import random_state_kept
from detui.engine.backends.torch_support.speed import size
from detui.engine.errors import RunError


def model_facts(runner: Any, config: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """What `made_of` says, the number of classes, and GFLOPs, counted as `detui show --models` counts them."""
    import torch

    model = unwrapped(runner.model)
    training, place = model.training, next(model.parameters()).device
    picture = torch.zeros(1, 3, *building.padded(config["train"]["image_size"]), device=place)
    with random_state_kept():
        counted = size(building.whole_pass(model, config["model"]), picture)
    model.train(training)
    told = building.made_of(model, config["model"])
    flops = {"gflops": round(counted["gflops"], 3), "flops_convention": counted["flops_convention"]}
    return {**told, **flops, "classes": len(data["classes"])}


def packages() -> dict[str, str]:
    """Python, and the packages that decide what is trained."""
    return {"python": platform.python_version(), **building.packages()}


def predictions(runner: Any) -> dict[str, Any]:
    """How predictions are made, as the detector has it."""
    settings = unwrapped(runner.model).roi_head.test_cfg
    return {"confidence": settings.score_thr, "nms_iou": settings.nms.iou_threshold, "max_det": settings.max_per_img,
            "precision": "fp32"}  # fmt: skip


def check_pictures(dataset: Any, data: Mapping[str, Any], role: str) -> None:
    """Raise RunError when MMDetection left out pictures: unseen validation pictures would score as misses.

    Likewise for objects without a mask, which it would end with a KeyError at.
    """
    wanted = ((data.get("splits") or {}).get(role) or {}).get("images")
    if wanted is not None and len(dataset) != wanted:
        message = f"MMDetection takes {len(dataset)} of the {wanted} {role} pictures."
        raise RunError(message, where=f"data.{role}", hint="detui data check NAME --decode finds damaged images")
    for index in range(len(dataset)):
        told = dataset.get_data_info(index)
        if any("mask" not in instance for instance in told["instances"]):
            message = f"The data has objects without a mask, the first in the {role} picture {told['img_id']}."
            raise RunError(message, where="data", hint="name data that has masks: voc2012, or scenes with masks: true")
