"""What is right on frames that lie as files: the ground truth that detections in them are judged against.

The form is that of evaluate/nuscenes_boxes.py. No picture and no point is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detui.engine.data.frame import BOX, NUSCENES_CLASSES
from detui.engine.errors import DataError
from detui.engine.run.files import encode, write_whole

METRIC = "nuscenes"
"""By what detections in frames are judged: `metric` of dataset.json and of every ground truth of frames."""


def write_truth(path: Path, frames: Iterable[Mapping[str, Any]], classes: Sequence[str] = NUSCENES_CLASSES) -> int:
    """Write the ground truth of a split, whole or not at all; returns how many boxes it has.

    `frames`: each as frame.json has it (frame_files.py). Beside what a `Frame` holds, its instances may tell
    `num_radar_pts` and `attribute`, `lidar.lidar2ego` and `ego2global` where it stands in the world. Boxes of other
    classes are left out. Raises DataError for a frame that is wrong, RunError where the ground truth cannot be written.
    """
    head = encode({"schema": 1, "metric": METRIC, "frame": "lidar", "classes": list(classes), "box": list(BOX)})
    lines, boxes = [], 0
    for told in frames:
        frame = frame_truth(told, classes)
        boxes += len(frame["labels"])
        lines.append(encode(frame))  # nuScenes has more than a million boxes, which as objects take a gigabyte
    write_whole(path, head[:-1] + b',"frames":[\n' + b",\n".join(lines) + b"\n]}")
    return boxes


def frame_truth(told: Mapping[str, Any], classes: Sequence[str] = NUSCENES_CLASSES) -> dict[str, Any]:
    """One entry of `frames`. Raises DataError."""
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
        where = str(told.get("token")) if isinstance(told, Mapping) else None
        raise DataError(f"A field of a frame is absent or of another kind: {error!r}.", where=where) from error
    if any("attribute" in one for one in kept):
        frame["attributes"] = [one.get("attribute") or "" for one in kept]
    return {**frame, **{name: pose for name, pose in poses.items() if pose is not None}}


def _box(instance: dict[str, Any]) -> list[float | None]:
    """The columns of BOX; a velocity that nobody knows is None."""
    x, y, z, length, width, height, yaw = instance["box"]
    return [x, y, z, width, length, height, yaw, *instance["velocity"]]
