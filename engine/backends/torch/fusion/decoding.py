"""Detections out of queries: the largest scores over queries and classes, without suppression of neighbours.

One query answers for each object, because the matching is one to one (DETR, CMT).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detui.engine.backends.torch.fusion.boxes import decode
from detui.engine.backends.torch.fusion.decoder import Predictions
from detui.engine.backends.torch.fusion.geometry import Range

LIMIT = 300
"""Detections of a frame at most."""


class Detections(NamedTuple):
    """Of one frame, the best first, in the LiDAR's frame."""

    boxes: Tensor
    """[n, 9]: engine/data/frame.py."""
    scores: Tensor
    """[n], 0 to 1."""
    labels: Tensor
    """[n]."""


def detections(last: Predictions, space: Range, limit: int = LIMIT) -> list[Detections]:
    """The predictions of the last layer, without denoising rows → the detections of each frame.

    Those with their centre outside of the space are left out: nothing was trained there.
    """
    classes = last.logits.shape[-1]
    found = []
    for logits, codes in zip(last.logits.sigmoid(), last.codes, strict=True):
        scores, index = logits.flatten().topk(min(limit, logits.numel()))
        boxes = decode(codes[index // classes])
        low, high = boxes.new_tensor(space[:3]), boxes.new_tensor(space[3:])
        kept = ((boxes[:, :3] >= low) & (boxes[:, :3] <= high)).all(1) & torch.isfinite(boxes).all(1)
        found.append(Detections(boxes[kept], scores[kept], (index % classes)[kept]))
    return found
