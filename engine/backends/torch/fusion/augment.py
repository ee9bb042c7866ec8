"""Changes of the space around a frame: turned about z, scaled, mirrored; points, boxes and cameras together.

The pictures stay as they are. A camera that looks at a world G·p sees what it saw of p, because its matrix becomes
M·G⁻¹: pixels, and depths in the camera's own metres, are the same as before. A mirrored matrix is no rotation any more,
and nothing here needs one: the inverse projection that codes rays (geometry.py) takes any that can be inverted.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from detui.engine.data.frame import Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is done to one frame."""

    angle: float = 0.0
    """Radians about z, from x towards y; it comes after the flips."""
    scale: float = 1.0
    flip_x: bool = False
    """Whether x becomes −x."""
    flip_y: bool = False

    def matrix(self) -> np.ndarray:
        """[3, 3]: what becomes of a place in the LiDAR's frame."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        mirror = np.diag([-1.0 if self.flip_x else 1.0, -1.0 if self.flip_y else 1.0, 1.0])
        return np.asarray(self.scale * turn @ mirror)


def drawn(options: Mapping[str, Any], generator: random.Random) -> Change:
    """A change by the recipe's `train.augment`. Four numbers are drawn, whatever the options are."""
    turn, factor, x, y = (generator.random() for _ in range(4))
    low, high = options["scale"]
    return Change(
        angle=math.radians(options["rotate"]) * (2 * turn - 1),
        scale=low + (high - low) * factor,
        flip_x=x < options["flip_x"],
        flip_y=y < options["flip_y"],
    )


def changed(frame: Frame, change: Change) -> Frame:
    """Another frame; the given one stays as it is. The points inside of each box are the same."""
    matrix, whole = change.matrix(), np.eye(4)
    whole[:3, :3] = matrix
    points = frame.points.copy()
    points[:, :3] = frame.points[:, :3].astype(np.float64) @ matrix.T
    cameras = frame.lidar_to_camera @ np.linalg.inv(whole)
    return replace(frame, points=points, boxes=_boxes(frame.boxes, change, matrix), lidar_to_camera=cameras)


def _boxes(boxes: np.ndarray, change: Change, matrix: np.ndarray) -> np.ndarray:
    """[N, 9] → [N, 9]. A velocity of which a part is unknown is so as a whole: turning mixes the parts."""
    old = boxes.astype(np.float64)
    along = np.stack([np.cos(old[:, 6]), np.sin(old[:, 6])], 1) @ matrix[:2, :2].T
    heading = np.arctan2(along[:, 1], along[:, 0])
    parts = [old[:, :3] @ matrix.T, old[:, 3:6] * change.scale, heading[:, None], old[:, 7:9] @ matrix[:2, :2].T]
    return np.asarray(np.concatenate(parts, 1).astype(np.float32))
