"""The plan half of detui's own detectors in PyTorch. Nothing heavy here.

The one detector so far fuses LiDAR and cameras (`fusion/`). The sections of its recipes are in `schema.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from detui.engine.backends.base import CheckContext, Problem, WeightFile, named_weights
from detui.engine.backends.torch.checks import problems
from detui.engine.backends.torch.names import STATISTICS
from detui.engine.backends.torch.schema import TorchConfig

_SIZES = ("name", "channels", "bev_grid", "ray_points", "queries", "layers", "heads", "hidden")
"""Fields of the model that its parameters depend on."""

FIXED = (*_SIZES, "space", "camera", "weights", "sha256", "aqr.weights", "aqr.lidar", "aqr.camera")
"""Fields of the model that a checkpoint holds. How AQR's weights are rendered and applied is no part of it."""


class TorchBackend:
    """Plans runs of detui's own detectors."""

    name = "torch"
    trainer = "detui.engine.backends.torch.train:TorchTrainer"
    config = TorchConfig
    needs_data = True
    trains_on: Literal["images", "frames"] | None = "frames"
    yolo_layout = False
    masks: bool | None = False
    resume_grain = "nothing is lost but the step in progress"
    statistics = STATISTICS
    model_of_stage = ()
    distributes: Literal["torchrun", "itself"] | None = "torchrun"
    compares_weights = False
    fixed_in_branches = (*(f"model.{name}" for name in FIXED), "train.batch")

    def epochs_key(self) -> tuple[str, ...]:
        """Where the number of epochs stands."""
        return ("train", "epochs")

    def weights(self, config: Mapping[str, Any]) -> list[WeightFile]:
        """The checkpoint to start from, and the file of the cameras' backbone, if any."""
        return named_weights(config, ("model",), ("model", "camera"))

    def architecture(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Sizes of the detector and of its pictures, and the kind of AQR's weights; a renderer has no parameters.

        `space` is none of it: it moves what the maps show, and adds nothing.
        """
        model = config["model"]
        sizes = {name: model[name] for name in _SIZES}
        camera, aqr = {"backbone": model["camera"]["backbone"]}, {"weights": model["aqr"]["weights"]}
        pictures = {name: config["train"][name] for name in ("image_scale", "crop_top")}
        return {"model": {**sizes, "camera": camera, "aqr": aqr}, "train": pictures}

    def environ(self) -> dict[str, str]:
        """Nothing beside what the recipe sets."""
        return {}

    def check(self, context: CheckContext) -> list[Problem]:
        """Contradictions between fields, and packages that are absent."""
        return problems(context)
