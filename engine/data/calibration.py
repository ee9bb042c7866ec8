"""Whether the calibration of a rig of cameras can be right.

Each camera has a matrix from the LiDAR's frame (metres, z up) to its own (x right, y down, z ahead), and one from there
to pixels. Where it should look is known for the names that nuScenes gives its cameras: there x points to the right of
the car and y ahead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

AHEAD = {
    "CAM_FRONT": 0, "CAM_FRONT_LEFT": 55, "CAM_FRONT_RIGHT": -55,
    "CAM_BACK": 180, "CAM_BACK_LEFT": 110, "CAM_BACK_RIGHT": -110,
}  # fmt: skip
"""Where a camera of nuScenes looks, in degrees from ahead to the left."""
ASTRAY = 30.0
"""Degrees by which it may look elsewhere, and by which it may be tilted."""
RIGID = 2e-3
"""How far the product of a rotation with its transpose may lie from the identity."""
APART = 5.0
"""Metres between a camera and the LiDAR at most."""
VIEW = (15.0, 150.0)
"""Degrees that a camera sees at least, and at most."""


def faults(cameras: Mapping[str, Mapping[str, Any]], size: tuple[int, int]) -> list[str]:
    """What is wrong with each camera, in words. `size`: width and height of the pictures."""
    return [f"{name}: {fault}" for name, one in cameras.items() for fault in _faults(name, one, size)]


def _faults(name: str, camera: Mapping[str, Any], size: tuple[int, int]) -> Iterator[str]:
    intrinsics = np.array(camera["cam2img"], np.float64)[:3, :3]
    turn = np.array(camera["lidar2cam"], np.float64)
    if not (np.isfinite(intrinsics).all() and np.isfinite(turn).all()):
        yield "a number is not finite"
        return
    yield from _intrinsics(intrinsics, size)
    if not is_rigid(turn):
        yield "lidar2cam is no rotation with a translation"
        return
    place = -turn[:3, :3].T @ turn[:3, 3]
    if np.linalg.norm(place) > APART:
        yield f"it stands {np.linalg.norm(place):.1f} m from the LiDAR (lidar2cam the wrong way round?)"
    if turn[1, 2] > -math.cos(math.radians(ASTRAY)):
        yield "it does not stand upright: its y axis does not point down"
    elif name in AHEAD:
        looks = math.degrees(math.atan2(-turn[2, 0], turn[2, 1]))
        astray = abs((looks - AHEAD[name] + 180) % 360 - 180)
        if astray > ASTRAY:
            yield f"it looks {looks:.0f}° to the left of ahead, and should look {AHEAD[name]}°"


def _intrinsics(matrix: NDArray[np.float64], size: tuple[int, int]) -> Iterator[str]:
    (fx, _, cx), (down, fy, cy), last = matrix
    if tuple(last) != (0, 0, 1) or down != 0:
        yield "cam2img is no matrix of a camera: its last row is 0 0 1, and below the diagonal stands 0"
    elif fx <= 0 or fy <= 0:
        yield f"its focal lengths are {fx:g} and {fy:g} pixels"
    elif not 0.8 <= fx / fy <= 1.25:
        yield f"its pixels are not nearly square: focal lengths {fx:g} and {fy:g}"
    elif not VIEW[0] <= (seen := 2 * math.degrees(math.atan(size[0] / 2 / fx))) <= VIEW[1]:
        yield f"it would see {seen:.0f}° of the world on {size[0]} pixels (cam2img of another resolution?)"
    elif not (0 < cx < size[0] and 0 < cy < size[1]):
        yield f"its principal point ({cx:.0f}, {cy:.0f}) lies outside a picture of {size[0]}×{size[1]}"


def is_rigid(matrix: NDArray[np.float64]) -> bool:
    """Whether a 4×4 matrix is a rotation, without reflection, and a translation."""
    turn = matrix[:3, :3]
    orthonormal = abs(turn @ turn.T - np.eye(3)).max() <= RIGID
    return bool(orthonormal and np.linalg.det(turn) > 0 and np.allclose(matrix[3], [0, 0, 0, 1]))
