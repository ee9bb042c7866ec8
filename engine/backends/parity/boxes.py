"""Boxes as numpy arrays and as tensors: cx, cy, w, h in 0–1 of the image, or corners x0, y0, x1, y1."""

from __future__ import annotations

import numpy as np

from detui.engine.backends.parity.frameworks.framework import Array, Framework, Tensor


def corners(boxes: Array) -> Array:
    """[…, 4] of centre and sides → of corners."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return np.concatenate([centre - half, centre + half], -1)


def centred(boxes: Array) -> Array:
    """[…, 4] of corners → of centre and sides."""
    first, second = boxes[..., :2], boxes[..., 2:]
    return np.concatenate([(first + second) / 2, second - first], -1)


def generalised_overlaps(first: Array, second: Array) -> Array:
    """[n, 4] and [m, 4] of corners → the generalised IoU of each pair, [n, m] (Rezatofighi et al., 2019)."""
    one, two = first[:, None], second[None]
    shared = np.clip(np.minimum(one[..., 2:], two[..., 2:]) - np.maximum(one[..., :2], two[..., :2]), 0, None).prod(-1)
    around = (np.maximum(one[..., 2:], two[..., 2:]) - np.minimum(one[..., :2], two[..., :2])).prod(-1)
    union = (one[..., 2:] - one[..., :2]).prod(-1) + (two[..., 2:] - two[..., :2]).prod(-1) - shared
    return np.asarray(shared / union - (around - union) / around)


def paired_overlaps(f: Framework, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Two tensors [n, 4] of centre and sides → IoU and generalised IoU of each row's pair, [n] and [n]."""
    (low, high), (other_low, other_high) = _edges(first), _edges(second)
    size = f.relu(f.minimum(high, other_high) - f.maximum(low, other_low))
    shared = size[:, 0] * size[:, 1]
    union = first[:, 2] * first[:, 3] + second[:, 2] * second[:, 3] - shared
    around = f.maximum(high, other_high) - f.minimum(low, other_low)
    hull = around[:, 0] * around[:, 1]
    overlap = shared / union
    return overlap, overlap - (hull - union) / hull


def _edges(boxes: Tensor) -> tuple[Tensor, Tensor]:
    half = boxes[:, 2:] * 0.5
    return boxes[:, :2] - half, boxes[:, :2] + half
