"""The options of generated scenes: what a recipe may set below `data.options`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from detui.engine.closed import Closed

ShapeName = Literal["disc", "box", "triangle", "cross", "ring", "star"]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class SizeMix(Closed):
    """Shares of objects by COCO's size bins, in pixels of the scene: areas below 32², below 96², above.

    They need not sum to one. What does not fit into the scene is drawn as the next smaller bin;
    occlusion moves some objects to a smaller one.
    """

    small: Share = 0.1
    medium: Share = 0.8
    large: Share = 0.1

    @model_validator(mode="after")
    def _some(self) -> SizeMix:
        if self.small + self.medium + self.large <= 0:
            raise ValueError("at least one share must be above 0.")
        return self


class SceneOptions(Closed):
    """How scenes are drawn."""

    size: Annotated[int, Field(ge=32, le=2048)] = 320
    """Width and height in pixels."""
    classes: Annotated[list[ShapeName], Field(min_length=1, max_length=6)] = ["disc", "box", "triangle", "cross"]
    objects: Annotated[list[Annotated[int, Field(ge=0, le=200)]], Field(min_length=2, max_length=2)] = [2, 6]
    """The least and the largest number of objects on a scene; fewer where they would hide each other."""
    sizes: SizeMix = SizeMix()
    turn: Annotated[int, Field(ge=0, le=32)] = 5
    """How far things are turned to either side at most, in 64ths of a full turn; 32 is any way round."""
    clutter: Annotated[int, Field(ge=0, le=100)] = 3
    """How many things lie on a scene that are no objects."""
    noise: Annotated[int, Field(ge=0, le=64)] = 10
    """The largest change of a pixel by noise, of 255."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    masks: bool = False
    """Whether annotations carry their masks as run lengths."""
    depth: bool = False
    """Whether a depth map is written beside each scene: 8-bit PNG, metres × 25, from 1 to 10 m."""

    @model_validator(mode="after")
    def _order(self) -> SceneOptions:
        if self.objects[0] > self.objects[1]:
            raise ValueError("objects: the least number is above the largest.")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes: a shape stands there twice.")
        return self
