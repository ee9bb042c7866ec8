"""What is wrong with a configuration before anything starts. Nothing heavy here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from detui.engine.backends.base import CheckContext, Problem
from detui.engine.backends.checking import error, few_steps, unfinished_warm_up, warning
from detui.engine.backends.mmdet.schema import Start

WHOLE_BACKBONE = 4
"""`frozen_stages` that leaves nothing of the backbone to learn."""


def problems(context: CheckContext) -> list[Problem]:
    """Contradictions between fields, and what the device cannot do."""
    model, train = context.config["model"], context.config["train"]
    found = [*_amp(train, context.device), *_backbone(context), *_start(context)]
    found += _normalisation(model, train, context.devices)
    return [*found, *_layers(model, train), *_schedule(train, context.train_images)]


def _amp(train: Mapping[str, Any], device: str) -> Iterator[Problem]:
    if device == "cpu" and train["amp"]:
        text = f"{train['amp']} mixed precision needs a GPU, and this run is planned on the CPU."
        yield error("train.amp", text, "--set train.amp=false")


def _given(context: CheckContext) -> bool:
    """Whether the backbone has weights of somebody: a file's, or those of the stage before."""
    model = context.config["model"]
    return bool(context.continues or model["weights"] or model["backbone"]["weights"])


def _backbone(context: CheckContext) -> Iterator[Problem]:
    """A backbone that starts at random, and is kept from learning."""
    backbone = context.config["model"]["backbone"]
    if _given(context):
        return
    if backbone["frozen_stages"] >= 0:
        text = "Nothing is read into the backbone, and its first layers would stay random for ever."
        yield error("model.backbone.frozen_stages", text, "--set model.backbone.frozen_stages=-1")
    if backbone["norm_eval"]:
        text = "Nothing is read into the backbone, and its BatchNorm would never see a statistic of a picture."
        yield error("model.backbone.norm_eval", text, "--set model.backbone.norm_eval=false")


def _start(context: CheckContext) -> Iterator[Problem]:
    """What to take of weights that there are none of."""
    model = context.config["model"]
    asked = {name: value for name, value in model["start"].items() if value != Start.model_fields[name].default}
    if asked and not (context.continues or context.followed or model["weights"]):
        text = f"There are no weights of a whole detector, and so nobody reads {', '.join(asked)}."
        yield warning("model.start", text, "set model.weights, or leave the section out of this arm")
    if model["start"]["take"] == "backbone" and {"anew", "box_std", "mask_std"} & set(asked):
        text = "Of the weights the backbone alone is taken, so that all heads start at random anyway."
        yield warning("model.start.anew", text, "leave it out of this arm")


def _normalisation(model: Mapping[str, Any], train: Mapping[str, Any], devices: int) -> Iterator[Problem]:
    if not model["backbone"]["norm_eval"] and train["batch"] == devices:
        text = "BatchNorm learns its statistics from a batch of one picture: they are too noisy to use."
        text = text if devices == 1 else f"{text} (Each of {devices} devices has its own.)"
        yield warning("train.batch", text, f"--set train.batch={2 * devices}, or --set model.backbone.norm_eval=true")


def _layers(model: Mapping[str, Any], train: Mapping[str, Any]) -> Iterator[Problem]:
    frozen = model["backbone"]["frozen_stages"] == WHOLE_BACKBONE
    if frozen and train["layers"]["backbone"] != 1.0:
        text = "The whole backbone is frozen, and so has no learning rate."
        yield warning("train.layers.backbone", text, "leave it out of this arm")


def _schedule(train: Mapping[str, Any], images: int | None) -> Iterator[Problem]:
    if late := [epoch for epoch in train["drops"] if epoch >= train["epochs"]]:
        text = f"The rate would drop after epoch {late[0]}, and the training has {train['epochs']}."
        kept = ",".join(str(epoch) for epoch in train["drops"] if epoch not in late)
        yield warning("train.drops", text, f"--set train.drops=[{kept}]")
    if not images:
        return
    steps = train["epochs"] * -(-images // train["batch"])
    never = list(unfinished_warm_up(train, steps))
    yield from never or few_steps(train, steps)
