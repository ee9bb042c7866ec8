"""Weights of queries become a map: each is splatted as a Gaussian around its query's cell.

A Gaussian is the product of one along the rows and one along the columns, so the map is one product of matrices,
(weight · rows)ᵀ @ columns: memory grows with Q·(H + W) instead of Q·H·W, and no loop runs over queries.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

Kernel = Literal["sum", "peak"]
Saturate = Literal["hard", "straight-through"]


class Rendered(NamedTuple):
    """Maps of weights, [..., H, W]."""

    map: Tensor
    """Between 0 and the clamp."""
    raw: Tensor
    """Before small values were dropped and large ones clamped."""


class GaussianRenderer(nn.Module):
    """Renders the weights of queries into a map."""

    clamp: Tensor

    def __init__(
        self,
        max_weight_clamp: float = 2.5,
        sigma: float = 1.0,
        kernel: Kernel = "sum",
        saturate: Saturate = "hard",
        min_weight: float = 0.01,
    ) -> None:
        """`max_weight_clamp`: the largest value of a map, where queries pile up. `sigma`: in cells.

        `kernel`: a query's Gaussian sums to its weight ("sum"; its peak is 0.159 of it at sigma 1), or has it as its
        peak. `saturate`: a clamped cell passes no gradient ("hard"), or passes it as if it were not clamped. Values
        below `min_weight` are 0.
        """
        super().__init__()
        self.sigma, self.kernel, self.saturate, self.min_weight = sigma, kernel, saturate, min_weight
        self.radius = int(6 * sigma + 1) // 2
        # A buffer: a schedule changes it, and who loads the checkpoint must render as the training did.
        self.register_buffer("clamp", torch.tensor(float(max_weight_clamp)))

    def forward(self, weights: Tensor, cells: Tensor, drawn: Tensor, size: tuple[int, int]) -> Rendered:
        """`weights` [..., Q] at `cells` [..., Q, 2] (row, column), where `drawn` [..., Q] → maps of `size` (H, W).

        What is not drawn leaves nothing, whatever its weight and cell are: padding queries all stand in one corner,
        and rendered they would pile up there.
        """
        # In full precision: sums of bf16 would pass the clamp in steps, and the bounds of the gain with them.
        with torch.autocast(weights.device.type, enabled=False):
            raw = self.splat(weights if weights.dtype == torch.float64 else weights.float(), cells, drawn, size)
        kept = torch.where(raw < self.min_weight, torch.zeros_like(raw), raw)
        clamp = self.clamp.to(kept.dtype)
        if self.saturate == "hard":
            return Rendered(torch.minimum(kept, clamp), raw)
        return Rendered(_StraightThrough.apply(kept, clamp), raw)

    def splat(self, weights: Tensor, cells: Tensor, drawn: Tensor, size: tuple[int, int]) -> Tensor:
        """The sum of all Gaussians, [..., H, W]."""
        cells = torch.where(drawn[..., None], cells, torch.zeros_like(cells)).to(weights.dtype)
        weights = torch.where(drawn, weights, torch.zeros_like(weights))
        rows, columns = self._line(cells[..., 0], size[0]), self._line(cells[..., 1], size[1])
        return (weights[..., None] * rows).transpose(-1, -2) @ columns

    def _line(self, centre: Tensor, cells: int) -> Tensor:
        """[..., Q] → [..., Q, cells]: a Gaussian cut off at the radius, around a whole cell."""
        away = torch.arange(cells, device=centre.device, dtype=centre.dtype) - centre.floor()[..., None]
        line = self._bell(away) * (away.abs() <= self.radius)
        if self.kernel == "sum":
            offsets = torch.arange(-self.radius, self.radius + 1, device=centre.device, dtype=centre.dtype)
            line = line / self._bell(offsets).sum()
        return line

    def _bell(self, away: Tensor) -> Tensor:
        return torch.exp(-(away**2) / (2 * self.sigma**2))


class _StraightThrough(torch.autograd.Function):
    """Clamps on the way forward, and lets the gradient through on the way back.

    `x + (clamped - x).detach()` does the same but for a rounding error, by which the gain would leave its bounds.
    """

    @staticmethod
    def forward(context: Any, values: Tensor, clamp: Tensor) -> Tensor:
        return torch.minimum(values, clamp)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None
