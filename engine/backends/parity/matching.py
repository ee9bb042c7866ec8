"""Which prediction answers for which object: the cheapest assignment (Carion et al., "DETR", 2020, 3.1), with the
costs of the paper's appendix (class 2, L1 5, generalised IoU 2). In numpy, in double precision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from detui.engine.backends.parity.boxes import corners, generalised_overlaps
from detui.engine.backends.parity.frameworks.framework import Array
from detui.engine.backends.parity.targets import Pairs, Target

CLASS, L1, OVERLAP = 2.0, 5.0, 2.0
"""What a unit of each cost weighs."""
ALPHA, GAMMA = 0.25, 2.0
"""Of the focal cost of a class."""
WORST = float(np.finfo(np.float32).max)
"""The cost of a pair whose cost is no number: it is taken only where nothing else is left."""


def match(logits: Array, boxes: Array, targets: Sequence[Target]) -> Pairs:
    """From class logits [b, q, classes] and boxes [b, q, 4]: for each image min(q, objects) pairs."""
    found = []
    for image, target in enumerate(targets):
        costs = pair_costs(logits[image].astype(np.float64), boxes[image].astype(np.float64), target)
        rows, columns = linear_sum_assignment(costs)
        found.append((rows.astype(np.int64), columns.astype(np.int64)))
    return found


def pair_costs(logits: Array, boxes: Array, target: Target) -> Array:
    """[q, classes], [q, 4] and m objects → what each pair costs, [q, m]."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        score = (1 / (1 + np.exp(-logits)))[:, target.labels]
        right = ALPHA * (1 - score) ** GAMMA * -np.log(score + 1e-8)
        wrong = (1 - ALPHA) * score**GAMMA * -np.log(1 - score + 1e-8)
        wanted = target.boxes.astype(np.float64)
        distance = np.abs(boxes[:, None] - wanted[None]).sum(-1)
        overlap = generalised_overlaps(corners(boxes), corners(wanted))
        costs = CLASS * (right - wrong) + L1 * distance - OVERLAP * overlap
    return np.asarray(np.nan_to_num(costs, nan=WORST, posinf=WORST, neginf=WORST))
