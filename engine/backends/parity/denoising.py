"""Contrastive denoising: objects with noise on their label and box, which the decoder learns to restore, and worse
ones, which it learns to reject (Zhang et al., "DINO", 2023, 3.3). In numpy, from a generator that is handed in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detui.engine.backends.parity.boxes import centred, corners
from detui.engine.backends.parity.frameworks.framework import Array
from detui.engine.backends.parity.sizes import Size
from detui.engine.backends.parity.targets import Pairs, Target

EPS = 1e-5
"""The nearest that a coordinate comes to 0 or 1 before its logit is taken."""
HIDDEN = -1e9
"""Added to the attention score of what a query must not see: its weight is exactly 0."""


@dataclass(frozen=True, slots=True)
class Denoising:
    """The queries that come before the selected ones. `n` is groups × 2 × the most objects of an image."""

    labels: Array
    """[b, n] of int64; the number of classes stands for "no object"."""
    boxes: Array
    """Logits of boxes, [b, n, 4] of float32."""
    mask: Array
    """[1, 1, n + q, n + q] of float32: 0 where the row's query may see the column's, else `HIDDEN`."""
    pairs: Pairs
    """Which query stands for which object."""
    groups: int
    """Groups: each holds every object once with little noise and once with much."""

    @property
    def count(self) -> int:
        """n."""
        return int(self.labels.shape[1])


def group_count(size: Size, most: int) -> int:
    """Groups, where an image has at most `most` objects."""
    return max(1, size.denoising // most)


def make_denoising(targets: Sequence[Target], size: Size, queries: int, own: np.random.RandomState) -> Denoising | None:
    """Queries for a batch; None without objects, or where the size has none. `queries`: selected ones, q."""
    most = max((len(target) for target in targets), default=0)
    if size.denoising <= 0 or most == 0:
        return None
    groups, b = group_count(size, most), len(targets)
    labels = np.full((b, most), size.classes, np.int64)
    boxes = np.zeros((b, most, 4), np.float32)
    for image, target in enumerate(targets):
        labels[image, : len(target)], boxes[image, : len(target)] = target.labels, target.boxes
    labels, boxes = np.tile(labels, (1, 2 * groups)), np.tile(boxes, (1, 2 * groups, 1))
    labels = _other_labels(labels, size, own)
    worse = np.tile(np.repeat([0.0, 1.0], most), groups)[None, :, None]
    moved = _moved(boxes, worse, size.box_noise, own)
    mask, pairs = hidden(groups, most, queries), denoising_pairs(targets, groups, most)
    return Denoising(labels, logits(moved), mask, pairs, groups)


def _other_labels(labels: Array, size: Size, own: np.random.RandomState) -> Array:
    """Half of `label_noise` of them drawn anew; "no object" stays."""
    drawn = own.uniform(size=labels.shape) < size.label_noise * 0.5
    return np.where(drawn & (labels < size.classes), own.randint(0, size.classes, labels.shape), labels)


def _moved(boxes: Array, worse: Array, noise: float, own: np.random.RandomState) -> Array:
    """Each corner moved by up to `noise` half sides, or where `worse` is 1 by one to two of them."""
    if noise <= 0:
        return boxes
    far = own.uniform(size=boxes.shape) + worse
    sign = own.randint(0, 2, boxes.shape) * 2.0 - 1.0
    reach = np.tile(boxes[..., 2:] * 0.5, 2) * noise
    return centred(np.clip(corners(boxes) + far * sign * reach, 0, 1)).astype(np.float32)


def logits(boxes: Array) -> Array:
    """The inverse of the sigmoid, float32."""
    inside = np.clip(boxes.astype(np.float64), 0, 1)
    return np.log(np.maximum(inside, EPS) / np.maximum(1 - inside, EPS)).astype(np.float32)


def hidden(groups: int, most: int, queries: int) -> Array:
    """The mask: a group sees itself and the selected queries, and those see no group."""
    each = 2 * most
    count = groups * each
    mask = np.zeros((count + queries, count + queries), np.float32)
    mask[count:, :count] = HIDDEN
    member = np.arange(count) // each
    mask[:count, :count] = np.where(member[:, None] == member[None], 0, HIDDEN)
    return mask[None, None]


def denoising_pairs(targets: Sequence[Target], groups: int, most: int) -> Pairs:
    """The queries with little noise, and their objects."""
    found = []
    for target in targets:
        objects = np.arange(len(target))
        starts = np.repeat(np.arange(groups) * 2 * most, len(target))
        found.append((starts + np.tile(objects, groups), np.tile(objects, groups)))
    return found
