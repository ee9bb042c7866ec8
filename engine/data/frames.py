"""Many frames: what a data set of frames offers, and how a run opens the one that its spec names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from detui.engine.data.frame import NUSCENES_CLASSES, Frame
from detui.engine.data.frame_files import read_frame
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


class StoredFrames:
    """Folders of which each holds a frame (frame_files.py). One that was read is kept where there are few."""

    KEPT = 64
    """Frames that are kept in memory."""

    def __init__(self, folders: Sequence[Path], classes: tuple[str, ...] = NUSCENES_CLASSES) -> None:
        self.folders, self.classes = list(folders), classes
        self._read: dict[int, Frame] = {}

    def __len__(self) -> int:
        return len(self.folders)

    def __getitem__(self, index: int) -> Frame:
        if index in self._read:
            return self._read[index]
        frame = read_frame(self.folders[index])
        if len(self.folders) <= self.KEPT:
            self._read[index] = frame
        return frame


def open_frames(told: Mapping[str, Any], split: str) -> Frames:
    """The frames of a split of the data of a run.

    `told`: {"format": "frames", "splits": {split: [folder, …]}}. Raises MissingError for a split that is not there,
    DataError for a format that holds no frames.
    """
    if told.get("format") != "frames":
        message = f"Data of the format {told.get('format')!r} holds no frames of cameras and LiDAR."
        raise DataError(message, where="data", hint="name a data set of frames")
    splits: Mapping[str, Sequence[str]] = told["splits"]
    if not splits.get(split):
        there = ", ".join(sorted(name for name, folders in splits.items() if folders)) or "none"
        raise MissingError(f"The data has no split {split!r}; it has {there}.", where="data")
    return StoredFrames([Path(folder) for folder in splits[split]])
