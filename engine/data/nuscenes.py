"""nuScenes as infos of mmdetection3d: frames out of what its converters wrote, without the tables of the devkit.

Two forms are in use. Before release 1.1: `{"infos": […], "metadata": …}`, boxes in arrays, rotations as quaternions
(w, x, y, z), a pose of the car for each sensor's own moment. From 1.1: `{"data_list": […], "metainfo": …}`, a box a
dictionary, matrices. Both come as pickles; both are read as JSON as well.

What is handed on are entries as frame.json has them: boxes (x, y, z, length, width, height, yaw) with the gravity
centre, velocities in metres a second, all in the frame of the LiDAR (x right, y ahead, z up) when its sweep ended.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detui.engine.data.calibration import AHEAD
from detui.engine.data.frame_checks import Candidate, Source
from detui.engine.data.frame_layouts import NuscenesDefinition
from detui.engine.data.plain_pickle import load_plain
from detui.engine.data.reading import Reading
from detui.engine.errors import DataError, MissingError

Matrix = NDArray[np.float64]
Made = tuple[dict[str, Any], list[str]]
"""An entry, and what is doubtful about its calibration."""

DIMS = ("x", "y", "z", "intensity", "ring")
"""The columns of nuScenes' point clouds."""
LONG = ("car", "truck", "bus", "trailer")
"""What is longer than wide, whoever measured it."""
_TOLERANCE = (0.05, 0.01)
"""Metres, and entries of a rotation, by which two statements of one calibration may differ."""
_CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_FRONT_LEFT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT")
assert set(_CAMERAS) == set(AHEAD)


def read_split(layout: NuscenesDefinition, reading: Reading, name: str, limit: int | None) -> Source:
    """The frames of a split, in the order of its infos; the first `limit` of them.

    Raises MissingError for a file of infos that is absent, DataError for one that is refused or none.
    """
    file = layout.splits[name].infos
    content = _load(reading.root / file)
    infos, old = _list(content, reading.root / file)
    reader = _Reader(_Files(reading.root), file, layout.options.sweeps)
    make: Callable[[Any], Made]
    if old:
        make = partial(reader.old, order=_box_order(layout, infos, reading, file))
    else:
        make = partial(reader.new, names=_names(content.get("metainfo"), reading.root / file))
    key = "infos" if old else "data_list"
    found = (reader.candidate(f"{key}[{number}]", info, make) for number, info in enumerate(islice(infos, limit)))
    return Source(len(infos), found)


def _load(path: Path) -> Any:
    if path.suffix.lower() != ".json":
        return load_plain(path)
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise MissingError("This file of the data set is absent.", where=str(path)) from error
    except (OSError, ValueError) as error:
        raise DataError(f"The file cannot be read: {error}.", where=str(path)) from error


def _list(content: Any, path: Path) -> tuple[Sequence[Any], bool]:
    """The infos, and whether they are of the first form."""
    if isinstance(content, Mapping):
        for key in ("infos", "data_list"):
            if isinstance(content.get(key), list):
                return content[key], key == "infos"
    message = "The file holds neither `infos` nor `data_list`: it is no file of infos of mmdetection3d."
    raise DataError(message, where=str(path), hint="tools/create_data.py nuscenes of mmdetection3d writes one")


def _names(told: Any, path: Path) -> dict[int, str]:
    """Names by label."""
    told = told if isinstance(told, Mapping) else {}
    categories = told.get("categories")
    if isinstance(categories, Mapping) and all(isinstance(label, int) for label in categories.values()):
        return {label: str(name) for name, label in categories.items()}
    classes = told.get("classes") or told.get("CLASSES")
    if isinstance(classes, (list, tuple)):
        return {label: str(name) for label, name in enumerate(classes)}
    raise DataError("metainfo.categories is absent: nobody knows what the labels mean.", where=str(path))


def _box_order(layout: NuscenesDefinition, infos: Sequence[Any], reading: Reading, file: str) -> str:
    """lwh or wlh: as the definition says, or as the vehicles look."""
    if layout.boxes != "auto":
        return layout.boxes
    longer = total = 0
    for info in infos:
        try:
            names = [str(name) for name in info["gt_names"]]
            boxes = np.asarray(info["gt_boxes"], np.float64)[np.isin(names, LONG)]
            longer, total = longer + int((boxes[:, 3] > boxes[:, 4]).sum()), total + len(boxes)
        except (KeyError, TypeError, ValueError, IndexError):
            continue  # it has no boxes, or is reported when its frame is made
    if total == 0 or longer > 0.9 * total:
        return "lwh"
    if longer < 0.1 * total:
        return "wlh"
    reason = f"{longer} of {total} vehicles are longer than wide: say `boxes: lwh` or `boxes: wlh` in the definition"
    reading.ledger.report("malformed", file, None, reason)
    return "lwh"


class _Files:
    """Finds files: infos name them by paths of the machine that they were made on."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def find(self, path: str, sensor: str) -> str:
        """The file relative to the root: below samples/ or sweeps/, or in the root itself; the first where absent."""
        parts = PurePosixPath(path.replace("\\", "/")).parts
        starts = [at for at, part in enumerate(parts) if part in ("samples", "sweeps")]
        name = parts[-1]
        tails = [PurePosixPath(*parts[starts[-1] :])] if starts else []
        tails += [PurePosixPath(folder, sensor, name) for folder in ("samples", "sweeps")] if not starts else []
        tails.append(PurePosixPath(name))
        return str(next((tail for tail in tails if (self._root / tail).is_file()), tails[0]))


class _Reader:
    """Makes entries out of infos."""

    def __init__(self, files: _Files, file: str, sweeps: int) -> None:
        self._files, self._file, self._sweeps = files, file, sweeps

    def candidate(self, line: str, info: Any, make: Callable[[Any], Made]) -> Candidate:
        """The entry of an info, or why there is none."""
        try:
            entry, doubts = make(info)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, OSError) as error:
            fault = f"a field is absent or of another kind: {error!r}"
            return Candidate(file=self._file, line=line, entry=None, fault=fault)
        return Candidate(file=self._file, line=line, entry=entry, doubts=tuple(doubts))

    def old(self, info: Mapping[str, Any], order: str) -> Made:
        """Of the first form. Also what is doubtful about its calibration."""
        lidar = _times(_pose(info, "ego2global"), _pose(info, "lidar2ego"))
        doubts: list[str] = []
        cameras = {}
        for name in _CAMERAS:
            camera = info["cams"][name]
            back = _inverse(_pose(camera, "sensor2ego")), _inverse(_pose(camera, "ego2global"))
            chain = _times(*back, lidar)
            if "sensor2lidar_rotation" in camera:
                stated = _inverse(_matrix(camera["sensor2lidar_rotation"], camera["sensor2lidar_translation"]))
                doubts += _differs(name, chain, stated)
            cameras[name] = self._camera(name, camera["data_path"], camera["cam_intrinsic"], chain)
        sweeps = [
            self._sweep(one["data_path"], _matrix(one["sensor2lidar_rotation"], one["sensor2lidar_translation"]),
                        _seconds(info["timestamp"]) - _seconds(one["timestamp"]))
            for one in (info.get("sweeps") or [])[: self._sweeps]
        ]  # fmt: skip
        poses = {"lidar2ego": _pose(info, "lidar2ego"), "ego2global": _pose(info, "ego2global")}
        instances = _old_instances(info, order)
        return self._entry(info, info["lidar_path"], 5, sweeps, cameras, instances, poses), doubts

    def new(self, info: Mapping[str, Any], names: Mapping[int, str]) -> Made:
        """Of the second form, which states the chain from LiDAR to camera as one matrix."""
        cameras = {}
        for name in _CAMERAS:
            camera = info["images"][name]
            cameras[name] = self._camera(name, camera["img_path"], camera["cam2img"], np.array(camera["lidar2cam"]))
        sweeps = [self._new_sweep(info, one) for one in (info.get("lidar_sweeps") or [])[: self._sweeps]]
        points = info["lidar_points"]
        found = [
            _instance(names.get(int(one["bbox_label_3d"]), ""), _floats(one["bbox_3d"])[:7], one["velocity"],
                      one["num_lidar_pts"], one.get("num_radar_pts"))
            for one in info.get("instances") or []
        ]  # fmt: skip
        columns = int(points.get("num_pts_feats", 5))
        told = {"lidar2ego": points.get("lidar2ego"), "ego2global": info.get("ego2global")}
        poses = {name: np.asarray(pose, np.float64) for name, pose in told.items() if pose is not None}
        return self._entry(info, points["lidar_path"], columns, sweeps, cameras, found, poses), []

    def _new_sweep(self, info: Mapping[str, Any], one: Mapping[str, Any]) -> dict[str, Any]:
        points = one["lidar_points"]
        if "lidar2ego" in points and "ego2global" in one:
            now = _times(info["ego2global"], info["lidar_points"]["lidar2ego"])
            matrix = _times(_inverse(now), one["ego2global"], points["lidar2ego"])
        else:
            matrix = _inverse(points["lidar2sensor"])
        return self._sweep(points["lidar_path"], matrix, _seconds(info["timestamp"]) - _seconds(one["timestamp"]))

    def _entry(
        self, info: Mapping[str, Any], path: str, columns: int, sweeps: list[dict[str, Any]],
        cameras: dict[str, Any], instances: list[dict[str, Any]], poses: Mapping[str, Matrix],
    ) -> dict[str, Any]:  # fmt: skip
        lidar = {"file": self._files.find(path, "LIDAR_TOP"), "dims": list(DIMS[:columns])}
        of_lidar, of_world = (
            {name: poses[name].tolist()} if name in poses else {} for name in ("lidar2ego", "ego2global")
        )
        return {
            "token": info["token"],
            **of_world,
            "lidar": {**lidar, **of_lidar, **({"sweeps": sweeps} if sweeps else {})},
            "cameras": cameras,
            "instances": instances,
        }

    def _camera(self, name: str, path: str, intrinsics: Any, lidar_to_camera: Matrix) -> dict[str, Any]:
        return {"file": self._files.find(path, name), "cam2img": np.asarray(intrinsics, np.float64).tolist(),
                "lidar2cam": lidar_to_camera.tolist()}  # fmt: skip

    def _sweep(self, path: str, to_lidar: Matrix, seconds: float) -> dict[str, Any]:
        return {"file": self._files.find(path, "LIDAR_TOP"), "to_lidar": to_lidar.tolist(), "time": seconds}


def _old_instances(info: Mapping[str, Any], order: str) -> list[dict[str, Any]]:
    if "gt_boxes" not in info:
        return []
    boxes = np.asarray(info["gt_boxes"], np.float64).reshape(-1, np.shape(info["gt_boxes"])[-1] or 7)[:, :7]
    if order == "wlh":
        # Before release 1.0 the heading turned the other way and began a quarter behind.
        turned = -boxes[:, 6] - np.pi / 2
        turned = (turned + np.pi) % (2 * np.pi) - np.pi
        boxes = np.c_[boxes[:, :3], boxes[:, 4], boxes[:, 3], boxes[:, 5], turned]
    radar = info.get("num_radar_pts", [None] * len(boxes))
    columns = (info["gt_names"], boxes.tolist(), info["gt_velocity"], info["num_lidar_pts"], radar)
    return [_instance(str(name), *others) for name, *others in zip(*columns, strict=True)]


def _instance(name: str, box: list[float], velocity: Any, points: Any, radar: Any) -> dict[str, Any]:
    """`radar`: the points of the radars in the box, where they are told: what they see is judged as well."""
    known = [None if v is None or math.isnan(float(v)) else float(v) for v in velocity]
    told = {} if radar is None else {"num_radar_pts": int(radar)}
    return {"name": name, "box": box, "velocity": known, "num_lidar_pts": int(points), **told}


def _floats(values: Any) -> list[float]:
    return [float(value) for value in values]


def _seconds(stamp: Any) -> float:
    """Time stamps are microseconds in the first form, seconds in the second."""
    return float(stamp) / 1e6 if float(stamp) > 1e12 else float(stamp)


def _pose(told: Mapping[str, Any], name: str) -> Matrix:
    """[4, 4] of `name`_rotation, a quaternion (w, x, y, z), and `name`_translation."""
    w, x, y, z = (float(part) for part in told[f"{name}_rotation"])
    norm = math.sqrt(w * w + x * x + y * y + z * z)
    w, x, y, z = w / norm, x / norm, y / norm, z / norm
    turn = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return _matrix(turn, told[f"{name}_translation"])


def _matrix(turn: Any, place: Any) -> Matrix:
    """[4, 4]: a rotation and a translation."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = np.asarray(turn, np.float64), np.asarray(place, np.float64)
    return matrix


def _times(*matrices: Any) -> Matrix:
    """Their product. Element by element in a fixed order, so that it is the same to the bit on every machine: a
    fingerprint is taken of it, and libraries of linear algebra differ in the last place."""
    product, *others = (np.asarray(matrix, np.float64) for matrix in matrices)
    for other in others:
        parts = [product[:, part, None] * other[part] for part in range(4)]
        product = parts[0] + parts[1] + parts[2] + parts[3]
    return product


def _inverse(matrix: Any) -> Matrix:
    """Of a rotation and a translation."""
    rigid = np.asarray(matrix, np.float64)
    back = np.eye(4)
    back[:3, :3] = rigid[:3, :3].T
    place = [back[:3, part] * rigid[part, 3] for part in range(3)]
    back[:3, 3] = -(place[0] + place[1] + place[2])
    return back


def _differs(name: str, chain: Matrix, stated: Matrix) -> list[str]:
    away, turned = (float(abs(chain[:3, part] - stated[:3, part]).max()) for part in (3, slice(0, 3)))
    if away <= _TOLERANCE[0] and turned <= _TOLERANCE[1]:
        return []
    return [f"{name}: sensor2lidar and the poses of the car disagree by {away:.2f} m, {turned:.3f} in the rotation"]
