"""The closed schema of a recipe's sections for the RT-DETR that two frameworks train. Nothing heavy here.

The defaults are RT-DETR's own, but for the rate, which belongs to batches of one picture, and for what is random in the
pictures: see `Augment`.
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
Four = Annotated[list[AtLeastOne], Field(min_length=4, max_length=4)]


class Backbone(Closed):
    """The ResNet of variant "d"."""

    weights: str | None = None
    """A file of the backbone's weights alone, by name or path: those of ImageNet. Random when absent, unless
    `model.weights` has the whole detector's."""
    sha256: Sha256 | None = None
    """What that file must be. Not required, because nothing in it is run."""
    frozen: bool | None = None
    """Whether its batch norms and the kernels of its stem stay as they are; None: as published (R50 and R50-m)."""
    depths: Four | None = None
    """Blocks in each stage, for models of one's own; None: those of `model.size`. So it is with all that follows."""
    widths: Four | None = None
    """Channels within the blocks of each stage."""
    stem: AtLeastOne | None = None
    """Channels of the stem."""


class Model(Closed):
    """The detector, and the framework that trains it."""

    framework: Literal["torch", "jittor"] = "torch"
    """What computes. The environment of the arm must have it."""
    size: Literal["r18", "r34", "r50-m", "r50"] = "r18"
    """A published size; the fields below change it."""
    backbone: Backbone = Backbone()
    queries: AtLeastOne = 300
    """Objects that are predicted."""
    denoising: Count = 100
    """Denoising queries of one sign, about; 0: none."""
    layers: AtLeastOne | None = None
    """Of the decoder; None: as published (3 of R18, 4 of R34, else 6)."""
    channels: Annotated[int, Field(ge=4, multiple_of=4)] | None = None
    """Of encoder and decoder."""
    feed_forward: AtLeastOne | None = None
    """Width of the feed-forward layers."""
    heads: AtLeastOne | None = None
    """Of every attention; they divide `channels`."""
    points: AtLeastOne | None = None
    """That a head samples in each level."""
    weights: str | None = None
    """Weights of the whole detector, published or of a checkpoint of this backend, by name or path; read without
    running what may stand in the file."""
    sha256: Sha256 | None = None
    """What that file must be."""

    @model_validator(mode="after")
    def _one_source(self) -> Model:
        if self.weights and self.backbone.weights:
            raise ValueError(
                "weights of the whole detector (model.weights) would replace those of its backbone "
                "(model.backbone.weights): name one of the two files."
            )
        channels, heads = self.channels or 256, self.heads or 8
        if channels % heads:
            raise ValueError(f"{heads} heads cannot share {channels} channels evenly.")
        return self


class Train(Closed):
    """The optimisation: AdamW and a warm-up."""

    epochs: AtLeastOne = 50
    batch: AtLeastOne = 1
    """Pictures."""
    lr: Positive = 5e-5
    backbone_lr: NotNegative = 0.1
    """The factor of the rate of the backbone."""
    weight_decay: NotNegative = 1e-4
    """Of what is neither a bias nor part of a norm."""
    clip: NotNegative = 0.1
    """The largest norm of the gradient; 0: it is not clipped."""
    image_size: Annotated[int, Field(ge=64, multiple_of=32)] = 640
    """Pixels: pictures become squares of this side, whatever their shape, as RT-DETR's are. A batch norm learns
    nothing of the one place that the last map of 32 pixels has."""
    warmup_steps: Count = 0
    """Steps over which the rates rise in a straight line."""
    schedule: Literal["constant", "cosine"] = "constant"
    """What the rates do after the warm-up."""
    last_lr: Fraction = 0.01
    """Of the cosine: the last rate, as a part of the full one."""
    average: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """How slow the moving average of the weights is, which is evaluated then; 0: the weights themselves are. It is
    computed in numpy, the same in both frameworks, and costs time in each step."""
    jitter: NotNegative = 0.0
    """The first weights are multiplied with 1 + jitter × normal noise of a seed of its own: 1e-7 is about what
    frameworks differ by, and shows how far two trainings in one framework drift apart."""
    threads: AtLeastOne = 2
    """Threads that read pictures."""
    save_every: Count = 0
    """Steps between checkpoints within an epoch; 0: at its end, and when a stop is asked for."""


class Augment(Closed):
    """What is changed in the pictures that are trained on: a function of seed, epoch and picture, in numpy, so that
    both frameworks see the same bits. RT-DETR's zoom and crop are not among it."""

    flip: Fraction = 0.5
    """The probability of a picture to be mirrored."""
    brightness: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """The largest change of brightness, as a part of it."""
    contrast: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """The largest change of contrast, as a part of it."""


class ParityConfig(Closed):
    """The sections of a recipe for this backend."""

    model: Model = Model()
    train: Train = Train()
    augment: Augment = Augment()
