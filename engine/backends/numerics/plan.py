"""The plan half of measurements without training. Nothing heavy here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from detui.engine.backends.base import CheckContext, Problem, WeightFile
from detui.engine.backends.checking import error
from detui.engine.backends.numerics.schema import NumericsConfig
from detui.engine.backends.parity.checks import framework


class NumericsBackend:
    """Plans measurements of what PyTorch and Jittor compute."""

    name = "numerics"
    trainer = "detui.engine.backends.numerics.train:NumericsTrainer"
    config = NumericsConfig
    needs_data = False
    trains_on: Literal["images", "frames"] | None = None
    yolo_layout = False
    masks: bool | None = False
    resume_grain = "the round in progress is repeated"
    statistics = ()
    model_of_stage = ()
    distributes: Literal["torchrun", "itself"] | None = None
    compares_weights = False
    fixed_in_branches = ("model", "measure")

    def epochs_key(self) -> tuple[str, ...]:
        """Where the number of rounds stands."""
        return ("measure", "rounds")

    def weights(self, config: Mapping[str, Any]) -> list[WeightFile]:
        """None: weights are drawn from the seed."""
        return []

    def architecture(self, config: Mapping[str, Any]) -> dict[str, Any] | None:
        """None: nobody asks what a measurement would build."""
        return None

    def environ(self) -> dict[str, str]:
        """Nothing beside what the recipe and the environment's pins set."""
        return {}

    def check(self, context: CheckContext) -> list[Problem]:
        """A framework that the arm's environment does not have, and settings that would be of no effect."""
        model = context.config["model"]
        return [*framework(model["framework"], context.environment), *_settings(context)]


def _settings(context: CheckContext) -> Iterator[Problem]:
    model, measure = context.config["model"], context.config["measure"]
    for where, section in (("model.weights", model), ("model.backbone.weights", model["backbone"])):
        if section["weights"]:
            text = "Measurements begin with weights that are drawn from the seed: a file would not be read."
            yield error(where, text, f"--set {where}=null")
    if context.continues:
        text = "A measurement has one stage: it leaves no weights to go on from."
        yield error("stages", text, "measure.rounds")
    if measure["what"] == "step" and measure["shipped"] and model["framework"] == "torch":
        text = "PyTorch's own layers are what the model is computed with anyway."
        yield Problem(level="warning", text=text, where="measure.shipped")
