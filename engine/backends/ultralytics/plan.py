"""The plan half for Ultralytics: the closed schema of its sections; checks.py is what can be checked beforehand.

The names are Ultralytics' own; the defaults are those of 8.4, except where a
comment says why not. Everything is passed explicitly, so that no default of
the installed version decides silently.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from detui.engine.backends.base import CheckContext, Problem, WeightFile, named_weights
from detui.engine.backends.ultralytics.architectures import is_file, stem
from detui.engine.closed import Closed

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Backbone(Closed):
    """The backbone of an RT-DETR on timm (detectors.py)."""

    name: str | None = None
    """What timm calls it; needed for `rtdetr-timm`. The other names of models say it themselves."""
    weights: str | None = None
    """A file of the backbone's weights by name or path: .safetensors, or a state_dict of PyTorch. Random when absent.

    It is read without running what may stand in it, and must have every tensor of the backbone.
    """
    sha256: Sha256 | None = None
    """What the file must be. Not required, because nothing in it is run; the worker reports what it read."""


class Decoder(Closed):
    """Sizes of RT-DETR's neck and decoder (`rtdetr-l` and the models on timm); the defaults are the published ones."""

    hidden: Annotated[int, Field(ge=8, multiple_of=8)] = 256
    """Channels in neck and decoder."""
    queries: Annotated[int, Field(ge=1)] = 300
    """Objects that are looked for in a picture."""
    layers: Annotated[int, Field(ge=1)] = 6
    """Layers of the decoder."""
    heads: Annotated[int, Field(ge=1)] = 8
    """Heads of the attention, in the neck and in the decoder; they divide `hidden`."""
    points: Annotated[int, Field(ge=1)] = 4
    """Points that a head samples at each level."""
    feedforward: Annotated[int, Field(ge=1)] = 1024
    """Inner channels of the feed-forward layers, in the neck and in the decoder."""
    denoising: Count = 100
    """Denoising queries of the training."""
    neck_blocks: Annotated[int, Field(ge=1)] = 3
    """Convolution blocks in each of the neck's four fusions."""


class Model(Closed):
    """The detector."""

    name: str
    """An architecture that Ultralytics ships (`yolo12n`, `rtdetr-l`), RT-DETR on a backbone of timm
    (`rtdetr-mnv4-hybrid-m`, `rtdetr-mnv4-conv-s`, `rtdetr-timm`), or the path of a model YAML."""
    backbone: Backbone | None = None
    """Which backbone of timm, and its weights."""
    decoder: Decoder | None = None
    """Another neck and decoder than the published ones."""
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
    trains_on: Literal["images", "frames"] | None = "images"
    yolo_layout = True
    masks: bool | None = False
    resume_grain = "the epoch in progress is repeated"
    statistics = ()
    model_of_stage = ()
    distributes: Literal["torchrun", "itself"] | None = "torchrun"
    compares_weights = False
    fixed_in_branches = ("model", "train.optimizer")

    def epochs_key(self) -> tuple[str, ...]:
        """Where the number of epochs stands."""
        return ("train", "epochs")

    def weights(self, config: Mapping[str, Any]) -> list[WeightFile]:
        """The weight file to start from, that of the backbone alone, and the model's own YAML, if any."""
        name = config["model"]["name"]
        own = [WeightFile(keys=("model", "name"), name=name, sha256=None)] if is_file(name) else []
        return [*own, *named_weights(config, ("model", "backbone"), ("model",))]

    def architecture(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Name, backbone, sizes of the decoder, channels and size of the input; what weights it starts from is none."""
        model = config["model"]
        built = {"name": stem(model["name"]), "backbone": {"name": (model["backbone"] or {}).get("name")},
                 "decoder": model["decoder"], "inputs": model["inputs"]}  # fmt: skip
        return {"model": built, "train": {"imgsz": config["train"]["imgsz"]}}

    def environ(self) -> dict[str, str]:
        """Keeps Ultralytics off the network: no look-up, no installing of packages, no upload."""
        return {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "true"}

    def check(self, context: CheckContext) -> list[Problem]:
        """Contradictions between fields, and what the device cannot do."""
        from detui.engine.backends.ultralytics.checks import check

        return check(context)
