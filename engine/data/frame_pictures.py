"""The size of the pictures of a data set of frames, as far as it is known before any is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detui.engine.data.definition import load_definition
from detui.engine.data.frame_layouts import FusionScenesDefinition, NuscenesDefinition

NUSCENES_PICTURES = (6, 900, 1600)
"""Cameras of nuScenes, and height and width of their pictures."""


def frame_pictures(name: Any, options: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """Cameras, height and width; None of images, and of stored frames, whose files alone know it.

    Raises RecipeError, MissingError as `load_definition` and `with_options` do.
    """
    layout = load_definition(name).with_options(options).layout
    if isinstance(layout, NuscenesDefinition):
        return NUSCENES_PICTURES
    if isinstance(layout, FusionScenesDefinition):
        width, height = layout.options.size
        return 6, height, width
    return None
