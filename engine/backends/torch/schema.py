"""The closed schema of a recipe's sections for detui's own detectors in PyTorch. Nothing heavy here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from detui.engine.closed import Closed

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
OpenFraction = Annotated[float, Field(gt=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=0)]
AtLeastOne = Annotated[int, Field(ge=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Balance(Closed):
    """A wish for how much the cameras count against the LiDAR, as a term of the loss."""

    ratio: Positive
    """The mean weight of the camera over that of the LiDAR."""
    strength: Positive = 0.1
    """The factor of the term: the square of log(measured ratio / wished ratio)."""


class Aqr(Closed):
    """Weights of the queries, rendered into maps that scale the features of both sensors."""

    weights: Literal["learned", "constant", "off"] = "learned"
    """`constant`: every query has the weights below, nothing is learned (a control). `off`: no AQR at all."""
    lidar: OpenFraction = 0.82
    """The LiDAR's weight: constant, or where learning starts."""
    camera: OpenFraction = 0.82
    """The camera's."""
    max_weight_clamp: Positive = 2.5
    """The largest value of a map, where queries pile up."""
    clamp_from: Positive | None = None
    """Where given, the clamp begins here and grows in a straight line to `max_weight_clamp` over the stage."""
    residual_weight: Fraction = 0.6
    """The part of a feature that stays whatever the map says."""
    mode: Literal["convex", "additive"] = "convex"
    """`convex`: f·r + f·w·(1 − r). `additive`: f·r + f·w."""
    kernel: Literal["sum", "peak"] = "sum"
    """Whether a query's Gaussian sums to its weight, or has it as its peak."""
    sigma: Positive = 1.0
    """Of the Gaussian, in cells of the map."""
    min_weight: NotNegative = 0.01
    """Smaller values of a map are 0."""
    saturate: Literal["hard", "straight-through"] = "hard"
    """Whether a clamped cell passes no gradient, or passes it as if it were not clamped."""
    noised_drawn: bool = False
    """Whether noised queries of the training are drawn, too, as the original does. They stand around the true boxes, so
    the maps tell the other queries where to look, and no longer do when the detector is used."""
    balance: Balance | None = None
    """A wished ratio of the weights; none when absent."""


class Camera(Closed):
    """The encoder of the pictures."""

    backbone: str = "small"
    """Our own small network, or what timm calls a backbone with a level at stride 16: `resnet50`."""
    weights: str | None = None
    """A file of the backbone's weights, by name or path; read without running what may stand in it."""
    sha256: Sha256 | None = None
    """What the file must be."""


class Model(Closed):
    """The detector."""

    name: Literal["fusion"] = "fusion"
    """LiDAR and cameras, in the way of CMT."""
    channels: Annotated[int, Field(ge=8, multiple_of=8)] = 256
    """Of the maps and of the decoder."""
    space: Annotated[list[float], Field(min_length=6, max_length=6)] = [-54.0, -54.0, -5.0, 54.0, 54.0, 3.0]
    """x, y, z of the near corner of what is looked at, then of the far one, in metres of the LiDAR."""
    bev_grid: AtLeastOne = 180
    """Cells along each edge of the map seen from above."""
    ray_points: AtLeastOne = 64
    """Depths along a pixel's ray in its position code."""
    queries: AtLeastOne = 900
    """Learned queries; denoising groups come on top of them while training."""
    denoising_groups: Count = 10
    """Groups of noised boxes, at most; 0: none."""
    layers: AtLeastOne = 6
    """Of the decoder."""
    heads: AtLeastOne = 8
    """Of its attention; they divide `channels`."""
    hidden: AtLeastOne = 1024
    """Inner channels of its small networks."""
    camera: Camera = Camera()
    aqr: Aqr = Aqr()
    weights: str | None = None
    """A checkpoint of this backend to start from, by name or path; from scratch when absent."""
    sha256: Sha256 | None = None
    """What that file must be. Not required, because nothing in it is run."""

    @model_validator(mode="after")
    def _fits(self) -> Model:
        if self.channels % self.heads:
            raise ValueError(f"{self.heads} heads cannot share {self.channels} channels evenly.")
        if any(low >= high for low, high in zip(self.space[:3], self.space[3:], strict=True)):
            raise ValueError(f"the far corner of the space must lie beyond the near one, and it is {self.space}.")
        return self


class Augment(Closed):
    """Changes of the space around a frame: points, boxes and cameras turn together, so the pictures stay as they are.

    The defaults are CMT's, without its shift and its objects pasted from other frames (GT sampling).
    """

    rotate: Annotated[float, Field(ge=0.0, le=180.0)] = 22.5
    """Degrees: turned about z by up to so many, either way."""
    scale: Annotated[list[Positive], Field(min_length=2, max_length=2)] = [0.9, 1.1]
    """The smallest and the largest factor."""
    flip_x: Fraction = 0.5
    """The probability that x becomes −x."""
    flip_y: Fraction = 0.5
    """The probability that y becomes −y."""

    @model_validator(mode="after")
    def _order(self) -> Augment:
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"the smallest scale, {self.scale[0]:g}, is above the largest, {self.scale[1]:g}.")
        return self


class Train(Closed):
    """The optimisation: AdamW, a warm-up, half a cosine."""

    epochs: AtLeastOne = 20
    batch: AtLeastOne = 4
    """Frames of a step, on all devices of a run together."""
    repeat: AtLeastOne = 1
    """How often an epoch goes through the frames: of few frames an epoch would otherwise be a step, with a checkpoint
    at its end."""
    lr: Positive = 1e-4
    backbone_lr: Positive = 0.1
    """The factor of the rate of the cameras' backbone."""
    last_lr: Fraction = 0.01
    """The last rate, as a part of the full one."""
    warmup_steps: Count = 500
    """Optimizer steps over which the rates rise."""
    weight_decay: NotNegative = 0.01
    clip: NotNegative = 35.0
    """The largest norm of the gradient; 0: it is not clipped."""
    amp: Literal["bf16", False] = False
    """Mixed precision."""
    average: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.999
    """How slow the moving average of the weights is, which is evaluated; 0: the weights themselves are."""
    image_scale: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """Pictures are made smaller by this factor."""
    crop_top: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """The part of a picture's height that is cut off above: sky."""
    augment: Augment | None = None
    """None when absent; `{}` is what CMT trains with. An overfit check wants none."""
    threads: AtLeastOne = 2
    """Threads that load frames."""
    save_every: Count = 0
    """Steps between checkpoints within an epoch; 0: at its end alone."""
    statistics_every: AtLeastOne = 50
    """Steps between two lines about AQR."""


class TorchConfig(Closed):
    """The sections of a recipe for this backend."""

    model: Model = Model()
    train: Train = Train()
