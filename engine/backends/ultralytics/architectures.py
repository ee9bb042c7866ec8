"""What the name of a model says of it, before anything is built. Standard library only: the worker asks it, too."""

from __future__ import annotations

import re

SHIPPED = re.compile(r"(yolo(v8|v9|v10|11|12|26)[a-z]|rtdetr-(l|x|resnet50|resnet101))")
"""The architectures that Ultralytics ships."""

ANY = "rtdetr-timm"
"""RT-DETR on the backbone that `model.backbone.name` names."""

BUILT = {
    "rtdetr-mnv4-hybrid-m": "mobilenetv4_hybrid_medium",
    "rtdetr-mnv4-hybrid-l": "mobilenetv4_hybrid_large",
    "rtdetr-mnv4-conv-s": "mobilenetv4_conv_small",
    "rtdetr-mnv4-conv-m": "mobilenetv4_conv_medium",
    "rtdetr-mnv4-conv-l": "mobilenetv4_conv_large",
    ANY: None,
}
"""RT-DETR on a backbone of timm, and which one: detectors.py builds these, and Ultralytics ships no YAML of them."""

PUBLISHED = "rtdetr-l"
"""The model whose neck and decoder the built ones have."""

RESIZED = (PUBLISHED, *BUILT)
"""The models that `model.decoder` can change."""

OWN_BACKBONES = {
    "rtdetr-l": "HGNetv2-L",
    "rtdetr-x": "HGNetv2-X",
    "rtdetr-resnet50": "ResNet-50",
    "rtdetr-resnet101": "ResNet-101",
}
"""What the backbones of the RT-DETR models are called that Ultralytics ships."""


def stem(name: str) -> str:
    """The model's name; `rtdetr-mnv4-hybrid-m.yaml` says the same as `rtdetr-mnv4-hybrid-m`."""
    bare = name.removesuffix(".yaml")
    return bare if bare in BUILT else name


def is_built(name: str) -> bool:
    """Whether the model is built here, on a backbone of timm."""
    return stem(name) in BUILT


def is_file(name: str) -> bool:
    """Whether a model is named by a YAML of the user's own."""
    return name.endswith((".yaml", ".yml")) and not is_built(name)


def is_rtdetr(name: str) -> bool:
    """Whether a model name or model YAML is of the RT-DETR family."""
    return name.rsplit("/", 1)[-1].startswith("rtdetr")
