"""What is wrong with an arm before anything starts: contradictions between fields, and what the device cannot do."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any, Literal

from detui.engine.backends.base import CheckContext, Problem
from detui.engine.backends.checking import error
from detui.engine.backends.ultralytics.architectures import (
    ANY,
    BUILT,
    RESIZED,
    SHIPPED,
    is_built,
    is_file,
    is_rtdetr,
    stem,
)
from detui.engine.backends.ultralytics.batches import smallest_batch
from detui.engine.backends.ultralytics.plan import LossGains, Model

STRIDE = 32


def check(context: CheckContext) -> list[Problem]:
    """All problems of one arm in one stage."""
    config = context.config
    found = [*_installed(config["model"]["name"]), *_model(config), *_backbone(config["model"])]
    found += [*_decoder(config["model"]), *_device(config, context.device)]
    found += [*_by_size(config["loss"]["by_size"]), *_inputs(config, context.depth)]
    found += [*_warm_up(config["train"]), *_batches(config, context.train_images, context.devices)]
    return [*found, *_updates(config["train"], context.train_images)]


def _installed(model: str) -> list[Problem]:
    needed = ("ultralytics", "torch", *(("timm",) if is_built(model) else ()))
    absent = [name for name in needed if importlib.util.find_spec(name) is None]
    if not absent:
        return []
    text = f"The package {absent[0]} is not installed in this environment."
    return [Problem(level="error", text=text, hint="pip install -c constraints.txt 'detui[ultralytics]'", missing=True)]


def _model(config: Mapping[str, Any]) -> list[Problem]:
    model, found = config["model"], []
    name = model["name"]
    if not is_file(name) and not is_built(name) and not SHIPPED.fullmatch(name):
        text = f"{name!r} is no architecture that Ultralytics ships, and none that is built on timm."
        hint = f"yolo12n, yolo11s, rtdetr-l, {', '.join(BUILT)}, or a path to a model YAML"
        found.append(error("model.name", text, hint))
    if model["weights"] and not model["sha256"]:
        text = f"{model['weights']} is loaded by executing its pickle, and nothing says which file it must be."
        found.append(error("model.sha256", text, "set model.sha256 to the output of sha256sum for a file you trust"))
    if is_rtdetr(name) and config["loss"] != LossGains().model_dump():
        found.append(error("loss", "RT-DETR's criterion does not read these gains.", "leave the section out"))
    return found


def _backbone(model: Mapping[str, Any]) -> list[Problem]:
    """A backbone that the model's name does not leave open, or does not name; a file that says nothing or too much."""
    name, backbone, found = stem(model["name"]), model.get("backbone") or {}, []
    if not is_built(name):
        text = f"The backbone of {name} is its own; those of timm are for {', '.join(BUILT)}."
        return [error("model.backbone", text, f"--set model.name={ANY}, or leave the section out")] if backbone else []
    own, wanted = BUILT[name], backbone.get("name")
    if own is None and not wanted:
        text = f"{ANY} is RT-DETR on whichever backbone of timm is named, and none is."
        found.append(error("model.backbone.name", text, "--set model.backbone.name=mobilenetv4_conv_small_050"))
    elif own is not None and wanted not in (None, own):
        text = f"{name} has the backbone {own}, and {wanted} is named."
        found.append(error("model.backbone.name", text, f"--set model.name={ANY}"))
    file = backbone.get("weights")
    if file and model["weights"]:
        text = "The weights of the whole detector (model.weights) would replace those of its backbone."
        found.append(error("model.backbone.weights", text, "name one of the two files"))
    if backbone.get("sha256") and not file:
        text = "There is a SHA-256 of a backbone's weights, and no file is named."
        found.append(error("model.backbone.sha256", text, "set model.backbone.weights, or leave the sum out"))
    return found


def _decoder(model: Mapping[str, Any]) -> list[Problem]:
    """Sizes for a model that has none to change, and heads that do not share the channels evenly."""
    decoder = model.get("decoder")
    if not decoder:
        return []
    if stem(model["name"]) not in RESIZED:
        text = f"The decoder of {model['name']} is its own; sizes can be given for {', '.join(RESIZED)}."
        return [error("model.decoder", text, "leave the section out")]
    if decoder["hidden"] % decoder["heads"]:
        text = f"{decoder['heads']} heads cannot share {decoder['hidden']} channels evenly."
        return [error("model.decoder.heads", text, "--set model.decoder.heads=4")]
    return []


def _inputs(config: Mapping[str, Any], depth: bool) -> list[Problem]:
    """RGB-D that the data does not have, and what would be dropped silently with four channels, or with three."""
    model, found = config["model"], []
    if model["inputs"] == "rgb":
        if model["depth_filter"] != Model.model_fields["depth_filter"].default:
            text = "The network takes RGB alone, which has no depth filter."
            found.append(Problem(level="warning", text=text, where="model.depth_filter",
                                 hint="set it in the arms that train on RGB-D"))  # fmt: skip
        return found
    if not depth:
        text = "RGB-D needs depth maps, and the recipe does not ask for its data's."
        hint = "--set data.depth=true for data that has them, or --set model.inputs=rgb"
        found.append(error("model.inputs", text, hint))
    if config["augment"]["bgr"]:
        text = "Ultralytics swaps the colours of pictures of three channels alone, and RGB-D has four."
        found.append(error("augment.bgr", text, "--set augment.bgr=0.0"))
    if config["train"]["freeze"]:
        text = "The first layer stays as it is, and so does its depth filter as it starts."
        found.append(Problem(level="warning", text=text, where="train.freeze", hint="--set train.freeze=0"))
    return found


def _device(config: Mapping[str, Any], device: str) -> list[Problem]:
    train, found = config["train"], []
    if device == "cpu" and train["amp"]:
        text = f"{train['amp']} mixed precision needs a GPU, and this run is planned on the CPU."
        found.append(error("train.amp", text, "--set train.amp=false"))
    if device == "cuda" and train["deterministic"] and is_rtdetr(config["model"]["name"]):
        text = "grid_sample, which RT-DETR uses, has no deterministic backward on a GPU."
        found.append(error("train.deterministic", text, "--set train.deterministic=false"))
    if train["amp"] == "fp16" and is_rtdetr(config["model"]["name"]):
        found.append(Problem(level="warning", text="RT-DETR in fp16 is a known source of NaN.", where="train.amp",
                             hint="--set train.amp=bf16"))  # fmt: skip
    if train["patience"] and not train["val"]:
        text = "Early stopping looks at the framework's validation of every epoch, and that is switched off."
        found.append(error("train.patience", text, "--set train.val=true, or --set train.patience=0"))
    if train["imgsz"] % STRIDE:
        near = max(STRIDE, round(train["imgsz"] / STRIDE) * STRIDE)
        text = f"{train['imgsz']} is no multiple of {STRIDE}; Ultralytics would silently use another size."
        found.append(error("train.imgsz", text, f"--set train.imgsz={near}"))
    return found


def _warm_up(train: Mapping[str, Any]) -> list[Problem]:
    """Ultralytics leaves at least the last epoch to regular training, and so shortens a longer warm-up."""
    if train["warmup_epochs"] <= max(train["epochs"] - 1, 0):
        return []
    text = f"A warm-up of {train['warmup_epochs']:g} epochs in a training of {train['epochs']} would be cut short."
    return [error("train.warmup_epochs", text, f"--set train.warmup_epochs={max(train['epochs'] - 1, 0)}")]


def _batches(config: Mapping[str, Any], images: int | None, devices: int) -> list[Problem]:
    """RT-DETR's and BatchNorm's trouble with a batch of one image, on one of the devices."""
    batch = config["train"]["batch"]
    # A batch that the devices cannot share evenly is refused by itself.
    if batch % devices or smallest_batch(batch, images, devices) > 1:
        return []
    of = f" on each of {devices} devices" if devices > 1 else ""
    text = (
        f"A batch of one image{of}"
        if batch == devices
        else f"{images} images in batches of {batch} leave a last batch of one{of and ' for a device'}, which"
    )
    text += " gives BatchNorm wrong statistics (and, for RT-DETR on a CPU, wrong gradients)."
    level: Literal["error", "warning"] = "error" if is_rtdetr(config["model"]["name"]) else "warning"
    hint = f"--set train.batch={_larger(batch, images, devices)}"
    return [Problem(level=level, text=text, where="train.batch", hint=hint)]


def _larger(batch: int, images: int | None, devices: int) -> int:
    """The next batch that leaves no device one image. One of all images, or of the most that can be shared, does."""
    most = max(images or 0, 2 * devices) + devices
    larger = range((batch // devices + 1) * devices, most + 1, devices)
    return next((one for one in larger if smallest_batch(one, images, devices) > 1), 2 * devices)


def _by_size(wanted: Mapping[str, Any] | None) -> list[Problem]:
    """Weights that change how large the loss is, and not only how it is shared out."""
    if not wanted or wanted["normalise"] == "mean" or set(wanted["weights"].values()) == {1.0}:
        return []
    text = "Without normalisation the weights change the scale of the loss, which acts like another learning rate."
    hint = "loss.by_size.normalise=mean weighs by size alone"
    return [Problem(level="warning", text=text, where="loss.by_size.normalise", hint=hint)]


FEW_UPDATES = 30
"""Optimizer steps below which arms may end alike whatever is asked of them."""


def _updates(train: Mapping[str, Any], images: int | None) -> list[Problem]:
    """Where gradients are accumulated over more batches than there are, the optimizer hardly ever steps."""
    if not images:
        return []
    accumulate = max(round(train["nbs"] / train["batch"]), 1)
    updates = train["epochs"] * -(-images // train["batch"]) // accumulate
    if updates >= FEW_UPDATES or accumulate == 1:
        return []
    text = f"About {updates} optimizer steps in all: gradients are accumulated over {accumulate} batches (nbs / batch)."
    hint = f"--set train.nbs={train['batch']} steps after every batch"
    return [Problem(level="warning", text=text, where="train.nbs", hint=hint)]
