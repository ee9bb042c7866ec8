"""What the name of a model says of it, before anything is built. Standard library only: the worker asks it, too."""

from __future__ import annotations

import re

SHIPPED = re.compile(r"(yolo(v8|v9|v10|11|12|26)[a-z]|rtdetr-(l|x|resnet50|resnet101))")
"""The architectures that Ultralytics ships."""


def is_file(name: str) -> bool:
    """Whether a model is named by a YAML of the user's own."""
    return name.endswith((".yaml", ".yml"))


def is_rtdetr(name: str) -> bool:
    """Whether a model name or model YAML is of the RT-DETR family."""
    return name.rsplit("/", 1)[-1].startswith("rtdetr")
