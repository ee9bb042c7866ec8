"""Definitions of data sets of frames: six cameras and a LiDAR at one moment, with boxes in space.

format: nuscenes                # infos of mmdetection3d, beside samples/ and sweeps/
splits: {train: {infos: nuscenes_infos_train.pkl}}

format: frames                  # folders with a frame.json each (frame_files.py)
splits: {train: {folder: train}}

format: fusion-scenes           # generated
splits: {train: {frames: 200}}
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from detui.engine.closed import Closed
from detui.engine.data.depth_layout import DepthLayout
from detui.engine.data.fusion_options import FusionOptions
from detui.engine.data.layout_base import Classes, Inside, LayoutBase
from detui.engine.data.nuscenes_classes import NUSCENES_CLASSES
from detui.engine.data.published import Published


class _OfFrames(LayoutBase):
    """What data sets of frames share."""

    @field_validator("depth")
    @classmethod
    def _no_depth(cls, value: DepthLayout | None) -> DepthLayout | None:
        if value is not None:
            raise ValueError("frames have no depth maps: they have points.")
        return value

    @field_validator("published")
    @classmethod
    def _frames_alone(cls, value: Published) -> Published:
        if value.model_fields_set - {"source", "images"}:
            raise ValueError("of frames, `images` (their number by split) is the count that is compared.")
        return value


def _detected(value: list[str]) -> list[str]:
    strangers = sorted(set(value) - set(NUSCENES_CLASSES))
    if strangers:
        raise ValueError(f"nuScenes detects no {', '.join(strangers)}; it does {', '.join(NUSCENES_CLASSES)}.")
    return value


class NuscenesSplit(Closed):
    """One split of nuScenes."""

    infos: Inside
    """A file of infos of mmdetection3d: JSON, or a pickle, of which plain data and arrays alone are read."""


class NuscenesOptions(Closed):
    """What a recipe may set below `data.options`."""

    sweeps: Annotated[int, Field(ge=0, le=10)] = 0
    """How many earlier sweeps of the LiDAR are added to a frame's own, nearest first, as far as its infos name them."""


class NuscenesDefinition(_OfFrames):
    """nuScenes as infos of mmdetection3d, any release of them."""

    format: Literal["nuscenes"]
    classes: Annotated[Classes, AfterValidator(_detected)] = list(NUSCENES_CLASSES)
    """Objects of other classes are left out, which is no problem."""
    boxes: Literal["auto", "lwh", "wlh"] = "auto"
    """Infos of the first kind alone (`infos`): whether length stands before width, as releases from 1.0 write it, or
    behind it with the heading turned, as those before do. `auto` tells them apart by the shape of the vehicles."""
    options: NuscenesOptions = NuscenesOptions()
    splits: Annotated[dict[str, NuscenesSplit], Field(min_length=1)]


class FramesSplit(Closed):
    """One split of stored frames."""

    folder: Inside
    """A folder that holds frame.json, or folders that do; these are taken by name."""


class FramesDefinition(_OfFrames):
    """Stored frames."""

    format: Literal["frames"]
    classes: Classes = list(NUSCENES_CLASSES)
    """Objects of other classes are left out, which is no problem."""
    splits: Annotated[dict[str, FramesSplit], Field(min_length=1)]


class FusionScenesSplit(Closed):
    """One split of generated frames."""

    frames: Annotated[int, Field(ge=1, le=100_000)]
    """How many there are to choose from; only those that are selected are drawn."""


class FusionScenesDefinition(_OfFrames):
    """Generated frames."""

    format: Literal["fusion-scenes"]
    options: FusionOptions = FusionOptions()
    splits: Annotated[dict[str, FusionScenesSplit], Field(min_length=1)]


FrameLayout = NuscenesDefinition | FramesDefinition | FusionScenesDefinition
