"""What can be wrong with one frame: its form, its files, its calibration, its boxes.

A frame is an entry as frame.json has it (frame_files.py), with files relative to the data set's root. The frame of
reference is the LiDAR's, in metres.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detui.engine.data.calibration import faults, is_rigid
from detui.engine.data.frame_files import frame_of
from detui.engine.data.imagefiles import ImageFiles
from detui.engine.data.problems import Ledger
from detui.engine.data.reading import is_name
from detui.engine.errors import DetuiError
from detui.engine.run.files import encode

Entry = Mapping[str, Any]
Place = tuple[str, "int | str | None"]
"""File relative to the root, and line or entry."""
ELSEWHERE = 0.5
"""A frame is reported where fewer of its boxes' points than this part lie inside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A frame as a reader found it."""

    file: str
    """Where it is described, relative to the root."""
    line: int | str | None
    entry: Entry | None
    """None where it could not be made out."""
    fault: str | None = None
    """Why it could not."""
    doubts: tuple[str, ...] = ()
    """What the reader itself found wrong with its calibration."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a reader found of a split."""

    declared: int
    """Frames, before anything was left out."""
    candidates: Iterator[Candidate]


@dataclass(frozen=True, slots=True)
class Kept:
    """A frame that can be used."""

    token: str
    line: bytes
    """The entry as JSON, without an end of line."""
    digest: str
    """SHA-256 of the entry, of the bytes of pictures and point cloud, and of the sizes of earlier sweeps."""
    labels: tuple[int, ...]
    """Of its boxes: places in the classes."""
    empty: int
    """Boxes without a point of the LiDAR."""
    still_unknown: int
    """Boxes whose velocity nobody knows."""
    views: int
    """Cameras."""


class FrameCheck:
    """Checks frame after frame; what is wrong goes to the ledger."""

    def __init__(
        self, root: Path, files: ImageFiles, ledger: Ledger, classes: tuple[str, ...],
        *, decode: bool = False, generated: bool = False,
    ) -> None:  # fmt: skip
        """`decode`: whether points are counted in their boxes. In `generated` frames an empty box is no problem."""
        self._root, self._files, self._ledger = root, files, ledger
        self._classes, self._decode, self._generated = classes, decode, generated
        self._tokens: dict[str, str] = {}

    def accept(self, candidate: Candidate) -> Kept | None:
        """The frame as it is to be used; None where it is left out."""
        entry, place = candidate.entry, (candidate.file, candidate.line)
        fault = candidate.fault or malformed(entry)
        if fault or entry is None:
            self._ledger.report("malformed", *place, fault or "")
            return None
        where, token = f"{place[0]}:{place[1]}", entry["token"]
        if token in self._tokens:
            self._ledger.report("duplicate_frame", *place, f"{token} is also {self._tokens[token]}")
            return None
        self._tokens[token] = where
        hashes = self._look_at_files(entry, place, candidate.doubts)
        if hashes is None:
            return None
        told = [{**one, "velocity": _known(one["velocity"])} for one in entry["instances"]]
        boxes = [one for number, one in enumerate(told) if self._box_is_kept(one, token, number, place)]
        lidar = {**entry["lidar"], "sweeps": [s for s in entry["lidar"].get("sweeps") or () if s["file"] in hashes]}
        whole = {**entry, "lidar": lidar, "instances": boxes}
        line = encode(whole)
        if self._decode and not self._points_are_inside(whole, place):
            return None
        return Kept(
            token=token,
            line=line,
            digest=hashlib.sha256(line + encode(sorted(hashes.items()))).hexdigest(),
            labels=tuple(self._classes.index(one["name"]) for one in boxes),
            empty=sum(one["num_lidar_pts"] == 0 for one in boxes),
            still_unknown=sum(None in one["velocity"] for one in boxes),
            views=len(entry["cameras"]),
        )

    def _look_at_files(self, entry: Entry, place: Place, doubts: Sequence[str]) -> dict[str, str] | None:
        """What stands for the bytes of each file; None where the frame cannot be used, which is reported."""
        hashes: dict[str, str] = {}
        sizes = {name: self._picture(camera["file"], place, hashes) for name, camera in entry["cameras"].items()}
        sound = None not in sizes.values() and self._cloud(entry["lidar"], place, hashes)
        if not sound:
            return None
        if len(set(sizes.values())) > 1:
            told = ", ".join(f"{name} {size[0]}×{size[1]}" for name, size in sizes.items() if size)
            # A frame's pictures are one array, so that such a frame cannot be kept.
            self._ledger.report("size_differs", *place, f"the cameras' pictures differ in size: {told}")
            return None
        size = next(iter(sizes.values()))
        doubts = [*doubts, *faults(entry["cameras"], size or (0, 0))]
        for sweep in entry["lidar"].get("sweeps") or ():
            if not is_rigid(np.array(sweep["to_lidar"], np.float64)):
                doubts.append(f"{sweep['file']}: to_lidar is no rotation with a translation")
        actions = {self._ledger.report("calibration", *place, f"{entry['token']}: {doubt}") for doubt in doubts}
        return hashes if actions <= {"keep"} else None

    def _picture(self, file: str, place: Place, hashes: dict[str, str]) -> tuple[int, int] | None:
        try:
            seen = self._files.see(file)
        except (FileNotFoundError, NotADirectoryError):
            self._ledger.report("missing_image", file, None, f"there is no such file, which {place[0]} names")
            return None
        except OSError as error:
            self._ledger.report("broken_image", file, None, f"it cannot be read ({error.strerror})")
            return None
        if seen.complaint is not None:
            self._ledger.report("broken_image", file, None, seen.complaint)
            return None
        hashes[file] = seen.sha256
        return seen.width, seen.height

    def _cloud(self, lidar: Mapping[str, Any], place: Place, hashes: dict[str, str]) -> bool:
        file, columns = lidar["file"], len(lidar["dims"])
        try:
            seen = self._files.see_points(file)
        except (FileNotFoundError, NotADirectoryError):
            self._ledger.report("missing_points", file, None, f"there is no such file, which {place[0]} names")
            return False
        except OSError as error:
            self._ledger.report("broken_points", file, None, f"it cannot be read ({error.strerror})")
            return False
        complaint = seen.complaint(columns)
        if complaint:
            self._ledger.report("broken_points", file, None, complaint)
            return False
        hashes[file] = seen.sha256
        for sweep in lidar.get("sweeps") or ():
            self._sweep(sweep["file"], columns, place, hashes)
        return True

    def _sweep(self, file: str, columns: int, place: Place, hashes: dict[str, str]) -> None:
        """Earlier sweeps stand for their size alone: nuScenes has ten of them for each frame."""
        try:
            size = (self._root / file).stat().st_size
        except OSError:
            self._ledger.report("missing_sweep", file, None, f"there is no such file, which {place[0]} names")
            return
        if size == 0 or size % (4 * columns):
            self._ledger.report("missing_sweep", file, None, f"{size} bytes are no whole number of points")
            return
        hashes.setdefault(file, str(size))

    def _box_is_kept(self, one: Mapping[str, Any], token: str, number: int, place: Place) -> bool:
        """Whether a box is of one of the classes and its numbers can be used."""
        if one["name"] not in self._classes:
            return False
        values, called = [float(v) for v in one["box"]], f"{token}: {one['name']} (instance {number})"
        if not np.isfinite([*values, *(speed for speed in one["velocity"] if speed is not None)]).all():
            self._ledger.report("not_finite", *place, f"{called} is not finite")
            return False
        smallest = min(values[3:6])
        if smallest <= 0:
            kind = "zero_size" if smallest == 0 else "inverted"
            self._ledger.report(kind, *place, f"{called} measures {values[3]:g} × {values[4]:g} × {values[5]:g} m")
            return False
        if None in one["velocity"] and self._ledger.report("unknown_velocity", *place, called) != "keep":
            return False
        if one["num_lidar_pts"] != 0 or self._generated:
            return True
        return self._ledger.report("empty_box", *place, called) == "keep"

    def _points_are_inside(self, entry: Entry, place: Place) -> bool:
        """Whether boxes hold the points that are said to lie in them: a mistaken axis or unit empties them."""
        from detui.engine.data.frame import inside

        # One picture is enough of those that have been looked at.
        cameras = dict([next(iter(entry["cameras"].items()))])
        alone = {**entry, "cameras": cameras, "lidar": {**entry["lidar"], "sweeps": []}}
        try:
            frame = frame_of(alone, self._root, self._classes, f"{place[0]}:{place[1]}")
        except DetuiError as error:
            self._ledger.report("malformed", *place, error.message)
            return False
        told = int(frame.num_lidar_points.sum())
        now = frame.points[frame.points[:, 4] == 0]
        found = int(np.minimum(inside(frame.boxes, now).sum(1), frame.num_lidar_points).sum()) if len(now) else 0
        if found >= ELSEWHERE * told:
            return True
        reason = f"{entry['token']}: {told} points are said to lie in its boxes, and {found} do"
        return self._ledger.report("points_elsewhere", *place, reason) == "keep"


def _known(velocity: Sequence[Any]) -> list[float | None]:
    """A velocity whose unknown parts are None, however the file writes them."""
    return [None if part is None or float(part) != float(part) else float(part) for part in velocity]


def malformed(entry: Any) -> str | None:
    """What about the form of an entry is not as frame_files.py says; None for a sound one."""
    try:
        return _malformed(entry)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        return f"a field is absent or of another kind: {error!r}"


def _malformed(entry: Any) -> str | None:
    if not is_name(entry["token"]):
        return "token: it is no text"
    lidar, cameras = entry["lidar"], entry["cameras"]
    if not {"x", "y", "z"} <= set(lidar["dims"]):
        return f"{entry['token']}: lidar.dims lacks x, y or z"
    files = [("lidar", lidar["file"]), *((name, one["file"]) for name, one in cameras.items())]
    for what, file in [*files, *(("lidar.sweeps", one["file"]) for one in lidar.get("sweeps") or ())]:
        if not is_name(file) or Path(file).is_absolute() or ".." in Path(file).parts:
            return f"{entry['token']}: {what}: {file!r} is no file below the root"
    if not cameras:
        return f"{entry['token']}: it has no camera"
    for name, one in cameras.items():
        if np.array(one["cam2img"], float).shape not in ((3, 3), (4, 4)):
            return f"{entry['token']}: {name}: cam2img is no matrix of three rows"
        if np.array(one["lidar2cam"], float).shape != (4, 4):
            return f"{entry['token']}: {name}: lidar2cam is no matrix of four rows"
    for sweep in lidar.get("sweeps") or ():
        matrix = np.array(sweep["to_lidar"], float)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or not 0 <= sweep["time"] < float("inf"):
            return f"{entry['token']}: an earlier sweep lacks a matrix of four rows, or a time"
    for what, pose in (("ego2global", entry.get("ego2global")), ("lidar.lidar2ego", lidar.get("lidar2ego"))):
        if pose is not None and (np.array(pose, float).shape != (4, 4) or not is_rigid(np.array(pose, float))):
            return f"{entry['token']}: {what} is no rotation with a translation"
    for number, one in enumerate(entry["instances"]):
        numbers = [*map(float, one["box"]), *(float(v) for v in one["velocity"] if v is not None)]
        if not isinstance(one["name"], str) or len(one["box"]) != 7 or len(one["velocity"]) != 2 or not numbers:
            return f"{entry['token']}: instance {number} lacks a name, seven numbers or a velocity"
        if not isinstance(one["num_lidar_pts"], int) or one["num_lidar_pts"] < 0:
            return f"{entry['token']}: instance {number}: num_lidar_pts is no whole number"
    return None
