"""The closed schema of the sections of a recipe for MMDetection.

The names are the field's own; the defaults are those of `mask-rcnn_r50_fpn_1x_coco`, except where a comment says why
not.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from detui.engine.closed import Closed

AtLeastOne = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Positive = Annotated[float, Field(gt=0.0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Backbone(Closed):
    """A ResNet (He et al., 2016) in torchvision's form."""

    depth: Literal[18, 34, 50, 101] = 50
    weights: str | None = None
    """A file of the backbone's weights alone, by name or path: those of ImageNet. Random when absent, unless
    `model.weights` has the whole detector's."""
    sha256: Sha256 | None = None
    """What that file must be. Not required, because nothing in it is run."""
    frozen_stages: Annotated[int, Field(ge=-1, le=4)] = 1
    """The stem (0) and so many stages stay as they are; 4 is the whole backbone, -1 nothing."""
    norm_eval: bool = True
    """Whether the statistics of its BatchNorm stay as they are: with two images on a device they are too noisy to
    learn."""


class Start(Closed):
    """What is taken of the weights of a whole detector (`model.weights`, or the stage before), and what starts anew."""

    take: Literal["all", "backbone"] = "all"
    """`backbone`: that part alone; neck and heads start at random, as if the file were one of ImageNet."""
    anew: Literal["nothing", "classes", "heads"] = "classes"
    """`classes`: the layers that have a row for each class (fc_cls, fc_reg, conv_logits); `heads`: the whole box and
    mask heads; `nothing`: for weights of the same classes."""
    box_std: Positive = 0.01
    """Standard deviation of the normal distribution that layers of the box head start anew from."""
    mask_std: Positive = 0.001
    """The same of the mask head."""


class Model(Closed):
    """The detector."""

    name: Literal["mask-rcnn"] = "mask-rcnn"
    """Mask R-CNN (He et al., 2017) with a feature pyramid."""
    backbone: Backbone = Backbone()
    channels: Annotated[int, Field(ge=8, multiple_of=8)] = 256
    """Of the feature pyramid and of the region proposal network."""
    proposals_before: AtLeastOne = 2000
    """Boxes of each level that enter the suppression of the region proposal network while training; half of them in
    evaluation."""
    proposals: AtLeastOne = 1000
    """Boxes of a picture that leave it."""
    anchors_sampled: AtLeastOne = 256
    """Anchors of a picture that the loss of the region proposal network is computed on."""
    boxes_sampled: AtLeastOne = 512
    """Proposals of a picture that the losses of the heads are computed on."""
    hidden: AtLeastOne = 1024
    """Width of the two fully connected layers of the box head."""
    mask_layers: AtLeastOne = 4
    """Convolutions of the mask head before its upsampling."""
    mask_channels: AtLeastOne = 256
    score: Fraction = 0.05
    """Detections of a lower score are left out."""
    detections: AtLeastOne = 100
    """Of a picture, at most."""
    weights: str | None = None
    """A checkpoint of the whole detector to start from, by name or path; read without running what may stand in it."""
    sha256: Sha256 | None = None
    """What that file must be. Not required, because nothing in it is run."""
    start: Start = Start()

    @model_validator(mode="after")
    def _one_source(self) -> Model:
        if self.weights and self.backbone.weights:
            raise ValueError(
                "weights of the whole detector (model.weights) would replace those of its backbone "
                "(model.backbone.weights): name one of the two files."
            )
        return self


class Layers(Closed):
    """Factors of the learning rate by part: a layered (discriminative) learning rate."""

    backbone: NotNegative = 1.0
    neck: NotNegative = 1.0
    heads: NotNegative = 1.0
    """Of the region proposal network, the box head and the mask head."""


class Train(Closed):
    """The optimisation: SGD, a warm-up, and drops of the rate."""

    epochs: AtLeastOne = 12
    batch: AtLeastOne = 2
    """Pictures of a step, on all devices together."""
    lr: Positive = 0.02
    """Of a batch of `reference_batch` pictures."""
    reference_batch: AtLeastOne | None = None
    """Linear scaling (Goyal et al., 2017): the rate that is used is lr × batch / reference_batch, on however many
    devices. None: it is lr, whatever the batch. (MMDetection's own configurations mean 16.)"""
    layers: Layers = Layers()
    momentum: Fraction = 0.9
    weight_decay: NotNegative = 0.0001
    warmup_steps: Count = 500
    """Optimizer steps over which the rate rises in a straight line; 0: none."""
    warmup_from: Annotated[float, Field(gt=0.0, le=1.0)] = 0.001
    """The part of the rate that the warm-up begins with."""
    drops: list[AtLeastOne] = [8, 11]
    """Epochs, of the stage, after which the rate drops."""
    drop_factor: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    """What a drop multiplies the rate with."""
    clip: NotNegative = 0.0
    """The largest norm of the gradient; 0: it is not clipped."""
    amp: Literal["fp16", "bf16", False] = False
    """Mixed precision; needs a GPU."""
    image_size: Annotated[list[AtLeastOne], Field(min_length=2, max_length=2)] = [1333, 800]
    """The longest long and the longest short side, in pixels: pictures are scaled to fit, their shape kept."""
    validation_loss: bool = True
    """Whether the losses on the validation pictures are computed after every epoch."""
    workers: Count = 2
    """Processes that load pictures; 0: the training's own."""
    save_every: Count = 0
    """Steps between checkpoints within an epoch; 0: at its end, and when a stop is asked for."""

    @model_validator(mode="after")
    def _rising(self) -> Train:
        if sorted(set(self.drops)) != self.drops:
            raise ValueError(f"drops are epochs in rising order, and these are {self.drops}.")
        if self.image_size[0] < self.image_size[1]:
            raise ValueError(f"image_size names the long side first, and it is {self.image_size}.")
        return self


class Photometric(Closed):
    """Changes of colour in the way of SSD (Liu et al., 2016): MMDetection's PhotoMetricDistortion and its defaults."""

    brightness: Count = 32
    """Largest change of brightness, of 255."""
    contrast: Annotated[list[Positive], Field(min_length=2, max_length=2)] = [0.5, 1.5]
    saturation: Annotated[list[Positive], Field(min_length=2, max_length=2)] = [0.5, 1.5]
    hue: Annotated[int, Field(ge=0, le=180)] = 18
    """Largest change of hue, in degrees."""


class Augment(Closed):
    """What is changed in the pictures that are trained on."""

    flip: Fraction = 0.5
    """The probability of a picture to be mirrored."""
    photometric: Photometric | None = None
    """None when absent; `{}` is what MMDetection does by default."""


class MmdetConfig(Closed):
    """The sections of a recipe for this backend."""

    model: Model = Model()
    train: Train = Train()
    augment: Augment = Augment()
