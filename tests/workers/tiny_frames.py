"""Small frames with two to four boxes, six cameras around, and points on the boxes and the ground: no file, no time."""

from __future__ import annotations

import numpy as np

from detui.engine.data.frame import NUSCENES_CLASSES, Frame, corners, inside

CAMERAS = ("FRONT", "FRONT_RIGHT", "BACK_RIGHT", "BACK", "BACK_LEFT", "FRONT_LEFT")
SIZE = (32, 64)
"""Height and width of a picture."""


def look(angle: float) -> np.ndarray:
    """[4, 4]: from the LiDAR to a camera that looks along `angle` (from y, clockwise) from half a metre below it."""
    ahead = np.array([np.sin(angle), np.cos(angle), 0.0])
    right = np.array([np.cos(angle), -np.sin(angle), 0.0])
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, [0, 0, -1.0], ahead])
    matrix[:3, 3] = matrix[:3, :3] @ np.array([0, 0, 0.5])
    return matrix


def tiny_frame(seed: int = 0, boxes: int | None = None, points: int = 300, size: tuple[int, int] = SIZE) -> Frame:
    """One frame; the same seed gives the same. `size`: of its pictures, height and width."""
    draw = np.random.default_rng(seed)
    count = int(draw.integers(2, 5)) if boxes is None else boxes
    height, width = size
    intrinsics = np.array([[width / 2, 0, width / 2], [0, width / 2, height / 2], [0, 0, 1.0]])
    angles = draw.uniform(0, 2 * np.pi, count)
    away = draw.uniform(5, 15, count)
    table = np.stack(
        [
            away * np.cos(angles), away * np.sin(angles), draw.uniform(-1, 0, count),
            draw.uniform(1, 2, count), draw.uniform(2, 4, count), draw.uniform(1, 2, count),
            draw.uniform(-3, 3, count), draw.normal(0, 1, count), draw.normal(0, 1, count),
        ], 1,
    ).astype(np.float32)  # fmt: skip
    on_boxes = [box[:3] + draw.uniform(-0.4, 0.4, (20, 3)) for box in table]
    ground = np.c_[draw.uniform(-18, 18, (points, 2)), np.full(points, -2.0)]
    cloud = np.concatenate([ground, *on_boxes])
    cloud = np.c_[cloud, draw.uniform(0, 255, len(cloud)), np.zeros(len(cloud))].astype(np.float32)
    frame = Frame(
        token=f"tiny-{seed}",
        images=draw.integers(0, 60, (6, 3, height, width)).astype(np.uint8),
        points=cloud,
        intrinsics=np.repeat(intrinsics[None], 6, 0),
        lidar_to_camera=np.array([look(2 * np.pi * index / 6) for index in range(6)]),
        boxes=table,
        labels=draw.integers(0, len(NUSCENES_CLASSES), count),
        num_lidar_points=inside(table, cloud).sum(1) if count else np.zeros(0, np.int64),
        cameras=CAMERAS,
    )
    _paint(frame)
    return frame


def _paint(frame: Frame) -> None:
    """A bright patch where a camera sees a box, in the shade of its class."""
    for box, label in zip(corners(frame.boxes), frame.labels, strict=True):
        for picture, matrix in zip(frame.images, frame.lidar_to_image(), strict=True):
            seen = np.c_[box, np.ones(8)] @ matrix.T
            if (seen[:, 2] < 0.5).any():
                continue
            u, v = (seen[:, :2] / seen[:, 2:3]).T
            rows, columns = slice(max(int(v.min()), 0), int(v.max()) + 1), slice(max(int(u.min()), 0), int(u.max()) + 1)
            picture[label % 3, rows, columns] = 150 + 10 * int(label)
