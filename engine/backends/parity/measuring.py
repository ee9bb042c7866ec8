"""What a detector is made of, and how long a pass takes, measured in the same way in both frameworks."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from detui.engine.backends.parity.building import first_state, framework_of, model_facts, size_of
from detui.engine.backends.parity.data import Pictures, read_pictures
from detui.engine.backends.parity.detections import detections
from detui.engine.backends.parity.detector import Detector
from detui.engine.backends.parity.frameworks.framework import Array, Framework, Tensor
from detui.engine.backends.parity.sizes import Size
from detui.engine.backends.parity.state import load
from detui.engine.errors import UsageError
from detui.engine.run.spec import RunSpec
from detui.engine.worker.speed import ResidentMemory, timed

PACKAGES = ("torch", "jittor", "numpy", "scipy", "pillow")
"""What decides what is computed."""
CONVENTION = "convolutions and matrix products by their shapes; a multiply-add is 2 FLOPs, 1 MAC"
"""How FLOPs are counted, as torch.utils.flop_counter does; sampling, norms and activations are left out."""


class Counting:
    """A framework whose convolutions and products are counted."""

    def __init__(self, inner: Framework) -> None:
        self._inner = inner
        self.macs = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def conv2d(self, x: Tensor, weight: Tensor, *, stride: int, padding: int) -> Tensor:
        """See `Framework`."""
        out = self._inner.conv2d(x, weight, stride=stride, padding=padding)
        self.macs += prod(map(int, out.shape)) * prod(map(int, weight.shape[1:]))
        return out

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """See `Framework`."""
        self.macs += prod(map(int, x.shape)) * int(weight.shape[0])
        return self._inner.linear(x, weight, bias)

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        """See `Framework`."""
        self.macs += prod(map(int, a.shape)) * int(b.shape[-1])
        return self._inner.matmul(a, b)


def cost(framework: Framework, size: Size, state: Mapping[str, Array], side: int) -> dict[str, Any]:
    """`gflops` and `gmacs` of one picture of `side` pixels when it is evaluated."""
    counting: Any = Counting(framework)
    detector = Detector(counting, size)
    detector.network.load(state)
    with framework.no_gradients():
        framework.array(detector(framework.tensor(np.zeros((1, 3, side, side), np.float32))).layers[-1].logits)
    return {"gflops": 2 * counting.macs / 1e9, "gmacs": counting.macs / 1e9, "flops_convention": CONVENTION}


def describe(spec: RunSpec, speed: bool, device: str) -> dict[str, Any]:
    """Build a detector without weights, and say what it is made of (`Predictor.describe`)."""
    model, classes = spec.config["model"], list((spec.data or {})["classes"])
    size, side = size_of(model, len(classes)), spec.config["train"]["image_size"]
    framework = framework_of(model, device, spec.seed)
    bare = {**model, "weights": None, "backbone": {**model["backbone"], "weights": None}}
    state, _ = first_state(bare, size, spec.seed, None)
    facts = {
        **model_facts(size, model), **cost(framework, size, state, side), "input": [3, side, side],
        "packages": packages(),
    }  # fmt: skip
    images = np.zeros((1, 3, side, side), np.float32)
    return {"model": facts, "speed": _measured(framework, size, state, images, device) if speed else None}


def speed(spec: RunSpec, checkpoint: Path, wanted: Mapping[str, Any], device: str) -> dict[str, Any]:
    """Measure a checkpoint on the first pictures of the validation split (`Predictor.speed`), decoding included.

    Raises UsageError for what this model cannot be asked for, RunError for a checkpoint of another model.
    """
    if wanted["precision"] != "fp32":
        raise UsageError("The two frameworks are compared in fp32 alone.", where="--precision", hint="leave it out")
    if wanted["fused"]:
        raise UsageError("Norms of this model are not folded into convolutions.", where="--fused", hint="leave it out")
    config, data = spec.stages[-1].config, spec.data or {}
    side, model = wanted["imgsz"] or config["train"]["image_size"], config["model"]
    if side % 32:
        raise UsageError(f"{side} pixels: the side is a multiple of 32.", where="--imgsz", hint=f"{side // 32 * 32}")
    size, framework = size_of(model, len(data["classes"])), framework_of(model, device, spec.seed)
    pictures = Pictures(read_pictures(data, "val"), side)
    count = int(wanted["batch"])
    batch = pictures.batch([index % len(pictures.pictures) for index in range(count)])
    found = _measured(framework, size, load(checkpoint).evaluated, batch.images, device)
    weights = "average" if config["train"]["average"] else "trained"
    return {**found, "model": f"rt-detr-{model['size']}", "weights": weights, "fused": False,
            "postprocess": {"kind": "the best queries, no NMS"}}  # fmt: skip


def _measured(
    framework: Framework, size: Size, state: Mapping[str, Array], images: Array, device: str
) -> dict[str, Any]:
    detector = Detector(framework, size)
    detector.network.load(state)
    counts, pictures = detector.network.counts(), framework.tensor(images)
    counted = cost(framework, size, state, images.shape[-1])
    framework.synchronise()
    resident = ResidentMemory()

    def forward() -> tuple[Tensor, Tensor]:
        said = detector(pictures).layers[-1]
        return said.logits, said.boxes

    def decoded(raw: tuple[Tensor, Tensor]) -> Any:
        logits, boxes = (framework.array(one) for one in raw)
        return detections(logits, boxes, [(images.shape[-1], images.shape[-2])] * len(images))

    with framework.no_gradients():
        times = timed(forward, decoded, framework.synchronise, batch=len(images))
    what = "growth of resident memory, without the weights" + ("" if resident.exact else " (at most)")
    return {
        "parameters": counts.parameters, "trainable": counts.trained, **counted, **times,
        "precision": "fp32", "batch": len(images), "input": list(images.shape[1:]),
        "device": {"kind": device, "name": device_name(framework)}, "threads": threads(),
        "memory": {"bytes": resident.growth(), "what": what},
        "framework": framework.version(),
    }  # fmt: skip


def device_name(framework: Framework) -> str:
    """The name of the device that a framework computes on."""
    if framework.device == "cpu":
        return "CPU"
    if framework.name == "torch":
        import torch

        return str(torch.cuda.get_device_name())
    return "GPU"


def threads() -> int:
    """How many threads a framework may use."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdigit() else os.cpu_count() or 1


def packages() -> dict[str, str]:
    """Python, and the packages that decide what is computed, those that are installed here."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
