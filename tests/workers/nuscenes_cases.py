"""Ground truth and detections of frames for tests of nuScenes' metric: by hand, at random, or from a truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from detui.engine.data.frame import BOX, NUSCENES_CLASSES

ATTRIBUTES = {
    "car": ("vehicle.moving", "vehicle.parked", "vehicle.stopped"),
    "pedestrian": ("pedestrian.moving", "pedestrian.standing"),
    "bicycle": ("cycle.with_rider", "cycle.without_rider"),
}
Row = list[Any]


def box(x: float, y: float, *, w: float = 2.0, l: float = 4.0, yaw: float = 0.0, v: Any = (0.0, 0.0)) -> Row:  # noqa: E741
    """One box 1.5 m high, on the ground of the LiDAR."""
    return [x, y, 0.0, w, l, 1.5, yaw, *v]


def truth(*frames: list[tuple[str, Row]], classes: tuple[str, ...] = NUSCENES_CLASSES, **more: Any) -> dict[str, Any]:
    """A ground truth; each frame is its boxes with their class. `more`: further fields of every frame."""
    return _file(classes) | {"metric": "nuscenes", "frames": [
        {"token": f"t{n}", "boxes": [row for _, row in one], "labels": [classes.index(name) for name, _ in one],
         "points": [5] * len(one), **more}
        for n, one in enumerate(frames)
    ]}  # fmt: skip


def said(*frames: list[tuple[str, Row, float]], classes: tuple[str, ...] = NUSCENES_CLASSES) -> dict[str, Any]:
    """Detections of such frames: class, box and score."""
    return _file(classes) | {"frames": [
        {"token": f"t{n}", "boxes": [row for _, row, _ in one], "labels": [classes.index(name) for name, *_ in one],
         "scores": [score for *_, score in one]}
        for n, one in enumerate(frames)
    ]}  # fmt: skip


def random_case(seed: int, frames: int = 6, noise: float = 0.6) -> tuple[dict[str, Any], dict[str, Any]]:
    """Five classes under a turned and tilted vehicle; unknown velocities, ties, false alarms, misses."""
    draw = np.random.default_rng(seed)
    names = ("car", "pedestrian", "barrier", "traffic_cone", "bicycle")
    truths, detections = [], []
    for n in range(frames):
        count = int(draw.integers(0, 30))
        rows = _rows(draw, count)
        labels = draw.integers(0, len(names), count)
        some = [str(draw.choice((*ATTRIBUTES.get(names[k], ("",)), ""))) for k in labels]
        truths.append({"token": f"t{n}", "boxes": _plain(rows), "labels": labels.tolist(),
                       "points": draw.integers(0, 4, count).tolist(), "attributes": some,
                       "lidar_to_ego": _pose(draw, 2).tolist(), "ego_to_world": _pose(draw, 800).tolist()})  # fmt: skip
        found = np.nan_to_num(rows[draw.random(count) > 0.2]) if count else rows
        found = found + draw.normal(0, noise, found.shape) * np.array([1, 1, 0.2, 0.1, 0.1, 0.1, 0.4, 1, 1])
        extra = _rows(draw, int(draw.integers(0, 10)))
        kept = labels[: len(found)]
        found, kinds = np.r_[found, np.nan_to_num(extra)], np.r_[kept, draw.integers(0, len(names), len(extra))]
        found[:, 3:6] = np.maximum(abs(found[:, 3:6]), 0.2)
        scores = (draw.random(len(found)) * 20).round() / 20
        detections.append(
            {"token": f"t{n}", "boxes": found.tolist(), "labels": kinds.tolist(), "scores": scores.tolist()}
        )
    return _file(names) | {"metric": "nuscenes", "frames": truths}, _file(names) | {"frames": detections[::-1]}


def of_truth(known: dict[str, Any], *, attributes: bool = False) -> dict[str, Any]:
    """Detections that say exactly what stands in a ground truth, boxes that nobody saw included; scores fall."""
    frames = []
    for one in known["frames"]:
        rows = [[0.0 if v is None else v for v in row] for row in one["boxes"]]
        frame = {"token": one["token"], "boxes": rows, "labels": one["labels"],
                 "scores": [0.9 - 0.001 * k for k in range(len(rows))]}  # fmt: skip
        frames.append(frame | ({"attributes": one["attributes"]} if attributes else {}))
    return {key: known[key] for key in ("schema", "frame", "classes", "box")} | {"frames": frames}


def write(path: Path, content: Any) -> Path:
    """Write JSON."""
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def _file(classes: tuple[str, ...]) -> dict[str, Any]:
    return {"schema": 1, "frame": "lidar", "classes": list(classes), "box": list(BOX)}


def _rows(draw: np.random.Generator, count: int) -> np.ndarray:
    rows = np.c_[
        draw.uniform(-45, 45, (count, 2)), draw.normal(0, 1, count), draw.uniform(0.5, 3, (count, 3)),
        draw.uniform(-4, 4, count), draw.normal(0, 2, (count, 2)),
    ]  # fmt: skip
    rows[draw.random(count) < 0.15, 7:] = np.nan
    return rows


def _plain(rows: np.ndarray) -> list[Row]:
    return [[None if np.isnan(v) else v for v in row] for row in rows.tolist()]


def _pose(draw: np.random.Generator, far: float) -> np.ndarray:
    """A turn about the upright, a slight tilt, and a shift."""
    yaw, tilt = draw.uniform(-3, 3), draw.normal(0, 0.02)
    upright = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1.0]])
    tilted = np.array([[1.0, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = upright @ tilted, draw.uniform(-far, far, 3)
    return pose
