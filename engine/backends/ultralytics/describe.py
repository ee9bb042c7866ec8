"""What the model of a configuration is made of: built as the training builds it, but without weights, and looked at."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from detui.engine.backends.torch_support.speed import measure, size
from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision
from detui.engine.backends.ultralytics.architectures import is_built, is_rtdetr, stem
from detui.engine.backends.ultralytics.detectors import dictionary
from detui.engine.backends.ultralytics.facts import made_of
from detui.engine.backends.ultralytics.inputs import RGB, RGBD, reads_depth
from detui.engine.backends.ultralytics.offline import go_offline
from detui.engine.errors import MissingError
from detui.engine.run.spec import RunSpec

PACKAGES = ("ultralytics", "torch", "timm")
"""What decides what is built."""


def describe(spec: RunSpec, wanted: Mapping[str, Any], device: str) -> dict[str, Any]:
    """Build a run's model for the classes of its data, and say what it is made of.

    `wanted`: {"speed": whether memory and latency of a pass are measured, too}. The weights are random, from the run's
    seed; a pass takes one picture of noise at the training's size, without post-processing, which random detections
    would make meaningless. Returns {"model": facts as in `begin`, with FLOPs as torch counts them, "speed": the
    measurement or None}. Raises MissingError for a package that is absent, RunError for a backbone that does not fit.
    """
    _check_packages(spec)
    with tempfile.TemporaryDirectory(prefix="detui-ultralytics-") as name:
        go_offline(Path(name) / "config")
        ensure_torchvision()
        return _described(spec, bool(wanted["speed"]), device)


def _check_packages(spec: RunSpec) -> None:
    """Raise MissingError where this environment cannot build the model."""
    needed = PACKAGES if is_built(spec.config["model"]["name"]) else PACKAGES[:2]
    absent = [name for name in needed if find_spec(name) is None]
    if absent:
        message = f"The package {absent[0]} is not installed in the environment that builds the models."
        raise MissingError(message, where=spec.python, hint="pip install -c constraints.txt 'detui[ultralytics]'")


def _described(spec: RunSpec, speed: bool, device: str) -> dict[str, Any]:
    import torch

    torch.manual_seed(spec.seed)
    classes, side = list((spec.data or {})["classes"]), int(spec.config["train"]["imgsz"])
    model = build(spec.config, classes).eval().to(torch.device(device))
    facts = made_of(model, stem(spec.config["model"]["name"]), side)
    picture = torch.rand(1, facts["channels"], side, side, device=device)
    counted = size(model, picture)
    measured = measure(model, picture, None, precision="fp32") if speed else None
    counts = {name: counted[name] for name in ("gflops", "gmacs", "flops_convention")}
    return {"model": {**facts, **counts, "classes": len(classes), "packages": _packages()}, "speed": measured}


def build(config: Mapping[str, Any], classes: Sequence[str]) -> Any:
    """The model that a run of this configuration starts with, its weights random. Raises RunError as training does."""
    from ultralytics.nn.tasks import DetectionModel, RTDETRDetectionModel

    name = stem(config["model"]["name"])
    channels = RGBD if reads_depth(config) else RGB
    own = dictionary(config["model"], channels)
    kind = RTDETRDetectionModel if is_rtdetr(name) else DetectionModel
    file = name if name.endswith((".yaml", ".yml")) else f"{name}.yaml"
    return kind(own or file, ch=channels, nc=len(classes), verbose=False)


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # timm is needed by the models that are built on it alone
            continue
    return found
