"""Maps of weights scale features: f·r + f·m·(1 − r), or f·r + f·m. Which, and by how much at least and at most, is
written down in `gain.py`.
"""

from __future__ import annotations

from torch import Tensor, nn

from detui.engine.backends.torch.gain import Mode, map_factor


class Modulator(nn.Module):
    """Scales features by a map."""

    def __init__(self, residual_weight: float = 0.6, mode: Mode = "convex") -> None:
        super().__init__()
        self.residual_weight, self.mode = residual_weight, mode

    def gain(self, weights: Tensor) -> Tensor:
        """A map → the factor of the features under it, of the same shape."""
        return self.residual_weight + weights * map_factor(self.residual_weight, self.mode)

    def forward(self, features: Tensor, weights: Tensor) -> Tensor:
        """`features` [..., C, H, W] under `weights` [..., H, W] → features of the same shape."""
        return features * self.gain(weights).unsqueeze(-3)
