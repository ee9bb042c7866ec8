"""The options of generated frames of cameras and LiDAR: what a recipe may set below `data.options`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from detui.engine.closed import Closed

SolidName = Literal[
    "car", "truck", "construction_vehicle", "bus", "trailer",
    "barrier", "motorcycle", "bicycle", "pedestrian", "traffic_cone",
]  # fmt: skip
Side = Annotated[int, Field(ge=32, le=1600)]


class FusionOptions(Closed):
    """How frames are drawn."""

    size: Annotated[list[Side], Field(min_length=2, max_length=2)] = [160, 96]
    """Width and height of each of the six pictures, in pixels."""
    classes: Annotated[list[SolidName], Field(min_length=1, max_length=10)] = [
        "car", "truck", "pedestrian", "traffic_cone",
    ]  # fmt: skip
    objects: Annotated[list[Annotated[int, Field(ge=0, le=100)]], Field(min_length=2, max_length=2)] = [4, 12]
    """The least and the largest number of objects around; fewer where there is no room for them."""
    clutter: Annotated[int, Field(ge=0, le=50)] = 3
    """How many walls stand about that are no objects, and hide some."""
    reach: Annotated[int, Field(ge=10, le=50)] = 30
    """How far from the LiDAR the centre of an object lies at most, in metres."""
    rings: Annotated[int, Field(ge=4, le=64)] = 24
    """Lasers of the LiDAR, from 29 degrees below the horizon to 6 above it."""
    columns: Annotated[int, Field(ge=16, le=2048)] = 360
    """Measurements of each laser in a turn, rounded up to a multiple of four."""
    sweeps: Annotated[int, Field(ge=0, le=10)] = 1
    """Earlier sweeps, a quarter of a second apart, in which what moves stands where it was."""
    noise: Annotated[int, Field(ge=0, le=64)] = 6
    """The largest change of a pixel and of an intensity by noise, of 255."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @model_validator(mode="after")
    def _order(self) -> FusionOptions:
        if self.objects[0] > self.objects[1]:
            raise ValueError("objects: the least number is above the largest.")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes: a class stands there twice.")
        return self
