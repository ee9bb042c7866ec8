"""One moment of a car with cameras around it and a LiDAR on its roof: what fusion detectors read, whoever made it.

Readers and generators make a `Frame`, training halves take it; neither knows the other. The frame of reference is the
**LiDAR's**: metres, z up; in nuScenes x points to the right and y ahead. A box is its gravity centre, not its foot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detui.engine.data.nuscenes_classes import NUSCENES_CLASSES
from detui.engine.errors import DataError

__all__ = ["BOX", "NUSCENES_CLASSES", "POINT", "Frame", "corners", "inside"]

BOX = ("x", "y", "z", "w", "l", "h", "yaw", "vx", "vy")
"""The columns of a box. `l` lies along the heading, `w` across it; `yaw` turns from x towards y, in radians."""
POINT = ("x", "y", "z", "intensity", "time")
"""The columns of a point: metres; 0–255; seconds before the frame, 0 for its own sweep."""

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Frame:
    """Pictures, points and boxes of one moment, in the frame of the LiDAR."""

    token: str
    """What the frame is called: unique in its data set, and the key of its detections."""
    images: NDArray[np.uint8]
    """[V, 3, H, W], RGB, all cameras of one size."""
    points: Floats
    """[P, 5], the columns of `POINT`."""
    intrinsics: Doubles
    """[V, 3, 3], from metres of the camera (x right, y down, z ahead) to pixels of `images`."""
    lidar_to_camera: Doubles
    """[V, 4, 4], from the LiDAR's frame to each camera's."""
    boxes: Floats
    """[N, 9], the columns of `BOX`. A velocity that nobody knows is NaN; nothing else may be."""
    labels: NDArray[np.int64]
    """[N], places in `classes`."""
    num_lidar_points: NDArray[np.int64]
    """[N], points inside each box; a box without any is no fair target of a LiDAR."""
    cameras: tuple[str, ...]
    """[V], their names, in the order of `images`."""
    classes: tuple[str, ...] = NUSCENES_CLASSES
    """What the labels mean."""

    def lidar_to_image(self) -> Doubles:
        """[V, 4, 4]: homogeneous points of the LiDAR to (u·depth, v·depth, depth, 1) of each camera."""
        wide = np.tile(np.eye(4), (len(self.intrinsics), 1, 1))
        wide[:, :3, :3] = self.intrinsics
        return np.asarray(wide @ self.lidar_to_camera)

    def check(self) -> None:
        """Raise DataError, naming the field, where a shape or a value is not as described here."""
        views, boxes = len(self.cameras), len(self.labels)
        shapes: dict[str, tuple[int | None, ...]] = {
            "images": (views, 3, None, None), "points": (None, len(POINT)), "intrinsics": (views, 3, 3),
            "lidar_to_camera": (views, 4, 4), "boxes": (boxes, len(BOX)), "labels": (boxes,),
            "num_lidar_points": (boxes,),
        }  # fmt: skip
        for name, wanted in shapes.items():
            found = getattr(self, name).shape
            if len(found) != len(wanted) or any(w not in (None, f) for w, f in zip(wanted, found, strict=True)):
                raise self._wrong(name, f"its shape is {found}, expected {wanted}")
        for name in ("points", "intrinsics", "lidar_to_camera"):
            if not np.isfinite(getattr(self, name)).all():
                raise self._wrong(name, "a value is not finite")
        if not np.isfinite(self.boxes[:, :7]).all():
            raise self._wrong("boxes", "a place, size or heading is not finite")
        if (self.boxes[:, 3:6] <= 0).any():
            raise self._wrong("boxes", "a size is not positive")
        if boxes and (self.labels.min() < 0 or self.labels.max() >= len(self.classes)):
            raise self._wrong("labels", f"a label lies outside 0 to {len(self.classes) - 1}")

    def _wrong(self, field: str, what: str) -> DataError:
        return DataError(f"{field}: {what}.", where=f"frame {self.token}", hint="look at what wrote this frame")


def corners(boxes: NDArray[Any]) -> Doubles:
    """[N, 8, 3]: the corners of boxes [N, 7 or more]."""
    signs = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    local = signs[None] * boxes[:, None, [4, 3, 5]].astype(np.float64)
    cos, sin = np.cos(boxes[:, None, 6]), np.sin(boxes[:, None, 6])
    turned = np.stack([local[..., 0] * cos - local[..., 1] * sin, local[..., 0] * sin + local[..., 1] * cos], -1)
    return np.asarray(np.concatenate([turned, local[..., 2:]], -1) + boxes[:, None, :3])


def inside(boxes: NDArray[Any], points: NDArray[Any]) -> NDArray[np.bool_]:
    """[N, P]: which points [P, 3 or more] lie in which boxes [N, 7 or more]."""
    away = points[None, :, :3].astype(np.float64) - boxes[:, None, :3]
    cos, sin = np.cos(boxes[:, None, 6]), np.sin(boxes[:, None, 6])
    along, across = away[..., 0] * cos + away[..., 1] * sin, away[..., 1] * cos - away[..., 0] * sin
    half = boxes[:, None, 3:6] / 2
    return np.asarray(
        (abs(along) <= half[..., 1]) & (abs(across) <= half[..., 0]) & (abs(away[..., 2]) <= half[..., 2])
    )
