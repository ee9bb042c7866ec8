"""Noised true boxes as additional queries of the training.

DN-DETR (Li et al., CVPR 2022): queries that start near a box and must find it learn without the matching's unrest. As
in CMT the noise moves a query's reference point within the box's size, and a point moved far must say "nothing here".

The queries come in groups, each with all boxes of its picture, filled up to the largest number in the batch. Queries
that are matched must not see them, and groups not each other: they tell where the objects are.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detui.engine.backends.torch.fusion.geometry import Range, to_unit

SPLIT = 0.75
"""A point moved farther than this, in half sizes of its box, is background (CMT's `split`)."""


class Denoising(NamedTuple):
    """Rows of queries in front of the learned ones, and what they are to answer. P rows in all."""

    reference: Tensor
    """[B, P, 3], 0 to 1."""
    boxes: Tensor
    """[B, P, 9]."""
    labels: Tensor
    """[B, P]; the number of classes where the answer is "nothing here"."""
    real: Tensor
    """[B, P]: False for rows that only fill up."""
    group: Tensor
    """[P]: the group of each row."""


def noised(
    boxes: list[Tensor], labels: list[Tensor], groups: int, queries: int, classes: int, space: Range
) -> Denoising | None:
    """The rows for a batch of boxes [N, 9] and labels [N]; None where there are no boxes, or no groups.

    As many groups as asked, but no more than make `queries` rows: 900 + N·min(10, 900 // N) rows at CMT's numbers.
    """  # fmt: skip
    most = max((len(one) for one in boxes), default=0)
    groups = min(groups, queries // most) if most else 0
    if not groups:
        return None
    first, rows, batch = boxes[0], most * groups, len(boxes)
    filled = first.new_zeros(batch, most, 9)
    filled_labels = torch.full((batch, most), classes, device=first.device)
    real = torch.zeros(batch, most, dtype=torch.bool, device=first.device)
    for index, (some, its) in enumerate(zip(boxes, labels, strict=True)):
        filled[index, : len(some)], filled_labels[index, : len(its)], real[index, : len(some)] = some, its, True
    filled, filled_labels, real = filled.repeat(1, groups, 1), filled_labels.repeat(1, groups), real.repeat(1, groups)
    noise = torch.rand(batch, rows, 3, device=first.device, dtype=first.dtype) * 2 - 1
    moved = to_unit(filled[..., :3] + noise * filled[..., 3:6] / 2, space).clamp(1e-3, 1 - 1e-3)
    far = noise.norm(dim=-1) > SPLIT
    return Denoising(
        reference=moved,
        boxes=filled,
        labels=torch.where(far, torch.full_like(filled_labels, classes), filled_labels),
        real=real,
        group=torch.arange(rows, device=first.device) // most,
    )


def may_attend(denoising: Denoising | None, queries: int) -> Tensor | None:
    """[B, 1, Q, Q] bool: which row of queries may look at which; None where all may.

    Learned queries see each other alone; a group sees itself and them; nobody sees padding, which sees itself so that
    its softmax is over something.
    """
    if denoising is None:
        return None
    batch, rows = denoising.real.shape
    total, device = rows + queries, denoising.real.device
    group = torch.cat([denoising.group, torch.full((queries,), -1, device=device)])
    allowed = (group[:, None] == group[None]) | (group[None] == -1)
    real = torch.cat([denoising.real, torch.ones(batch, queries, dtype=torch.bool, device=device)], 1)
    itself = torch.eye(total, dtype=torch.bool, device=device)
    return ((allowed[None] & real[:, None]) | itself)[:, None]
