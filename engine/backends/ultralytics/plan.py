"""The plan half for Ultralytics: the closed schema of its sections, and what can be checked without importing it.

The names are Ultralytics' own; the defaults are those of 8.4, except where a
comment says why not. Everything is passed explicitly, so that no default of
the installed version decides silently.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from detui.engine.backends.base import CheckContext, Problem, WeightFile
from detui.engine.closed import Closed

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

MODEL = re.compile(r"(yolo(v8|v9|v10|11|12|26)[a-z]|rtdetr-(l|x|resnet50|resnet101))")
STRIDE = 32


class Model(Closed):
    """The detector."""

    name: str
    """An architecture that Ultralytics ships (`yolo12n`, `rtdetr-l`), or the path of a model YAML."""
    weights: str | None = None
    """A weight file by name or path; from scratch when absent."""
    sha256: Sha256 | None = None
    """The file's SHA-256. It is required, because a `.pt` file runs code when it is loaded."""
    inputs: Literal["rgb", "rgbd"] = "rgb"
    """`rgbd`: depth is stacked on the pictures as a fourth channel; the recipe's data must have `depth: true`."""
    depth_filter: Literal["mean", "zero", "random"] = "mean"
    """How the depth plane of the first convolution starts, unless the weights have one: each filter's mean over its
    R, G and B planes (those of the weights, or random ones from scratch), zero, or random as the network was
    initialised. RGB-D alone reads it."""


class Train(Closed):
    """The optimisation."""

    epochs: Annotated[int, Field(ge=1)] = 100
    batch: Annotated[int, Field(ge=1)] = 16
    imgsz: Annotated[int, Field(ge=32)] = 640
    """Side of the square network input, in pixels; a multiple of 32."""
    optimizer: Literal["SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "MuSGD"] = "SGD"
    """`auto` is not offered: it ignores lr0."""
    lr0: Positive = 0.01
    lrf: Positive = 0.01
    """The last learning rate as a fraction of lr0."""
    cos_lr: bool = False
    momentum: Fraction = 0.937
    """Momentum of SGD, or beta1 of the Adam family."""
    weight_decay: NotNegative = 0.0005
    """At the nominal batch size; the effective value is scaled by batch × accumulate / nbs and reported."""
    warmup_epochs: NotNegative = 3.0
    warmup_momentum: Fraction = 0.8
    warmup_bias_lr: NotNegative = 0.0
    """Ultralytics' default of 0.1 is meant for SGD and is ten times lr0; here a warm-up starts at 0."""
    nbs: Annotated[int, Field(ge=1)] = 64
    """Nominal batch size: gradients are accumulated over round(nbs / batch) batches."""
    patience: Count = 0
    """Epochs without improvement of the framework's own validation before it stops early; 0 is never.

    Ultralytics' default is 100. Here every arm has the same budget unless the recipe says otherwise.
    """
    close_mosaic: Count = 10
    """Mosaic ends this many epochs before the end."""
    freeze: Count = 0
    """The first N layers stay as they are."""
    amp: Literal["bf16", "fp16", False] = False
    """bf16 and fp16 need a GPU; RT-DETR in fp16 is a known source of NaN."""
    deterministic: bool = True
    """Must be false for RT-DETR on a GPU: grid_sample has no deterministic backward there."""
    workers: Count = 4
    cache: Literal["ram", False] = False
    """`disk` is not offered: it writes beside images that other runs read."""
    val: bool = True
    """The framework's own validation after every epoch, for the live curve. Ours runs at milestones anyway."""
    multi_scale: Fraction = 0.0
    accept: list[str] = ["workers"]
    """Fields whose used value may differ from the asked one. On a CPU no loader processes are started."""


class Augment(Closed):
    """Augmentation: probabilities and gains."""

    mosaic: Fraction = 1.0
    mixup: Fraction = 0.0
    cutmix: Fraction = 0.0
    copy_paste: Fraction = 0.0
    hsv_h: Fraction = 0.015
    hsv_s: Fraction = 0.7
    hsv_v: Fraction = 0.4
    degrees: NotNegative = 0.0
    translate: Fraction = 0.1
    scale: Fraction = 0.5
    shear: NotNegative = 0.0
    perspective: Annotated[float, Field(ge=0.0, le=0.001)] = 0.0
    flipud: Fraction = 0.0
    fliplr: Fraction = 0.5
    bgr: Fraction = 0.0


class SizeFactors(Closed):
    """How much an object counts, by its size."""

    small: Positive = 1.0
    medium: Positive = 1.0
    large: Positive = 1.0


class BySize(Closed):
    """Weights of the loss by the size of the object (size_weights.py). 1/1/1 is the stock loss, and is measured."""

    weights: SizeFactors = SizeFactors()
    edges: Annotated[list[Positive], Field(min_length=2, max_length=2)] = [32.0, 96.0]
    """Sides in pixels: an area below the first squared is small, from it below the second squared medium."""
    pixels: Literal["network", "original"] = "network"
    """In which pixels an object has its size: of the network's input after augmentation, or of the original picture."""
    normalise: Literal["mean", "none"] = "mean"
    """`mean`: weights have mean 1 over a batch. `none`: the loss grows by their mean, as with a larger rate."""
    uniform: bool = False
    """Every object gets the mean of the weights of its batch: the change of scale alone, a control for `none`."""
    terms: Annotated[list[Literal["box", "dfl", "cls"]], Field(min_length=1)] = ["box", "dfl", "cls"]
    """The loss terms that are weighted."""
    measure_every: Count = 10
    """Shares of objects and of gradient by size are sampled every so many steps; 0 is never."""

    @field_validator("edges")
    @classmethod
    def _rising(cls, edges: list[float]) -> list[float]:
        if edges[0] >= edges[1]:
            raise ValueError(f"the second edge must lie above the first, and these are {edges}.")
        return edges


class LossGains(Closed):
    """Gains of the loss terms (YOLO). RT-DETR's criterion has fixed weights: leave this section out there."""

    box: Positive = 7.5
    cls: Positive = 0.5
    dfl: NotNegative = 1.5
    by_size: BySize | None = None
    """Weights by the size of the object; the stock loss when absent."""


class UltralyticsConfig(Closed):
    """The sections of a recipe for this backend."""

    model: Model
    train: Train = Train()
    augment: Augment = Augment()
    loss: LossGains = LossGains()


class UltralyticsBackend:
    """Plans runs of YOLO and RT-DETR detectors."""

    name = "ultralytics"
    trainer = "detui.engine.backends.ultralytics.train:UltralyticsTrainer"
    config = UltralyticsConfig
    needs_data = True
    yolo_layout = True
    resume_grain = "the epoch in progress is repeated"
    fixed_in_branches = ("model", "train.optimizer")

    def epochs_key(self) -> tuple[str, ...]:
        """Where the number of epochs stands."""
        return ("train", "epochs")

    def weights(self, config: Mapping[str, Any]) -> list[WeightFile]:
        """The weight file to start from, and the model's own YAML, if any."""
        model = config["model"]
        files = [WeightFile(keys=("model", "name"), name=model["name"], sha256=None)] if _is_file(model["name"]) else []
        if model["weights"]:
            files.append(WeightFile(keys=("model", "weights"), name=model["weights"], sha256=model["sha256"]))
        return files

    def environ(self) -> dict[str, str]:
        """Keeps Ultralytics off the network: no look-up, no installing of packages, no upload."""
        return {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "true"}

    def check(self, context: CheckContext) -> list[Problem]:
        """Contradictions between fields, and what the device cannot do."""
        config = context.config
        found = [*_installed(), *_model(config), *_device(config, context.device), *_devices(context.devices)]
        found += [*_by_size(config["loss"]["by_size"]), *_inputs(config, context.depth)]
        return [*found, *_warm_up(config["train"]), *_batches(config, context.train_images),
                *_updates(config["train"], context.train_images)]  # fmt: skip


def _is_file(name: str) -> bool:
    """Whether a model is named by a YAML of the user's own."""
    return name.endswith((".yaml", ".yml"))


def is_rtdetr(name: str) -> bool:
    """Whether a model name or model YAML is of the RT-DETR family."""
    return name.rsplit("/", 1)[-1].startswith("rtdetr")


def _installed() -> list[Problem]:
    absent = [name for name in ("ultralytics", "torch") if importlib.util.find_spec(name) is None]
    if not absent:
        return []
    text = f"The package {absent[0]} is not installed in this environment."
    return [Problem(level="error", text=text, hint="pip install -c constraints.txt 'detui[ultralytics]'", missing=True)]


def _model(config: Mapping[str, Any]) -> list[Problem]:
    model, found = config["model"], []
    name = model["name"]
    if not _is_file(name) and not MODEL.fullmatch(name):
        text = f"{name!r} is no architecture that Ultralytics ships."
        found.append(_error("model.name", text, "yolo12n, yolo11s, rtdetr-l, or a path to a model YAML"))
    if model["weights"] and not model["sha256"]:
        text = f"{model['weights']} is loaded by executing its pickle, and nothing says which file it must be."
        found.append(_error("model.sha256", text, "set model.sha256 to the output of sha256sum for a file you trust"))
    if is_rtdetr(name) and config["loss"] != LossGains().model_dump():
        found.append(_error("loss", "RT-DETR's criterion does not read these gains.", "leave the section out"))
    return found


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
        found.append(_error("model.inputs", text, hint))
    if config["augment"]["bgr"]:
        text = "Ultralytics swaps the colours of pictures of three channels alone, and RGB-D has four."
        found.append(_error("augment.bgr", text, "--set augment.bgr=0.0"))
    if config["train"]["freeze"]:
        text = "The first layer stays as it is, and so does its depth filter as it starts."
        found.append(Problem(level="warning", text=text, where="train.freeze", hint="--set train.freeze=0"))
    return found


def _devices(count: int) -> list[Problem]:
    if count == 1:
        return []
    text = f"Runs of this backend train on one device, and each would take {count}."
    return [_error("devices", text, "--devices 1, or the devices to choose from: --devices 0,1")]


def _device(config: Mapping[str, Any], device: str) -> list[Problem]:
    train, found = config["train"], []
    if device == "cpu" and train["amp"]:
        text = f"{train['amp']} mixed precision needs a GPU, and this run is planned on the CPU."
        found.append(_error("train.amp", text, "--set train.amp=false"))
    if device == "cuda" and train["deterministic"] and is_rtdetr(config["model"]["name"]):
        text = "grid_sample, which RT-DETR uses, has no deterministic backward on a GPU."
        found.append(_error("train.deterministic", text, "--set train.deterministic=false"))
    if train["amp"] == "fp16" and is_rtdetr(config["model"]["name"]):
        found.append(Problem(level="warning", text="RT-DETR in fp16 is a known source of NaN.", where="train.amp",
                             hint="--set train.amp=bf16"))  # fmt: skip
    if train["patience"] and not train["val"]:
        text = "Early stopping looks at the framework's validation of every epoch, and that is switched off."
        found.append(_error("train.patience", text, "--set train.val=true, or --set train.patience=0"))
    if train["imgsz"] % STRIDE:
        near = max(STRIDE, round(train["imgsz"] / STRIDE) * STRIDE)
        text = f"{train['imgsz']} is no multiple of {STRIDE}; Ultralytics would silently use another size."
        found.append(_error("train.imgsz", text, f"--set train.imgsz={near}"))
    return found


def _warm_up(train: Mapping[str, Any]) -> list[Problem]:
    """Ultralytics leaves at least the last epoch to regular training, and so shortens a longer warm-up."""
    if train["warmup_epochs"] <= max(train["epochs"] - 1, 0):
        return []
    text = f"A warm-up of {train['warmup_epochs']:g} epochs in a training of {train['epochs']} would be cut short."
    return [_error("train.warmup_epochs", text, f"--set train.warmup_epochs={max(train['epochs'] - 1, 0)}")]


def _batches(config: Mapping[str, Any], images: int | None) -> list[Problem]:
    """RT-DETR's and BatchNorm's trouble with a batch of one image."""
    batch = config["train"]["batch"]
    last = images % batch if images else 0
    if batch > 1 and last != 1:
        return []
    text = (
        "A batch of one image"
        if batch == 1
        else f"{images} images in batches of {batch} leave a last batch of one, which"
    )
    text += " gives BatchNorm wrong statistics (and, for RT-DETR on a CPU, wrong gradients)."
    level: Literal["error", "warning"] = "error" if is_rtdetr(config["model"]["name"]) else "warning"
    return [Problem(level=level, text=text, where="train.batch", hint=f"--set train.batch={max(2, batch + 1)}")]


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


def _error(where: str, text: str, hint: str) -> Problem:
    return Problem(level="error", text=text, where=where, hint=hint)
