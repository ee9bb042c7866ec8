"""The moving average of a model's weights, which is what is evaluated."""

from __future__ import annotations

import copy
import math

import torch
from torch import nn

RAMP = 500
"""Steps over which the average learns to be slow: early weights are no part of what comes out."""


class MovingAverage:
    """A second model, whose weights follow those of the first."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        """`decay`: how much of the average each step keeps, in the long run."""
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.steps = decay, 0

    def update(self, model: nn.Module) -> None:
        """Follow, after a step of the optimizer. Buffers are taken over as they are."""
        self.steps += 1
        kept = self.decay * (1 - math.exp(-self.steps / RAMP))
        with torch.no_grad():
            mine, its = list(self.model.parameters()), list(model.parameters())
            torch._foreach_lerp_(mine, its, 1 - kept)
            for own, other in zip(self.model.buffers(), model.buffers(), strict=True):
                own.copy_(other)
