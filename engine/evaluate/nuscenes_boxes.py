"""What is judged in the manner of nuScenes: ground truth and detections of frames, checked, in one frame of reference.

A ground truth that calls for this metric is the file of a split in prepared data:

    {"schema": 1, "metric": "nuscenes", "frame": "lidar", "classes": [name, …], "box": [the columns of data.frame.BOX],
     "frames": [{"token": …, "boxes": [[9 numbers], …], "labels": [place in classes, …], "points": [n, …],
                 "attributes": [name or "", …], "lidar_to_ego": 4×4, "ego_to_world": 4×4}, …]}

`points` counts those of LiDAR and radar inside a box; a velocity that nobody knows is null. A frame may lack
`attributes` (nobody knows any) and the two poses (the frames of reference are the same). The detections are the file
that the torch backend writes: the same columns, with `scores` beside `labels`.

Distances of nuScenes are along the ground of the world, and ranges count from the vehicle, so everything is brought
into the world's axes first. A box that no sensor saw, or that lies beyond the range of its class, is not judged; a
detection beyond the range of its class is not either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detui.engine.data.frame import BOX, NUSCENES_CLASSES
from detui.engine.errors import DataError

RANGES = {"car": 50, "truck": 50, "construction_vehicle": 50, "bus": 50, "trailer": 50, "barrier": 30,
          "motorcycle": 40, "bicycle": 40, "pedestrian": 40, "traffic_cone": 30}  # fmt: skip
"""Metres from the vehicle within which a class is judged (detection_cvpr_2019)."""
MOST = 500
"""Detections of a frame that count: those of the highest scores."""
MOVING = 0.2
"""Metres per second above which something moves."""
THINNEST = 1e-5
"""Metres: a size that the file's digits round to nothing is this."""
_HINT_TRUTH = "detui data check NAME"
_HINT_DETECTIONS = "evaluate the checkpoint again, or look at the program that wrote this file"
_AT_REST = {"car": "vehicle.parked", "truck": "vehicle.parked", "construction_vehicle": "vehicle.parked",
            "bus": "vehicle.stopped", "trailer": "vehicle.parked", "barrier": "",
            "motorcycle": "cycle.without_rider", "bicycle": "cycle.without_rider",
            "pedestrian": "pedestrian.standing", "traffic_cone": ""}  # fmt: skip
_IN_MOTION = {**dict.fromkeys(("car", "truck", "construction_vehicle", "bus", "trailer"), "vehicle.moving"),
              "motorcycle": "cycle.with_rider", "bicycle": "cycle.with_rider", "pedestrian": "pedestrian.moving",
              "barrier": "", "traffic_cone": ""}  # fmt: skip

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Boxes:
    """Boxes of many frames in the world's axes, in the order of the frames."""

    frame: Integers
    """[N], the place of each box's frame among the ground truth's."""
    label: Integers
    """[N], places in NUSCENES_CLASSES."""
    box: Doubles
    """[N, 9], the columns of `data.frame.BOX`."""
    attribute: NDArray[np.str_]
    """[N], "vehicle.moving" …; "" where there is none, or nobody knows it."""
    score: Doubles
    """[N], 0–1; of ground truth 1."""

    def __len__(self) -> int:
        return len(self.label)

    def where(self, chosen: NDArray[Any]) -> Boxes:
        """Those of a mask [N], or of places in the order given."""
        return Boxes(frame=self.frame[chosen], label=self.label[chosen], box=self.box[chosen],
                     attribute=self.attribute[chosen], score=self.score[chosen])  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Truth:
    """A ground truth as it is judged."""

    tokens: tuple[str, ...]
    """[F], the frames."""
    to_world: Doubles
    """[F, 4, 4], from each frame's LiDAR to the world."""
    vehicle: Doubles
    """[F, 3], where the vehicle stands in the world."""
    boxes: Boxes
    """Those that are judged."""
    left_out: int
    """Boxes that are not: seen by no sensor, or beyond the range of their class."""

    def perfect(self) -> Boxes:
        """Detections that nobody could better: what is judged, as it is. A velocity that nobody knows is 0."""
        box = np.where(np.isnan(self.boxes.box), 0.0, self.boxes.box)
        found = Boxes(frame=self.boxes.frame, label=self.boxes.label, box=box, attribute=self.boxes.attribute,
                      score=self.boxes.score)  # fmt: skip
        return _best(found)


def read_truth(told: Mapping[str, Any], where: str) -> Truth:
    """What is judged of a ground truth. Raises DataError for anything in it that is not as said above."""
    names, frames = _head(told, where, _HINT_TRUTH)
    tokens = tuple(_token(entry, f"{where}: frames[{place}]", _HINT_TRUTH) for place, entry in enumerate(frames))
    if len(set(tokens)) < len(tokens):
        raise DataError("Two frames have the same token.", where=where, hint=_HINT_TRUTH)
    parts: list[Boxes] = []
    poses, vehicles, seen = np.zeros((len(frames), 4, 4)), np.zeros((len(frames), 3)), []
    for place, (token, entry) in enumerate(zip(tokens, frames, strict=True)):
        at = f"{where}: frame {token}"
        ego_to_world = _pose(entry, "ego_to_world", at)
        poses[place], vehicles[place] = ego_to_world @ _pose(entry, "lidar_to_ego", at), ego_to_world[:3, 3]
        box, label = _table(entry, names, at, _HINT_TRUTH)
        if not np.isfinite(box[:, :7]).all() or np.isinf(box).any() or (box[:, 3:6] <= 0).any():
            text = "A place, size or heading is not finite, or a size is not positive."
            raise DataError(text, where=at, hint=_HINT_TRUTH)
        points = _column(entry, "points", len(label), at, _HINT_TRUTH)
        seen.append(points > 0)
        attributes = _attributes(entry, len(label), at, _HINT_TRUTH)
        known = np.full(len(label), "", "<U32") if attributes is None else attributes
        parts.append(_made(place, label, _turned(box, poses[place]), known, np.ones(len(label))))
    everything = _joined(parts)
    judged = np.concatenate([*seen, np.zeros(0, bool)]) & _in_range(everything, vehicles)
    boxes = everything.where(judged)
    return Truth(tokens=tokens, to_world=poses, vehicle=vehicles, boxes=boxes, left_out=len(everything) - len(boxes))


def read_detections(told: Any, truth: Truth, where: str) -> Boxes:
    """The detections that are judged: at most 500 a frame, within the range of their class.

    Attributes that the file does not tell follow from class and speed, as mmdetection3d has it. Raises DataError for a
    file that lacks a frame of the ground truth, has others, or is not as said above.
    """
    names, frames = _head(told, where, _HINT_DETECTIONS)
    by_token = {_token(entry, f"{where}: frames[{n}]", _HINT_DETECTIONS): entry for n, entry in enumerate(frames)}
    if absent := [token for token in truth.tokens if token not in by_token]:
        text = f"{len(absent)} of {len(truth.tokens)} frames are absent, {absent[0]} first."
        raise DataError(text, where=where, hint="write every frame of the split, without boxes where there are none")
    if len(by_token) < len(frames) or len(by_token) > len(truth.tokens):
        text = "A frame occurs twice, or is none of the ground truth's."
        raise DataError(text, where=where, hint=_HINT_DETECTIONS)
    parts = []
    for place, token in enumerate(truth.tokens):
        entry, at = by_token[token], f"{where}: frame {token}"
        box, label = _table(entry, names, at, _HINT_DETECTIONS)
        if not np.isfinite(box).all() or (box[:, 3:6] < 0).any():
            raise DataError("A number of a box is not finite, or a size is negative.", where=at, hint=_HINT_DETECTIONS)
        score = _column(entry, "scores", len(label), at, _HINT_DETECTIONS)
        if not ((score >= 0) & (score <= 1)).all():
            raise DataError("A score lies outside 0 to 1.", where=at, hint=_HINT_DETECTIONS)
        box[:, 3:6] = np.maximum(box[:, 3:6], THINNEST)
        attributes = _attributes(entry, len(label), at, _HINT_DETECTIONS)
        known = guessed_attributes(label, np.hypot(box[:, 7], box[:, 8])) if attributes is None else attributes
        parts.append(_made(place, label, _turned(box, truth.to_world[place]), known, score))
    found = _best(_joined(parts))
    return found.where(_in_range(found, truth.vehicle))


def guessed_attributes(label: Integers, speed: Doubles) -> NDArray[np.str_]:
    """[N]: what a detector that tells no attributes is taken to say, by class and speed (m/s)."""
    names = [NUSCENES_CLASSES[one] for one in label]
    told = [_IN_MOTION[n] if fast else _AT_REST[n] for n, fast in zip(names, speed > MOVING, strict=True)]
    return np.array(told, "<U32")


def _head(told: Any, where: str, hint: str) -> tuple[Integers, Sequence[Any]]:
    """The classes as places in NUSCENES_CLASSES, and the frames."""
    if not isinstance(told, Mapping) or not isinstance(told.get("frames"), list):
        raise DataError("This is no mapping with a list 'frames'.", where=where, hint=hint)
    if told.get("frame", "lidar") != "lidar" or list(told.get("box") or ()) != list(BOX):
        text = f"Boxes must be {', '.join(BOX)} in the frame of the LiDAR (`frame: lidar`)."
        raise DataError(text, where=where, hint=hint)
    classes = told.get("classes") or ()
    if strange := [name for name in classes if name not in NUSCENES_CLASSES]:
        text = f"{strange[0]!r} is none of the ten classes that nuScenes judges."
        raise DataError(text, where=f"{where}: classes", hint=f"they are {', '.join(NUSCENES_CLASSES)}")
    return np.array([NUSCENES_CLASSES.index(name) for name in classes], np.int64), told["frames"]


def _token(entry: Any, where: str, hint: str) -> str:
    token = entry.get("token") if isinstance(entry, Mapping) else None
    if not isinstance(token, str) or not token:
        raise DataError("This frame has no token.", where=where, hint=hint)
    return token


def _table(entry: Mapping[str, Any], names: Integers, where: str, hint: str) -> tuple[Doubles, Integers]:
    """Boxes [N, 9] and their labels [N] as places in NUSCENES_CLASSES."""
    try:
        box = np.array(entry["boxes"], np.float64).reshape(-1, len(BOX))
        label = np.array(entry["labels"]).reshape(-1)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"boxes or labels: {error}.", where=where, hint=hint) from None
    if len(box) != len(label):
        raise DataError(f"{len(box)} boxes have {len(label)} labels.", where=where, hint=hint)
    if len(label) and (label.dtype.kind not in "iu" or label.min() < 0 or label.max() >= len(names)):
        raise DataError(f"A label is no place in the {len(names)} classes.", where=where, hint=hint)
    return box, names[label.astype(np.int64)] if len(label) else np.zeros(0, np.int64)


def _column(entry: Mapping[str, Any], name: str, count: int, where: str, hint: str) -> Doubles:
    """[count] A number a box."""
    try:
        found = np.array(entry[name], np.float64).reshape(-1)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{name}: {error}.", where=where, hint=hint) from None
    if len(found) != count:
        raise DataError(f"{count} boxes have {len(found)} {name}.", where=where, hint=hint)
    return found


def _attributes(entry: Mapping[str, Any], count: int, where: str, hint: str) -> NDArray[np.str_] | None:
    told = entry.get("attributes")
    if told is None:
        return None
    if not isinstance(told, list) or len(told) != count or any(not isinstance(one or "", str) for one in told):
        raise DataError(f'attributes: expected {count} names, each may be "".', where=where, hint=hint)
    return np.array([one or "" for one in told], "<U32")


def _pose(entry: Mapping[str, Any], name: str, where: str) -> Doubles:
    """[4, 4] A rigid motion; none where the frame does not tell it."""
    if entry.get(name) is None:
        return np.eye(4)
    try:
        found = np.array(entry[name], np.float64).reshape(4, 4)
    except (TypeError, ValueError):
        found = np.full((4, 4), np.nan)
    turn = found[:3, :3]
    # Numbers of single precision are off by some 1e-7; a scaled or mirrored frame is off by far more.
    if not np.isfinite(found).all() or abs(turn @ turn.T - np.eye(3)).max() > 1e-3 or np.linalg.det(turn) < 0:
        raise DataError(f"{name} is no 4×4 matrix of a turn and a shift.", where=where, hint=_HINT_TRUTH)
    return found


def _turned(box: Doubles, pose: Doubles) -> Doubles:
    """Boxes [N, 9] moved by a pose: the yaw is that of the turned heading, seen from above."""
    turn, moved = pose[:3, :3], box.copy()
    moved[:, :3] = box[:, :3] @ turn.T + pose[:3, 3]
    heading = np.cos(box[:, 6, None]) * turn[:2, 0] + np.sin(box[:, 6, None]) * turn[:2, 1]
    moved[:, 6] = np.arctan2(heading[:, 1], heading[:, 0])
    moved[:, 7:] = box[:, 7:] @ turn[:2, :2].T
    return np.asarray(moved)


def _made(place: int, label: Integers, box: Doubles, attribute: NDArray[np.str_], score: Doubles) -> Boxes:
    """The boxes of one frame."""
    return Boxes(frame=np.full(len(label), place, np.int64), label=label, box=box, attribute=attribute, score=score)


def _joined(parts: Sequence[Boxes]) -> Boxes:
    none = _made(0, np.zeros(0, np.int64), np.zeros((0, len(BOX))), np.zeros(0, "<U32"), np.zeros(0))
    every = [none, *parts]
    return Boxes(
        frame=np.concatenate([one.frame for one in every]),
        label=np.concatenate([one.label for one in every]),
        box=np.concatenate([one.box for one in every]),
        attribute=np.concatenate([one.attribute for one in every]),
        score=np.concatenate([one.score for one in every]),
    )


def _in_range(boxes: Boxes, vehicle: Doubles) -> NDArray[np.bool_]:
    """[N] Whether a box is nearer to its vehicle than the range of its class."""
    ranges = np.array([RANGES[name] for name in NUSCENES_CLASSES], np.float64)
    away = boxes.box[:, :2] - vehicle[boxes.frame, :2]
    return np.asarray(np.sqrt((away**2).sum(axis=1)) < ranges[boxes.label])


def _best(boxes: Boxes) -> Boxes:
    """Of each frame the 500 with the highest scores, equal ones in the order given; the order stays."""
    order = np.lexsort((np.arange(len(boxes)), -boxes.score, boxes.frame))
    frames = boxes.frame[order]
    rank = np.arange(len(order)) - np.searchsorted(frames, frames)
    return boxes.where(np.sort(order[rank < MOST]))
