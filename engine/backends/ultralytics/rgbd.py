"""Ultralytics' data sets with a depth map stacked on every picture: R, G, B, D, 8 bits each.

What moves pixels (mosaic, mix-up, cut-mix, copy-paste, affine, flips, letterbox) is Ultralytics' own and moves all four
planes together; the border is 114 in each. What changes colours sees R, G and B alone. The draws are those of a
training without depth: from the same seed, the RGB planes are the same to the bit.

This module imports Ultralytics: import it where Ultralytics is needed anyway, after `go_offline`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from ultralytics.data import build
from ultralytics.data.augment import Albumentations, RandomHSV
from ultralytics.data.base import BaseDataset
from ultralytics.data.dataset import YOLODataset
from ultralytics.models.rtdetr import train as rtdetr_train
from ultralytics.models.rtdetr import val as rtdetr_val

from detui.engine.backends.ultralytics.dataset import DEPTH, depth_file
from detui.engine.backends.ultralytics.inputs import RGB, RGBD
from detui.engine.data.depth import read_depth
from detui.engine.errors import DetuiError, RunError


class _Stacked(BaseDataset):  # type: ignore[misc]
    """What a data set of Ultralytics does differently to read RGB-D."""

    def __init__(self, *args: Any, data: Mapping[str, Any], **kwargs: Any) -> None:
        """`data`: Ultralytics' dictionary of the data YAML, with the entry DEPTH. The picture files have RGB alone."""
        self._depth: Mapping[str, Any] = data[DEPTH]
        super().__init__(*args, data={**data, "channels": RGB}, **kwargs)

    def get_labels(self) -> list[dict[str, Any]]:
        """Ultralytics' own. Raises RunError where a picture has no depth map of its size: before the first step."""
        labels: list[dict[str, Any]] = super().get_labels()
        for label in labels:
            _check_size(depth_file(label["im_file"]), tuple(label["shape"]))
        return labels

    def load_image(self, i: int, *args: Any, **kwargs: Any) -> tuple[Any, tuple[int, int], tuple[int, int]]:
        """Picture `i` (height, width, 4), its size as stored, its size here. Raises RunError for a bad depth map.

        What Ultralytics keeps in memory, for mosaic or with `cache: ram`, is kept with all four planes.
        """
        image, stored, here = super().load_image(i, *args, **kwargs)
        if image.shape[-1] == RGBD:
            return image, stored, here
        stacked = _stack(image, self._read(i, stored, here))
        if self.ims[i] is not None:
            self.ims[i] = stacked
        return stacked, stored, here

    def _read(self, i: int, stored: tuple[int, int], here: tuple[int, int]) -> Any:
        """The depth map of picture `i`: (height, width), uint8, resized as the picture was."""
        path = depth_file(self.im_files[i])
        try:
            depth = read_depth(path, self._depth["encoding"], self._depth["far"])
        except DetuiError as error:
            raise _bad(path, error.message) from error
        if depth.shape != tuple(stored):
            raise _mis_sized(path, depth.shape, stored)
        # Linear, as the picture and as every later warp: the planes stay on each other to a part of a pixel, and a
        # reader of four-channel files finds the same values.
        return depth if depth.shape == here else cv2.resize(depth, here[::-1], interpolation=cv2.INTER_LINEAR)

    def build_transforms(self, hyp: Any = None) -> Any:
        """Ultralytics' own, with what changes colours kept from the depth. Raises RunError where that is not found."""
        transforms = super().build_transforms(hyp)
        found = [index for index, step in enumerate(transforms.transforms) if _colours(step)]
        if self.augment and not any(isinstance(transforms.transforms[index], RandomHSV) for index in found):
            raise RunError("This version of Ultralytics changes colours in another way: RGB-D cannot be augmented.",
                           hint="pip install 'ultralytics>=8.4.190,<8.5'")  # fmt: skip
        for index in found:
            transforms.transforms[index] = ColoursOnly(transforms.transforms[index])
        return transforms


class RGBDDataset(_Stacked, YOLODataset):  # type: ignore[misc]
    """YOLO's data set on RGB-D."""


class RGBDRTDETRDataset(_Stacked, rtdetr_val.RTDETRDataset):  # type: ignore[misc]
    """RT-DETR's data set on RGB-D: stretched to the square, not letterboxed."""


def _colours(step: Any) -> bool:
    """Whether a step changes colours and moves nothing. Albumentations, where it is not installed, does nothing."""
    if isinstance(step, Albumentations):
        return step.transform is not None and not step.contains_spatial
    return isinstance(step, RandomHSV)


class ColoursOnly:
    """A transform of Ultralytics that sees the RGB planes of an RGB-D picture, as the B, G, R that it expects."""

    def __init__(self, transform: Any) -> None:
        """`transform`: one that moves no pixel."""
        self.transform = transform

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        """Transform `labels["img"]`, (height, width, 4) uint8; another array takes its place."""
        image = labels["img"]
        labels = self.transform({**labels, "img": cv2.cvtColor(image, cv2.COLOR_RGBA2BGR)})
        labels["img"] = _stack(labels["img"], image[..., RGB])
        return labels


def _stack(picture: Any, depth: Any) -> Any:
    """B, G, R (height, width, 3) and depth (height, width) as R, G, B, D."""
    stacked = np.empty((*depth.shape, RGBD), np.uint8)
    cv2.mixChannels([np.ascontiguousarray(picture), np.ascontiguousarray(depth)], [stacked], [0, 2, 1, 1, 2, 0, 3, 3])
    return stacked


def _check_size(path: Path, wanted: tuple[int, int]) -> None:
    """Raise RunError unless a depth map is there and has the height and width `wanted`. Reads its header alone."""
    try:
        with path.open("rb") as file:
            header = file.read(24)
    except OSError as error:
        raise _bad(path, f"A picture has no depth map: the file cannot be opened ({error.strerror}).") from error
    if header[:8] != b"\x89PNG\r\n\x1a\n" or len(header) < 24:
        raise _bad(path, "The depth map is no PNG.")
    width, height = struct.unpack(">II", header[16:])
    if (height, width) != wanted:
        raise _mis_sized(path, (height, width), wanted)


def _mis_sized(path: Path, found: tuple[int, ...], wanted: tuple[int, ...]) -> RunError:
    (height, width), (rows, columns) = found, wanted
    return _bad(path, f"The depth map has {width} × {height} pixels, its picture {columns} × {rows}.")


def _bad(path: Path, message: str) -> RunError:
    """Names the file itself, not the links that lead to it."""
    hint = "`detui data check NAME` lists all depth maps that cannot be used"
    return RunError(message, where=str(path.resolve()), hint=hint)


_PLACES = (
    (build, "YOLODataset", RGBDDataset),
    (rtdetr_train, "RTDETRDataset", RGBDRTDETRDataset),
    (rtdetr_val, "RTDETRDataset", RGBDRTDETRDataset),
)
"""Where Ultralytics' builders of data sets find their classes."""


@contextmanager
def stacked_datasets() -> Iterator[None]:
    """Within this, Ultralytics' own builders make the data sets of this module.

    They know which padding, rectangles, fraction and cache their version asks for; typed again here, those would drift.
    """
    with ExitStack() as stack:
        for module, name, replacement in _PLACES:
            stack.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, replacement)
        yield
