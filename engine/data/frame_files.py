"""A frame as files: `frame.json`, a picture of each camera, and the points as float32.

    {"token": …, "box_format": "cx cy cz l w h yaw …",
     "lidar": {"file": …, "dims": ["x", "y", "z", "intensity", …],
               "sweeps": [{"file": …, "to_lidar": 4×4, "time": seconds before the frame}]},   (may be absent)
     "cameras": {name: {"file": …, "cam2img": 3×3, "lidar2cam": 4×4}},
     "instances": [{"name": class, "box": [7 numbers], "velocity": [vx, vy] or [null, null], "num_lidar_pts": n}]}

Where it stands in the world, `ego2global` beside the token and `lidar.lidar2ego` (both 4×4), is for whoever judges
detections, and may be absent; so may `num_radar_pts` and `attribute` of an instance.

Boxes there are (cx, cy, cz, l, w, h, yaw) in the LiDAR's frame, as in the infos of mmdetection3d, but with the
centre of gravity; a `Frame` has width before length, as nuScenes itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detui.engine.data.frame import BOX, NUSCENES_CLASSES, POINT, Floats, Frame
from detui.engine.errors import DataError, MissingError
from detui.engine.run.files import write_json, write_whole

FILE = "frame.json"


NEAR = 1.0
"""Points of earlier sweeps that lie closer to their sensor in x and y, in metres, show the car itself."""


def read_frame(folder: Path, classes: tuple[str, ...] = NUSCENES_CLASSES) -> Frame:
    """The frame that `folder`/frame.json describes.

    Instances of none of the classes are left out; those that no sensor saw are not: `num_lidar_points` tells them.
    Raises MissingError for a file that is absent, DataError for one that is not as said above.
    """
    path = folder / FILE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingError("There is no such file.", where=str(path)) from error
    except (ValueError, OSError) as error:
        raise DataError(f"The file cannot be read: {error}.", where=str(path)) from error
    return frame_of(told, folder, classes, str(path))


def frame_of(told: Mapping[str, Any], folder: Path, classes: tuple[str, ...], where: str) -> Frame:
    """The frame that is told as above, its files below `folder`. Raises as `read_frame`; `where` names the place."""
    try:
        frame = _frame(told, folder, classes)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        raise DataError(f"A field is absent or of another kind: {error!r}.", where=where) from error
    frame.check()
    return frame


def _frame(told: Mapping[str, Any], folder: Path, classes: tuple[str, ...]) -> Frame:
    cameras: Mapping[str, Any] = told["cameras"]
    kept = [one for one in told["instances"] if one["name"] in classes]
    boxes = np.array([_box(one) for one in kept], np.float32).reshape(-1, len(BOX))
    return Frame(
        token=told["token"],
        images=np.stack([_picture(folder / one["file"]) for one in cameras.values()]),
        points=_cloud(told["lidar"], folder),
        intrinsics=np.array([np.array(one["cam2img"], np.float64)[:3, :3] for one in cameras.values()]),
        lidar_to_camera=np.array([one["lidar2cam"] for one in cameras.values()], np.float64),
        boxes=boxes,
        labels=np.array([classes.index(one["name"]) for one in kept], np.int64),
        num_lidar_points=np.array([one["num_lidar_pts"] for one in kept], np.int64),
        cameras=tuple(cameras),
        classes=classes,
    )


def _box(instance: Mapping[str, Any]) -> list[float]:
    x, y, z, length, width, height, yaw = instance["box"]
    velocity = [np.nan if v is None else float(v) for v in instance["velocity"]]
    return [x, y, z, width, length, height, yaw, *velocity]


def _picture(path: Path) -> NDArray[np.uint8]:
    """[3, H, W]."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return np.ascontiguousarray(np.asarray(picture.convert("RGB"), np.uint8).transpose(2, 0, 1))
    except FileNotFoundError as error:
        raise MissingError("There is no such picture.", where=str(path)) from error
    except OSError as error:
        raise DataError(f"The picture cannot be read: {error}.", where=str(path)) from error


def _cloud(lidar: Mapping[str, Any], folder: Path) -> Floats:
    """[P, 5]: the frame's own sweep, then the earlier ones, brought into its frame of reference."""
    parts = [_points(folder / lidar["file"], lidar["dims"])]
    for sweep in lidar.get("sweeps") or ():
        found = _points(folder / sweep["file"], lidar["dims"])
        found = found[(abs(found[:, :2]) >= NEAR).any(1)]
        matrix = np.array(sweep["to_lidar"], np.float64)
        found[:, :3] = found[:, :3].astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
        found[:, 4] = sweep["time"]
        parts.append(found)
    return np.concatenate(parts)


def _points(path: Path, columns: list[str]) -> Floats:
    """[P, 5]. A file without `time` holds the frame's own sweep: its time is 0; what else it tells is left out."""
    try:
        flat = np.fromfile(path, np.float32)
    except FileNotFoundError as error:
        raise MissingError("There is no such point cloud.", where=str(path)) from error
    if flat.size % len(columns):
        message = f"{flat.size} numbers are no whole number of points with {len(columns)} columns."
        raise DataError(message, where=str(path), hint="was the file cut?")
    table = flat.reshape(-1, len(columns))
    found = [table[:, columns.index(name)] if name in columns else np.zeros(len(table), np.float32) for name in POINT]
    return np.stack(found, 1)


def write_frame(frame: Frame, folder: Path) -> None:
    """Write a frame so that `read_frame` gives it back. Raises RunError where that cannot be written.

    frame.json comes last: a folder that has one is whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "points.bin", frame.points.astype("<f4").tobytes())
    cameras = {}
    for index, name in enumerate(frame.cameras):
        _write_picture(frame.images[index], folder / f"{name}.png")
        matrices = {"cam2img": frame.intrinsics[index].tolist(), "lidar2cam": frame.lidar_to_camera[index].tolist()}
        cameras[name] = {"file": f"{name}.png", **matrices}
    rows = zip(frame.boxes.astype(float).tolist(), frame.labels.tolist(), frame.num_lidar_points.tolist(), strict=True)
    told = {
        "token": frame.token,
        "box_format": "cx cy cz(gravity centre) l w h yaw, lidar frame",
        "lidar": {"file": "points.bin", "dims": list(POINT)},
        "cameras": cameras,
        "instances": [_instance(box, frame.classes[label], points) for box, label, points in rows],
    }
    write_json(folder / FILE, told)


def _instance(box: list[float], name: str, points: int) -> dict[str, Any]:
    x, y, z, width, length, height, yaw, *velocity = box
    known = [None if np.isnan(v) else v for v in velocity]
    return {"name": name, "box": [x, y, z, length, width, height, yaw], "velocity": known, "num_lidar_pts": points}


def _write_picture(picture: NDArray[np.uint8], path: Path) -> None:
    from io import BytesIO

    from PIL import Image

    content = BytesIO()
    Image.fromarray(picture.transpose(1, 2, 0)).save(content, "PNG")
    write_whole(path, content.getvalue())
