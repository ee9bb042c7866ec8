"""Many frames: what a data set of frames offers, and how a run opens the one that its spec names."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from detui.engine.data.frame import NUSCENES_CLASSES, Frame
from detui.engine.data.frame_files import frame_of, read_frame
from detui.engine.errors import DataError, MissingError


class Frames(Protocol):
    """The frames of one split. Reading one is safe from several threads."""

    @property
    def classes(self) -> tuple[str, ...]:
        """What the labels mean, in every frame."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, index: int) -> Frame:
        """Read one. Raises DataError, MissingError."""


KEPT = 64
"""A data set of so few frames stays in memory once it was read."""


class _Keeping:
    """Frames that are read by `_load`, and kept where there are few."""

    def __init__(self, count: int, load: Callable[[int], Frame], classes: tuple[str, ...]) -> None:
        self.classes = classes
        self._count, self._load = count, load
        self._read: dict[int, Frame] = {}

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Frame:
        if index in self._read:
            return self._read[index]
        frame = self._load(index)
        if self._count <= KEPT:
            self._read[index] = frame
        return frame


class StoredFrames(_Keeping):
    """Folders of which each holds a frame (frame_files.py)."""

    def __init__(self, folders: Sequence[Path], classes: tuple[str, ...] = NUSCENES_CLASSES) -> None:
        self.folders = list(folders)
        super().__init__(len(self.folders), lambda index: read_frame(self.folders[index], classes), classes)


class ListedFrames(_Keeping):
    """A prepared list: a line a frame, each like frame.json, its files below one root.

    Of a line no more than where it begins is kept: the list of nuScenes' training split has some hundred megabytes.
    """

    def __init__(self, path: Path, root: Path, classes: tuple[str, ...]) -> None:
        """Raises MissingError, DataError for a list that cannot be read."""
        self.path, self.root = path, root
        self._starts = _starts(path)
        super().__init__(len(self._starts), self._line, classes)

    def _line(self, index: int) -> Frame:
        where = f"{self.path}:{index + 1}"
        try:
            with self.path.open("rb") as file:
                file.seek(self._starts[index])
                told = json.loads(file.readline())
        except (OSError, ValueError) as error:
            raise DataError(f"The line cannot be read: {error}.", where=where) from error
        return frame_of(told, self.root, self.classes, where)


def _starts(path: Path) -> list[int]:
    """Where each line begins."""
    starts, at = [], 0
    try:
        with path.open("rb") as file:
            for line in file:
                starts.append(at)
                at += len(line)
    except FileNotFoundError as error:
        raise MissingError("There is no such list of frames.", where=str(path), hint="prepare the data anew") from error
    except OSError as error:
        raise DataError(f"The list cannot be read: {error.strerror}.", where=str(path)) from error
    return starts


def open_frames(told: Mapping[str, Any], split: str) -> Frames:
    """The frames of a split of the data of a run.

    `told`: {"format": "frames", "splits": {split: [folder, …]}}, or what prepared data says of itself with the folder
    that it lies in: {"format": "frames", "prepared": folder, "root": folder of the files, "classes": […],
    "splits": {split: {"frames": list of frames}}}. Raises MissingError for a split that is not there, DataError for a
    format that holds no frames.
    """
    if told.get("format") != "frames":
        message = f"Data of the format {told.get('format')!r} holds no frames of cameras and LiDAR."
        raise DataError(message, where="data", hint="name a data set of frames")
    splits: Mapping[str, Any] = told["splits"]
    if not splits.get(split):
        there = ", ".join(sorted(name for name, folders in splits.items() if folders)) or "none"
        raise MissingError(f"The data has no split {split!r}; it has {there}.", where="data")
    chosen = splits[split]
    if isinstance(chosen, Mapping):
        return ListedFrames(Path(told["prepared"]) / chosen["frames"], Path(told["root"]), tuple(told["classes"]))
    return StoredFrames([Path(folder) for folder in chosen], tuple(told.get("classes") or NUSCENES_CLASSES))
