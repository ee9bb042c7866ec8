"""The small layers that several modules are made of."""

from __future__ import annotations

from torch import nn

GROUPS = 8
"""Groups of the normalisation; channels are multiples of it. Batches are too small for statistics over a batch."""


def convolution(inner: int, outer: int, stride: int = 1) -> nn.Sequential:
    """3×3 convolution, group normalisation, ReLU: [N, inner, H, W] → [N, outer, ⌈H/stride⌉, ⌈W/stride⌉]."""
    return nn.Sequential(
        nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.GroupNorm(GROUPS, outer), nn.ReLU(inplace=True)
    )


def perceptron(inner: int, hidden: int, outer: int) -> nn.Sequential:
    """Two linear layers with a ReLU between them: [..., inner] → [..., outer]."""
    return nn.Sequential(nn.Linear(inner, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, outer))
