"""Maps of weights scale features, and by how much at least and at most.

With the residual weight r, the clamp c and a map m between 0 and c, a feature f becomes

    convex      f·r + f·m·(1 − r)    its gain lies between r and r + c·(1 − r)
    additive    f·r + f·m            its gain lies between r and r + c

The first is what is usually written down, the second what the original code computed.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from torch import Tensor, nn

Mode = Literal["convex", "additive"]


class Bounds(NamedTuple):
    """The smallest and the largest gain; both are reached."""

    low: float
    high: float


def gain_bounds(max_weight_clamp: float, residual_weight: float, mode: Mode) -> Bounds:
    """The tight bounds of the gain, by the formulas above: what a map of 0, and a map of the clamp, come to."""
    share = 1 - residual_weight if mode == "convex" else 1.0
    return Bounds(residual_weight, residual_weight + max_weight_clamp * share)


class Modulator(nn.Module):
    """Scales features by a map."""

    def __init__(self, residual_weight: float = 0.6, mode: Mode = "convex") -> None:
        super().__init__()
        self.residual_weight, self.mode = residual_weight, mode

    def gain(self, weights: Tensor) -> Tensor:
        """A map → the factor of the features under it, of the same shape."""
        share = 1 - self.residual_weight if self.mode == "convex" else 1.0
        return self.residual_weight + weights * share

    def forward(self, features: Tensor, weights: Tensor) -> Tensor:
        """`features` [..., C, H, W] under `weights` [..., H, W] → features of the same shape."""
        return features * self.gain(weights).unsqueeze(-3)
