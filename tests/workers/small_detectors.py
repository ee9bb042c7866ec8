"""A detector with the names of MMDetection's Mask R-CNN and few values, and checkpoints of it in every form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

CLASSES = ("disc", "box", "cross")
START = {"take": "all", "anew": "classes", "box_std": 0.01, "mask_std": 0.001}


def detector(classes: int, seed: int = 0, *, wide: int = 4, masks: bool = True) -> nn.Module:
    """backbone, neck, rpn_head, roi_head.bbox_head, roi_head.mask_head. `wide`: channels of the backbone."""
    torch.manual_seed(seed)
    backbone = nn.Module()
    backbone.conv1, backbone.bn1 = nn.Conv2d(3, wide, 3, bias=False), nn.BatchNorm2d(wide)
    backbone.layer1 = nn.Sequential(nn.Conv2d(wide, wide, 3))
    neck = nn.Module()
    neck.lateral_convs = nn.ModuleList([nn.Conv2d(4, 8, 1)])
    rpn = nn.Module()
    rpn.rpn_conv = nn.Conv2d(8, 8, 3)
    boxes = nn.Module()
    boxes.shared_fcs = nn.ModuleList([nn.Linear(8, 16)])
    boxes.fc_cls, boxes.fc_reg = nn.Linear(16, classes + 1), nn.Linear(16, 4 * classes)
    roi = nn.Module()
    roi.bbox_head = boxes
    if masks:
        roi.mask_head = nn.Module()
        roi.mask_head.convs = nn.ModuleList([nn.Conv2d(8, 8, 3)])
        roi.mask_head.conv_logits = nn.Conv2d(8, classes, 1)
    whole = nn.Module()
    whole.backbone, whole.neck, whole.rpn_head, whole.roi_head = backbone, neck, rpn, roi
    return whole


def section(weights: Path | None = None, backbone: Path | None = None, **start: Any) -> dict[str, Any]:
    """A recipe's `model`, with what weights.py reads of it."""
    paths = [str(path) if path else None for path in (weights, backbone)]
    return {"weights": paths[0], "backbone": {"weights": paths[1], "depth": 18}, "start": {**START, **start}}


def saved(path: Path, state: Any, classes: tuple[str, ...] | None = None, **more: Any) -> Path:
    """A file in the form of MMEngine."""
    meta = {"epoch": 12} | ({"dataset_meta": {"classes": classes}} if classes else {})
    torch.save({"state_dict": state, "meta": meta, **more}, path)
    return path
