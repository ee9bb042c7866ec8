"""Non-maximum suppression and RoIAlign in plain torch, for where no compiled operators load.

They give what torchvision's and MMCV's compiled operators give: the same boxes
are kept, and pooled values and gradients differ in the rounding of their last
digits only. Both work on whole tensors, on the device that these lie on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

_BLOCK = 256
"""Boxes that are suppressed against each other at once."""
_ROIS = 64
"""Regions whose sampling weights are worked out at once."""
_VALUES = 1 << 24
"""Values of the feature map that are gathered at once: 64 MiB in single precision."""


def nms(boxes: Any, scores: Any, iou_threshold: float, offset: int = 0) -> Any:
    """Greedy non-maximum suppression, as torchvision.ops.nms and mmcv.ops.nms do it.

    boxes: (N, 4) xyxy; scores: (N,), of equal ones the first counts as higher. A box goes when its intersection over
    union with one that stays is above the threshold. offset: 1 where a box from 3 to 3 is one pixel wide, else 0.
    Returns the kept indices (K,), by falling score.
    """
    indices = scores.argsort(descending=True, stable=True)
    rest = boxes[indices]
    rest = rest if rest.dtype == torch.float64 else rest.float()
    kept = []
    while len(rest):
        first = rest[:_BLOCK]
        staying = _greedy(_iou(first, first, offset) > iou_threshold)
        kept.append(indices[:_BLOCK][staying])
        later = rest[_BLOCK:]
        free = ~(_iou(first[staying], later, offset) > iou_threshold).any(dim=0)
        rest, indices = later[free], indices[_BLOCK:][free]
    return torch.cat(kept) if kept else indices


def _greedy(over: Any) -> Any:
    """Which of N boxes by falling score stay (N,), where `over` (N, N) says which overlap too much.

    A box stays unless a better one that stays overlaps it: that has one solution, and each round settles at least the
    next box of every chain.
    """
    better = over.triu(diagonal=1)
    staying = torch.ones(len(over), dtype=torch.bool, device=over.device)
    while True:
        found = ~(better & staying[:, None]).any(dim=0)
        if torch.equal(found, staying):
            return found
        staying = found


def _iou(some: Any, others: Any, offset: int) -> Any:
    """Intersection over union of boxes (N, 4) and (M, 4): (N, M); NaN where both are empty, which exceeds nothing."""
    low = torch.maximum(some[:, None, :2], others[None, :, :2])
    high = torch.minimum(some[:, None, 2:], others[None, :, 2:])
    sides = (high - low + offset).clamp_(min=0)
    inter = sides[..., 0] * sides[..., 1]
    return inter / (_area(some, offset)[:, None] + _area(others, offset)[None] - inter)


def _area(boxes: Any, offset: int) -> Any:
    sides = boxes[:, 2:] - boxes[:, :2] + offset
    return sides[:, 0] * sides[:, 1]


@dataclass(frozen=True, slots=True)
class Pooling:
    """What RoIAlign is asked for."""

    height: int
    """Bins from top to bottom."""
    width: int
    """Bins from left to right."""
    scale: float
    """Cells of the feature map for a pixel of the picture."""
    samples: int = 0
    """Samples of a bin along each axis; 0: as many as a bin has cells, rounded up."""
    aligned: bool = True
    """Whether a cell's value lies in its middle: regions are moved by half a cell, and may be smaller than one."""


def roi_align(features: Any, rois: Any, asked: Pooling) -> Any:
    """Mean of bilinear samples in every bin of every region, as torchvision.ops.roi_align does it.

    features: (N, C, H, W); rois: (K, 5), the index of the picture and xyxy in its pixels. Samples more than one cell
    outside of the map count as zero. Returns (K, C, height, width) in the type of the features; half precision is
    worked out in single.
    """
    count, channels, rows, columns = features.shape
    kind = _working(features)
    cells = features.to(kind).permute(0, 2, 3, 1).reshape(count * rows * columns, channels)
    pooled = features.new_zeros(len(rois), channels, asked.height, asked.width)
    for part in _parts(rois.to(kind), features.shape, asked):
        taken = cells[part.cells.reshape(-1)].view(len(part.which), part.tall, part.wide * channels)
        across = (part.down @ taken).view(len(part.which), asked.height, part.wide, channels)
        bins = part.right[:, None] @ across  # (K, height, width, C)
        pooled[part.which] = bins.permute(0, 3, 1, 2).to(pooled.dtype)
    return pooled


def roi_align_gradient(gradient: Any, rois: Any, shape: tuple[int, int, int, int], asked: Pooling) -> Any:
    """The gradient of `roi_align` with respect to the features.

    gradient: (K, C, height, width), that of what was pooled; shape: that of the features. Returns (N, C, H, W).
    """
    count, channels, rows, columns = shape
    kind = _working(gradient)
    cells = gradient.new_zeros(count * rows * columns, channels, dtype=kind)
    for part in _parts(rois.to(kind), shape, asked):
        bins = gradient[part.which].to(kind).permute(0, 2, 3, 1)  # (K, height, width, C)
        across = part.right[:, None].transpose(2, 3) @ bins
        given = part.down.transpose(1, 2) @ across.reshape(len(part.which), asked.height, part.wide * channels)
        cells.index_add_(0, part.cells.reshape(-1), given.view(-1, channels))
    return cells.view(count, rows, columns, channels).permute(0, 3, 1, 2).to(gradient.dtype).contiguous()


def _working(values: Any) -> Any:
    return torch.float64 if values.dtype == torch.float64 else torch.float32


@dataclass(frozen=True, slots=True)
class _Part:
    """Some regions, the windows of the feature map that they touch, and the weights of those cells.

    The weights of an axis are independent of those of the other: a bin is a product of two small matrices and a window.
    """

    which: Any
    """Indices of the regions: (K,)."""
    cells: Any
    """Rows of the flattened feature map: (K, tall, wide)."""
    down: Any
    """Weights of the window's rows in each bin: (K, height, tall)."""
    right: Any
    """Weights of the window's columns in each bin: (K, width, wide)."""

    @property
    def tall(self) -> int:
        return int(self.cells.shape[1])

    @property
    def wide(self) -> int:
        return int(self.cells.shape[2])


def _parts(rois: Any, shape: Any, asked: Pooling) -> Iterator[_Part]:
    """Give the regions in parts of like size, so that a part's windows can have one size."""
    _, channels, rows, columns = shape
    if not len(rois) or not rows or not columns:
        return
    corners = rois[:, 1:] * asked.scale - (0.5 if asked.aligned else 0.0)
    sides = corners[:, 2:] - corners[:, :2]
    if not asked.aligned:
        sides = sides.clamp(min=1.0)
    for which in sides.amax(dim=1).argsort(stable=True).split(_ROIS):
        low, side = corners[which], sides[which]
        top, down = _axis(low[:, 1], side[:, 1], asked.height, rows, asked.samples)
        left, right = _axis(low[:, 0], side[:, 0], asked.width, columns, asked.samples)
        first = rois[which, 0].long() * (rows * columns)
        cells = first[:, None, None] + top[:, :, None] * columns + left[:, None, :]
        some = max(1, _VALUES // (cells[0].numel() * channels))
        for begin in range(0, len(which), some):
            piece = slice(begin, begin + some)
            yield _Part(which[piece], cells[piece], down[piece], right[piece])


def _axis(low: Any, side: Any, bins: int, length: int, samples: int) -> tuple[Any, Any]:
    """Windows and weights of K regions along one axis of `length` cells: cells (K, L), weights (K, bins, L)."""
    size = side / bins
    wanted = torch.full_like(size, samples) if samples > 0 else size.nan_to_num(0.0, 0.0, 0.0).ceil().clamp(min=0)
    number = torch.arange(max(1, int(wanted.max())), device=low.device, dtype=low.dtype)
    bin_low = low[:, None] + torch.arange(bins, device=low.device, dtype=low.dtype) * size[:, None]
    step = (size / wanted.clamp(min=1))[:, None, None]
    at = bin_low[:, :, None] + (number + 0.5) * step  # (K, bins, samples)
    counts = (at >= -1.0) & (at <= length) & (number < wanted[:, None, None])
    share = counts.to(low.dtype) / wanted.clamp(min=1)[:, None, None]
    at = at.nan_to_num(0.0).clamp(0, length - 1)
    before = at.floor()
    after = (before + 1).clamp(max=length - 1)
    first = before.flatten(1).amin(dim=1)
    wide = int((after.flatten(1).amax(dim=1) - first).max()) + 1
    weights = low.new_zeros(len(low), bins, wide)
    fraction = at - before
    start = first[:, None, None]
    weights.scatter_add_(2, (before - start).long(), (1 - fraction) * share)
    weights.scatter_add_(2, (after - start).long(), fraction * share)
    # A window that ends outside of the map repeats the last cell, with no weight.
    cells = (first[:, None] + torch.arange(wide, device=low.device, dtype=low.dtype)).clamp(max=length - 1)
    return cells.long(), weights
