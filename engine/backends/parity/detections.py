"""From a detector's answer to boxes in pixels: the highest scores of any query and class, without suppression
(a detector of DETR's kind answers once for each object). In numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detui.engine.backends.parity.boxes import corners
from detui.engine.backends.parity.frameworks.framework import Array
from detui.engine.backends.parity.selection import highest

MOST = 300
"""Detections of an image, as in the reference."""


@dataclass(frozen=True, slots=True)
class Detections:
    """What was found in one image, best first."""

    scores: Array
    """[k] in 0–1."""
    labels: Array
    """[k], from 0."""
    boxes: Array
    """[k, 4]: x0, y0, x1, y1 in pixels of the original image."""


def detections(logits: Array, boxes: Array, sizes: list[tuple[int, int]], most: int = MOST) -> list[Detections]:
    """From logits [b, q, classes], boxes [b, q, 4] in 0–1, and width and height of each original image in pixels."""
    found = []
    b, _, classes = logits.shape
    places = highest(logits.reshape(b, -1), most)
    for image, (width, height) in enumerate(sizes):
        place = places[image]
        scores = 1 / (1 + np.exp(-logits[image].reshape(-1)[place].astype(np.float64)))
        scale = np.array([width, height, width, height], np.float64)
        inside = corners(boxes[image][place // classes].astype(np.float64)) * scale
        found.append(Detections(scores, place % classes, inside))
    return found
