"""Detections of frames, and the file that they are handed over in.

    {"schema": 1, "frame": "lidar", "classes": [name, …], "box": ["x", "y", "z", "w", "l", "h", "yaw", "vx", "vy"],
     "frames": [{"token": …, "boxes": [[9 numbers], …], "scores": [0–1, …], "labels": [place in classes, …]}, …]}

Boxes are in the LiDAR's frame (engine/data/frame.py), the best first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from detui.engine.backends.torch.fusion.decoding import detections
from detui.engine.backends.torch.fusion.inputs import Batch
from detui.engine.data.frame import BOX, Frame
from detui.engine.data.frames import Frames
from detui.engine.run.files import encode, write_whole

DIGITS = 5
"""Of a number in the file, behind the point."""


def predict(
    model: nn.Module, frames: Frames, collate: Callable[[Sequence[Frame]], Batch], device: torch.device,
    size: int, stopped: Callable[[], bool] = lambda: False,
) -> list[dict[str, Any]]:  # fmt: skip
    """The entries of `frames`, in their order, `size` frames at a time; fewer where `stopped` says so in between."""
    was_training, found = model.training, []
    model.eval()
    try:
        with torch.no_grad():
            for start in range(0, len(frames), size):
                if stopped():
                    break
                some = [frames[index] for index in range(start, min(start + size, len(frames)))]
                batch = collate(some).to(device)
                last = model(batch).layers[-1]
                found += [
                    {"token": token, **{name: _rounded(value) for name, value in one._asdict().items()}}
                    for token, one in zip(batch.tokens, detections(last, _space(model)), strict=True)
                ]
    finally:
        model.train(was_training)
    return found


def write(path: Path, entries: list[dict[str, Any]], classes: Sequence[str]) -> None:
    """Write the file, whole or not at all. Raises RunError."""
    told = {"schema": 1, "frame": "lidar", "classes": list(classes), "box": list(BOX), "frames": entries}
    write_whole(path, encode(told))


def _rounded(values: Any) -> list[Any]:
    """Numbers as JSON; labels stay whole."""
    if not values.is_floating_point():
        return list(values.tolist())
    return list((values.double().cpu() * 10**DIGITS).round().div(10**DIGITS).tolist())


def _space(model: nn.Module) -> Any:
    options: Any = model.options
    return options.space
