"""The plan half of the RT-DETR that two frameworks train. Nothing heavy here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from detui.engine.backends.base import CheckContext, Problem, WeightFile, named_weights
from detui.engine.backends.parity.checks import problems
from detui.engine.backends.parity.schema import ParityConfig

_NO_PARAMETER = ("backbone", "weights", "sha256")
"""Fields of the model that say where weights come from, beside the backbone, which is looked at by itself."""


class ParityBackend:
    """Plans trainings of one RT-DETR in PyTorch and in Jittor."""

    name = "parity"
    trainer = "detui.engine.backends.parity.train:ParityTrainer"
    config = ParityConfig
    needs_data = True
    trains_on: Literal["images", "frames"] | None = "images"
    yolo_layout = False
    masks: bool | None = False
    resume_grain = "nothing is lost but the step in progress"
    statistics = ()
    model_of_stage = ()
    distributes: Literal["torchrun", "itself"] | None = None
    compares_weights = False
    fixed_in_branches = ("model", "train.batch", "train.jitter")

    def epochs_key(self) -> tuple[str, ...]:
        """Where the number of epochs stands."""
        return ("train", "epochs")

    def weights(self, config: Mapping[str, Any]) -> list[WeightFile]:
        """The checkpoint of the whole detector, or the file of its backbone."""
        return named_weights(config, ("model",), ("model", "backbone"))

    def architecture(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Framework and sizes of the detector, and the size of its pictures, which FLOPs depend on."""
        model = config["model"]
        sizes = {name: value for name, value in model.items() if name not in _NO_PARAMETER}
        backbone = {name: value for name, value in model["backbone"].items() if name not in _NO_PARAMETER}
        pictures = {"image_size": config["train"]["image_size"]}
        return {"model": {**sizes, "backbone": backbone}, "train": pictures}

    def environ(self) -> dict[str, str]:
        """Nothing beside what the recipe and the environment's pins set."""
        return {}

    def check(self, context: CheckContext) -> list[Problem]:
        """Contradictions between fields, and a framework that the arm's environment does not have."""
        return problems(context)
