"""The plan half for MMDetection. Nothing heavy here: the schema is in schema.py, what can be checked in checks.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from detui.engine.backends.base import CheckContext, Problem, WeightFile, named_weights
from detui.engine.backends.mmdet.checks import problems
from detui.engine.backends.mmdet.schema import MmdetConfig

_SIZES = ("name", "channels", "hidden", "mask_layers", "mask_channels")
"""Fields of the model that its parameters depend on, beside the depth of its backbone."""
_COST = ("proposals_before", "proposals", "detections")
"""And those that its FLOPs depend on."""


class MmdetBackend:
    """Plans runs of Mask R-CNN in MMDetection."""

    name = "mmdet"
    trainer = "detui.engine.backends.mmdet.train:MmdetTrainer"
    config = MmdetConfig
    needs_data = True
    trains_on: Literal["images", "frames"] | None = "images"
    yolo_layout = False
    masks: bool | None = True
    resume_grain = "nothing is lost but the step in progress"
    statistics = ()
    model_of_stage = ("model.backbone.frozen_stages", "model.backbone.norm_eval", "model.start")
    distributes: Literal["torchrun", "itself"] | None = "torchrun"
    compares_weights = True
    fixed_in_branches = ("model", "train.batch")

    def epochs_key(self) -> tuple[str, ...]:
        """Where the number of epochs stands."""
        return ("train", "epochs")

    def weights(self, config: Mapping[str, Any]) -> list[WeightFile]:
        """The checkpoint of the whole detector, or the file of its backbone."""
        return named_weights(config, ("model",), ("model", "backbone"))

    def architecture(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Sizes of the detector and of its pictures."""
        model = config["model"]
        sizes = {name: model[name] for name in (*_SIZES, *_COST)}
        sizes["backbone"] = {"depth": model["backbone"]["depth"]}
        return {"model": sizes, "train": {"image_size": config["train"]["image_size"]}}

    def environ(self) -> dict[str, str]:
        """Nothing beside what the recipe and the environment's pins set."""
        return {}

    def check(self, context: CheckContext) -> list[Problem]:
        """Contradictions between fields, and what the device cannot do."""
        return problems(context)
