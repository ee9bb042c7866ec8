"""Calibrations that cannot be right are told from those that can."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tiny_frames import SIZE, tiny_frame

from detui.engine.data.calibration import faults

HEIGHT, WIDTH = SIZE


def sound() -> dict[str, dict[str, Any]]:
    frame = tiny_frame()
    names = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")
    return {name: {"cam2img": frame.intrinsics[i].copy(), "lidar2cam": frame.lidar_to_camera[i].copy()}
            for i, name in enumerate(names)}  # fmt: skip


def test_a_sound_rig_has_no_fault() -> None:
    assert faults(sound(), (WIDTH, HEIGHT)) == []


def _scaled(camera: Any) -> None:
    camera["lidar2cam"][:3, :3] *= 1.01


def _mirrored(camera: Any) -> None:
    camera["lidar2cam"][0] *= -1


def _inverted(camera: Any) -> None:
    camera["lidar2cam"] = np.linalg.inv(camera["lidar2cam"])


def _away(camera: Any) -> None:
    camera["lidar2cam"][2, 3] += 400


def _upside_down(camera: Any) -> None:
    camera["lidar2cam"][:2] *= -1


def _to_the_side(camera: Any) -> None:
    camera["lidar2cam"] = sound()["CAM_FRONT_RIGHT"]["lidar2cam"]


def _intrinsics(row: int, column: int, value: float) -> Callable[[Any], None]:
    def change(camera: Any) -> None:
        camera["cam2img"][row, column] = value

    return change


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_scaled, "no rotation"),
        (_mirrored, "no rotation"),
        (_inverted, "does not stand upright"),
        (_away, r"m from the LiDAR"),
        (_upside_down, "does not stand upright"),
        (_to_the_side, "it looks -60° to the left of ahead, and should look 0°"),
        (_intrinsics(0, 0, -30.0), "focal lengths are -30"),
        (_intrinsics(0, 0, 60.0), "not nearly square"),
        (_intrinsics(0, 2, 500.0), "lies outside a picture of 64×32"),
        (_intrinsics(2, 2, 2.0), "no matrix of a camera"),
        (_intrinsics(1, 0, 3.0), "no matrix of a camera"),
        (_intrinsics(0, 0, float("nan")), "not finite"),
    ],
)
def test_a_fault_is_named_with_its_camera(damage: Callable[[Any], None], said: str) -> None:
    cameras = copy.deepcopy(sound())
    damage(cameras["CAM_FRONT"])
    (fault,) = faults(cameras, (WIDTH, HEIGHT))
    assert fault.startswith("CAM_FRONT: ") and said in fault


def test_intrinsics_of_another_resolution_are_seen() -> None:
    cameras = sound()
    for camera in cameras.values():
        camera["cam2img"][:2] *= 25
    assert len([fault for fault in faults(cameras, (WIDTH, HEIGHT)) if "of another resolution" in fault]) == 6
