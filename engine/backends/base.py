"""What a backend's plan half offers.

Its training half is in detui.engine.worker's words: `train(spec, report)`, and `predict` and `speed` of
detui.engine.worker.task where the framework can load what it saved, `describe` where it can build a model untrained,
`check_weights` where it can say what a file would give it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from pydantic import BaseModel  # a training half imports this package, and pydantic is not its business


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that a check found before anything started."""

    level: Literal["error", "warning"]
    """An error stops the start; a warning is shown and goes into the record."""
    text: str
    where: str | None = None
    """The field, or the file."""
    hint: str | None = None
    """The next command or step to try."""
    missing: bool = False
    """Whether something is absent rather than wrong (exit code 3 rather than 2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckContext:
    """What a backend may look at while it checks one arm."""

    arm: str
    config: Mapping[str, Any]
    """The arm's whole configuration in one stage."""
    device: str
    """`cpu` or `cuda`."""
    devices: int = 1
    """How many of them each run takes."""
    train_images: int | None
    """Images that an epoch goes through, where it is known."""
    pictures: tuple[int, int, int] | None = None
    """Cameras, height and width of a frame's pictures, where the data is frames and that is known beforehand."""
    depth: bool = False
    """Whether the recipe asks for its data's depth maps."""
    continues: bool = False
    """Whether a stage comes before this one, whose weights it starts from."""
    followed: bool = False
    """Whether a stage comes after this one."""
    environment: str = "detui"
    """The environment that the arm trains in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFile:
    """A weight file that a configuration names."""

    keys: tuple[str, ...]
    """Where the name stands in the configuration; the worker finds the file's path there."""
    name: str
    """A logical name, or a path."""
    sha256: str | None
    """What the file must be, where the recipe knows it."""


def named_weights(config: Mapping[str, Any], *places: tuple[str, ...]) -> list[WeightFile]:
    """The files that sections of a configuration name with `weights` and `sha256`; a section may be absent or None."""
    found = []
    for place in places:
        section: Mapping[str, Any] = config
        for key in place:
            section = section.get(key) or {}
        if section.get("weights"):
            found.append(WeightFile(keys=(*place, "weights"), name=section["weights"], sha256=section["sha256"]))
    return found


class Backend(Protocol):
    """The plan half of a backend."""

    name: str
    trainer: str
    """`module:Class` of the training half."""
    config: type[BaseModel]
    """The closed schema of the sections that a recipe's base and arms may hold."""
    needs_data: bool
    """Whether a recipe for it must name data."""
    trains_on: Literal["images", "frames"] | None
    """Images with boxes in pixels, or frames of cameras and LiDAR; None: whatever a program of the user's reads."""
    yolo_layout: bool
    """Whether prepared data needs the YOLO layout beside the internal form."""
    masks: bool | None
    """Whether what it predicts carries masks: then none at all is a mask AP of 0. None: whatever a program writes."""
    resume_grain: str
    """What a stop loses, in words: `the epoch in progress is repeated`."""
    statistics: tuple[str, ...] | None
    """Names of the statistics of AQR that its trainings can report; None where whatever a program prints is taken."""
    model_of_stage: tuple[str, ...]
    """Fields of the model that a later stage may set: what learns, and what is taken of the weights before."""
    distributes: Literal["torchrun", "itself"] | None
    """How a run trains on several devices. `torchrun`: its training half is started once a device and joins the other
    ranks (torch_support/distributed.py), `train.batch` being that of all of them; `itself`: what it starts sees all
    devices and does as it likes; None: not at all."""
    compares_weights: bool
    """Whether its training half has `check_weights`: what a file would give a model is told before anything runs."""
    fixed_in_branches: tuple[str, ...]
    """Fields, or sections, that a branch cannot change: its checkpoint would not fit."""

    def epochs_key(self) -> tuple[str, ...]:
        """Where the number of epochs stands in the configuration."""
        ...

    def weights(self, config: Mapping[str, Any]) -> list[WeightFile]:
        """The weight files that a configuration names."""
        ...

    def check(self, context: CheckContext) -> list[Problem]:
        """What is wrong with one arm before anything starts: options that contradict, packages that are absent."""
        ...

    def architecture(self, config: Mapping[str, Any]) -> dict[str, Any] | None:
        """The fields of a configuration that the built model depends on, as they stand there; weights are none of them.

        Configurations with the same are one model. None where the backend cannot say what would be built.
        """
        ...

    def environ(self) -> dict[str, str]:
        """Environment variables of the worker."""
        ...
