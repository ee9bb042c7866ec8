"""What a detector is made of, and how long a pass takes: of a model that nobody trained, and of a checkpoint."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from contextlib import nullcontext
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from detui.engine.backends.torch.build import build, evaluated_weights, model_facts
from detui.engine.backends.torch.fusion.decoder import Predictions
from detui.engine.backends.torch.fusion.decoding import Detections, detections
from detui.engine.backends.torch.fusion.detector import FusionDetector
from detui.engine.backends.torch.fusion.inputs import Batch, collate
from detui.engine.backends.torch_support.speed import PRECISIONS, measure, size
from detui.engine.data.frame import Frame
from detui.engine.data.frames import Frames
from detui.engine.errors import UsageError

PACKAGES = ("torch", "timm")
"""What decides what is built."""
PICTURES = (6, 900, 1600)
"""Cameras, height and width that a description is counted at where nobody knows the data's: those of nuScenes."""
POINTS = 34_688
"""Points of the noise that a description is counted at: those of a sweep of nuScenes' LiDAR."""


class Pass(nn.Module):
    """A detector whose points and cameras stay what they are, so that pictures alone go in: what speed.py measures."""

    def __init__(self, model: FusionDetector, batch: Batch, precision: str) -> None:
        """`precision`: of the passes, by autocast, as the training has it: a projection keeps its 32 bits."""
        super().__init__()
        self.model, self.batch, self.precision = model, batch, precision

    def forward(self, images: Tensor) -> Predictions:
        """[B, V, 3, H, W] → what the last layer says."""
        batch, count, kind = self.batch, len(images), images.device.type
        part = Batch(batch.tokens[:count], images, batch.points[:count], batch.lidar_to_image[:count], [], [])
        low = self.precision != "fp32"
        with torch.autocast(kind, getattr(torch, PRECISIONS[self.precision])) if low else nullcontext():
            last: Predictions = self.model(part).layers[-1]
        return last

    def decoded(self, last: Any) -> list[Detections]:
        """The detections of each frame."""
        return detections(last, self.model.options.space)


def describe(config: Mapping[str, Any], data: Mapping[str, Any], seed: int, speed: bool, device: str) -> dict[str, Any]:
    """Build a detector without weights, and say what it is made of (`Predictor.describe`).

    `data`: {"classes", "pictures": (cameras, height, width) or None}. FLOPs, and the pass with `speed`, are of one
    frame of noise, without denoising groups, which the training alone has.
    """
    torch.manual_seed(seed)
    classes, place = list(data["classes"]), torch.device(device)
    model = build(config["model"], len(classes)).eval().to(place)
    batch = prepared([noise(tuple(data.get("pictures") or PICTURES), tuple(config["model"]["space"]))], config, place)
    once = Pass(model, batch, "fp32")
    counted = size(once, batch.images)
    facts = {
        **model_facts(model, config["model"]),
        **{name: counted[name] for name in ("gflops", "gmacs", "flops_convention")},
        "classes": len(classes),
        "input": list(batch.images.shape[1:]),
        "points": POINTS,
        "packages": _packages(config["model"]["camera"]["backbone"]),
    }
    return {"model": facts, "speed": measure(once, batch.images, None, precision="fp32") if speed else None}


def speed(
    config: Mapping[str, Any], frames: Frames, checkpoint: Path, wanted: Mapping[str, Any], device: str
) -> dict[str, Any]:
    """Measure a checkpoint on the first of `frames` (`Predictor.speed`), decoding included.

    Raises UsageError for what a detector of frames cannot be asked for, RunError for a checkpoint of another model.
    """
    if wanted["imgsz"] is not None:
        text = "A frame has no square pictures: their size is that of the data by train.image_scale and train.crop_top."
        raise UsageError(text, where="--imgsz", hint="leave it out")
    if wanted["fused"]:
        text = "The detector has group normalisation, which cannot be folded into convolutions."
        raise UsageError(text, where="--fused", hint="leave it out")
    place, count, precision = torch.device(device), int(wanted["batch"]), str(wanted["precision"])
    model = build(config["model"], len(frames.classes)).to(place)
    evaluated_weights(model, checkpoint)
    batch = prepared([frames[index % len(frames)] for index in range(count)], config, place)
    once = Pass(model.eval(), batch, precision)
    found = measure(once, batch.images, once.decoded, precision="fp32")
    return {
        **found,
        "precision": precision,
        "model": config["model"]["name"],
        "weights": "average" if config["train"]["average"] else "trained",
        "fused": False,
        "postprocess": {"kind": "the best queries, no NMS"},
    }


def gflops(model: FusionDetector, frame: Frame, config: Mapping[str, Any], place: torch.device) -> float:
    """10⁹ FLOPs of one frame in use, as torch counts them; the model stays as it is."""
    once = Pass(copy.deepcopy(model), prepared([frame], config, place), "fp32")
    return float(size(once.eval(), once.batch.images)["gflops"])


def prepared(frames: list[Frame], config: Mapping[str, Any], place: torch.device) -> Batch:
    """The batch of some frames, as the training makes it."""
    train, space = config["train"], tuple(config["model"]["space"])
    return collate(frames, scale=train["image_scale"], crop_top=train["crop_top"], space=space).to(place)


def noise(pictures: tuple[int, ...], space: tuple[float, ...]) -> Frame:
    """A frame of random pixels and points, with cameras that look around and no box."""
    views, height, width = pictures
    draw = np.random.default_rng(0)
    low, high = np.array(space[:3]), np.array(space[3:])
    points = np.zeros((POINTS, 5), np.float32)
    points[:, :3] = draw.uniform(low, high, (POINTS, 3))
    return Frame(
        token="noise",
        images=draw.integers(0, 256, (views, 3, height, width), np.uint8),
        points=points,
        intrinsics=np.tile([[0.8 * width, 0, width / 2], [0, 0.8 * width, height / 2], [0, 0, 1.0]], (views, 1, 1)),
        lidar_to_camera=np.stack([_looks(2 * math.pi * view / views) for view in range(views)]),
        boxes=np.zeros((0, 9), np.float32),
        labels=np.zeros(0, np.int64),
        num_lidar_points=np.zeros(0, np.int64),
        cameras=tuple(f"camera {view}" for view in range(views)),
    )


def _looks(angle: float) -> np.ndarray:
    """[4, 4]: from the LiDAR to a camera at its place that looks along `angle`, clockwise from y."""
    matrix = np.eye(4)
    matrix[0, :2] = math.cos(angle), -math.sin(angle)
    matrix[1, :3] = 0, 0, -1
    matrix[2, :3] = math.sin(angle), math.cos(angle), 0
    return matrix


def _packages(backbone: str) -> dict[str, str]:
    found = {}
    for name in PACKAGES[: 1 if backbone == "small" else None]:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a build of torch from source may have no metadata
            continue
    return found
