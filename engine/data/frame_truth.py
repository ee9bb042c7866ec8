"""What is right on frames that lie as files: the ground truth that detections in them are judged against.

The form is that of evaluate/nuscenes_boxes.py. No picture and no point is read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detui.engine.data.frame import BOX, NUSCENES_CLASSES
from detui.engine.data.frame_files import FILE
from detui.engine.errors import DataError, MissingError
from detui.engine.run.files import write_json

METRIC = "nuscenes"
"""By what detections in frames are judged: `metric` of dataset.json and of every ground truth of frames."""


def write_truth(path: Path, folders: Sequence[Path], classes: Sequence[str] = NUSCENES_CLASSES) -> int:
    """Write the ground truth of a split, whole or not at all; returns how many boxes it has.

    `folders`: each has a frame.json (frame_files.py). Beside what a `Frame` holds, its instances may tell
    `num_radar_pts` and `attribute`, `lidar.lidar2ego` and `ego2global` where it stands in the world. Boxes of other
    classes are left out. Raises MissingError, DataError for a file that is absent or wrong, RunError where the ground
    truth cannot be written.
    """
    frames = [frame_truth(folder, classes) for folder in folders]
    told = {"schema": 1, "metric": METRIC, "frame": "lidar", "classes": list(classes), "box": list(BOX)}
    write_json(path, {**told, "frames": frames})
    return sum(len(frame["labels"]) for frame in frames)


def frame_truth(folder: Path, classes: Sequence[str] = NUSCENES_CLASSES) -> dict[str, Any]:
    """One entry of `frames`. Raises MissingError, DataError."""
    path = folder / FILE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingError("There is no such file.", where=str(path)) from error
    except (ValueError, OSError) as error:
        raise DataError(f"The file cannot be read: {error}.", where=str(path)) from error
    try:
        kept = [one for one in told["instances"] if one["name"] in classes]
        frame = {
            "token": told["token"],
            "boxes": [_box(one) for one in kept],
            "labels": [list(classes).index(one["name"]) for one in kept],
            "points": [int(one["num_lidar_pts"]) + int(one.get("num_radar_pts") or 0) for one in kept],
        }
        poses = {"lidar_to_ego": told["lidar"].get("lidar2ego"), "ego_to_world": told.get("ego2global")}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"A field is absent or of another kind: {error!r}.", where=str(path)) from error
    if any("attribute" in one for one in kept):
        frame["attributes"] = [one.get("attribute") or "" for one in kept]
    return {**frame, **{name: pose for name, pose in poses.items() if pose is not None}}


def _box(instance: dict[str, Any]) -> list[float | None]:
    """The columns of BOX; a velocity that nobody knows is None."""
    x, y, z, length, width, height, yaw = instance["box"]
    return [x, y, z, width, length, height, yaw, *instance["velocity"]]
