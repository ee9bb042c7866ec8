"""Which query answers for which box: the cheapest one-to-one assignment (DETR: Carion et al., ECCV 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from detui.engine.backends.torch.fusion.boxes import CODE_WEIGHTS, PLACE, encode
from detui.engine.backends.torch.fusion.decoder import Predictions

CLASS_COST, BOX_COST = 2.0, 0.25
"""CMT's."""
ALPHA = 0.25
"""Of the focal loss: how much a class that is there counts, against one that is not."""


def match(predicted: Predictions, boxes: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """For one frame: `predicted` [Q, …] against boxes [N, 9] and labels [N].

    Returns indices of queries and of boxes, [min(Q, N)] each. Velocities are left out, because some are not known.
    """
    from scipy.optimize import linear_sum_assignment

    with torch.no_grad():
        cost = CLASS_COST * class_cost(predicted.logits)[:, labels] + BOX_COST * _box_cost(predicted.codes, boxes)
        # What is not finite is reported with the losses; here it must only not end the training with another message.
        rows, columns = linear_sum_assignment(torch.nan_to_num(cost, nan=1e6, posinf=1e6, neginf=-1e6).cpu().numpy())
    device = boxes.device
    return torch.as_tensor(rows, device=device), torch.as_tensor(columns, device=device)


def class_cost(logits: Tensor) -> Tensor:
    """[Q, classes]: what the focal loss would gain, were the class there instead of not."""
    p = logits.sigmoid()
    there = -ALPHA * (1 - p) ** 2 * (p + 1e-8).log()
    absent = -(1 - ALPHA) * p**2 * (1 - p + 1e-8).log()
    return there - absent


def _box_cost(codes: Tensor, boxes: Tensor) -> Tensor:
    """[Q, N]: weighted distance of the codes."""
    weights = codes.new_tensor(CODE_WEIGHTS)[PLACE]
    return torch.cdist(codes[:, PLACE] * weights, encode(boxes)[:, PLACE].to(codes) * weights, p=1)
