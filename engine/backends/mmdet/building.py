"""Building the detector of a recipe, and what it is made of. Needs the mmdet environment."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from detui.engine.backends.mmdet import configuration
from detui.engine.backends.mmdet.ops import ensure_ops
from detui.engine.backends.torch_support.speed import measure, size
from detui.engine.errors import MissingError
from detui.engine.run.spec import RunSpec

DISTRIBUTIONS = {"mmdet": ("onedl-mmdetection", "mmdet"), "mmcv": ("onedl-mmcv", "mmcv", "mmcv-lite"),
                 "mmengine": ("onedl-mmengine", "mmengine"), "torch": ("torch",),
                 "torchvision": ("torchvision",)}  # fmt: skip
"""What is imported → what it may be installed as: the kept forks, or upstream."""


def build(section: Mapping[str, Any], classes: int, *, shapes: bool = False) -> Any:
    """The detector of a recipe's `model` section, initialised at random but for the seed that the caller set.

    `shapes`: parameters without memory, which are not initialised: for looking at names and shapes. Raises MissingError
    where MMDetection is not installed.
    """
    ready()
    import torch
    from mmdet.registry import MODELS
    from mmengine.config import ConfigDict

    with torch.device("meta") if shapes else nullcontext():
        model = MODELS.build(ConfigDict(configuration.model(section, classes)))
    if not shapes:
        with quiet():
            model.init_weights()
    return model


def ready() -> str:
    """Make MMDetection's modules known to MMEngine; returns which operators are in use.

    Raises MissingError where it is not installed.
    """
    if find_spec("mmdet") is None or find_spec("mmcv") is None:
        message = "MMDetection is not installed in the environment that builds the models."
        raise MissingError(message, where="environment", hint="detui env create mmdet")
    operators: str = ensure_ops()
    from mmdet.utils import register_all_modules

    register_all_modules()
    return operators


@contextmanager
def quiet() -> Iterator[None]:
    """Without the line that MMEngine logs for each parameter that it initialises."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)


def made_of(model: Any, section: Mapping[str, Any]) -> dict[str, Any]:
    """What `begin` says of a built detector: name, backbone, layers, parameters in all and by part.

    `levels`: the channels that the neck takes from the backbone, `P2` at stride 4 to `P5` at stride 32.
    `backbone_convolutions`: layers of convolution in the backbone.
    """
    from torch import nn

    parts = {"backbone": model.backbone, "neck": model.neck, "head": nn.ModuleList([model.rpn_head, model.roi_head])}
    channels = configuration.CHANNELS[section["backbone"]["depth"]]
    return {
        "name": section["name"],
        "backbone": f"resnet{section['backbone']['depth']}",
        "parameters": _count(model),
        "parameters_by_part": {name: _count(part) for name, part in parts.items()},
        "layers": len(list(model.modules())),
        "backbone_convolutions": sum(isinstance(one, nn.Conv2d) for one in model.backbone.modules()),
        "levels": {f"P{level}": width for level, width in enumerate(channels, 2)},
    }


def _count(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def describe(spec: RunSpec, wanted: Mapping[str, Any], device: str) -> dict[str, Any]:
    """Build a detector without weights, and say what it is made of (`Predictor.describe`).

    FLOPs, and the pass with `wanted["speed"]`, are of one picture of noise of the largest size that the training has,
    with as many proposals and detections as there may be at most, without suppression: how many there are depends on
    weights. Raises MissingError where MMDetection is not installed.
    """
    import torch

    torch.manual_seed(spec.seed)
    section, classes = spec.config["model"], list((spec.data or {})["classes"])
    model = build(section, len(classes)).eval().to(torch.device(device))
    picture = torch.rand(1, 3, *padded(spec.config["train"]["image_size"]), device=device)
    once = whole_pass(model, section)
    counted = size(once, picture)
    facts = {
        **made_of(model, section),
        **{name: counted[name] for name in ("gflops", "gmacs", "flops_convention")},
        "classes": len(classes),
        "input": list(picture.shape[1:]),
        "packages": packages(),
    }
    return {"model": facts, "speed": measure(once, picture, None, precision="fp32") if wanted["speed"] else None}


def padded(image_size: list[int]) -> tuple[int, int]:
    """Height and width of the largest picture that lies on its side, padded as the network wants it."""
    long, short = (-(-side // 32) * 32 for side in image_size)
    return short, long


def whole_pass(model: Any, section: Mapping[str, Any]) -> Any:
    """A module of the detector's every layer, with proposals that are fixed: what FLOPs are counted of."""
    import torch
    from torch import nn

    class Pass(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, picture: Any) -> tuple[Any, ...]:
            """(1, 3, height, width) → scores, boxes and masks of the proposals."""
            height, width = picture.shape[-2:]
            features = self.model.extract_feat(picture)
            box = torch.tensor([0.0, width / 4, height / 4, width / 2, height / 2]).to(picture)
            rois = box.expand(section["proposals"], 5)
            heads = self.model.roi_head
            found = heads._bbox_forward(features, rois)
            masks = heads._mask_forward(features, rois[: section["detections"]])
            return self.model.rpn_head(features), found["cls_score"], found["bbox_pred"], masks["mask_preds"]

    return Pass().eval()


def packages() -> dict[str, str]:
    """Package → version, of what decides what is built and trained; a fork with its own name before the version.

    Where several are installed that import under one name, it is the one that was imported.
    """
    found = {}
    for name, distributions in DISTRIBUTIONS.items():
        there = {one: told for one in distributions if (told := _version(one)) is not None}
        imported = getattr(sys.modules.get(name), "__version__", None)
        chosen = next((one for one, told in there.items() if told == imported), next(iter(there), None))
        if chosen is not None:
            found[name] = there[chosen] if chosen == name else f"{chosen} {there[chosen]}"
    return found


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
