"""Points become a map seen from above: the pillars of PointPillars (Lang et al., CVPR 2019).

The plane is cut into cells; a cell's pillar is everything above it. Each point is told where it lies in its pillar, a
small shared network makes features of it, and a pillar keeps the largest of each. Pillars are not cut or padded to one
number of points: `scatter_reduce` takes them as they come.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from detui.engine.backends.torch.fusion.blocks import convolution
from detui.engine.backends.torch.fusion.geometry import Range

STRIDE = 2
"""Pillars along an edge of a cell of the map."""
FEATURES = 10
"""Of a point: place (3), intensity, time, from the pillar's mean (3), from its middle (2)."""


class PillarEncoder(nn.Module):
    """Point clouds → a map of features."""

    def __init__(self, channels: int, grid: int, space: Range, inner: int = 64) -> None:
        """`channels`: of the map, whose edges have `grid` cells each. `inner`: features of a pillar."""
        super().__init__()
        self.pillars, self.space, self.inner = grid * STRIDE, space, inner
        self.point = nn.Sequential(nn.Linear(FEATURES, inner), nn.LayerNorm(inner), nn.ReLU(inplace=True))
        self.map = nn.Sequential(
            convolution(inner + 1, channels, STRIDE), convolution(channels, channels), convolution(channels, channels)
        )

    def forward(self, clouds: list[Tensor]) -> Tensor:
        """B clouds [P, 5] → [B, channels, grid, grid]; rows go along y, columns along x."""
        return self.map(torch.stack([self.scatter(cloud) for cloud in clouds]))

    def scatter(self, cloud: Tensor) -> Tensor:
        """[P, 5] → [inner + 1, pillars, pillars]: the largest features of each pillar, and log(1 + its points)."""
        cloud = cloud[self._within(cloud)]
        low, high = cloud.new_tensor(self.space[:2]), cloud.new_tensor(self.space[3:5])
        place = (cloud[:, :2] - low) / (high - low) * self.pillars
        column, row = place.long().clamp(0, self.pillars - 1).unbind(1)
        pillar, cells = row * self.pillars + column, self.pillars**2
        count = cloud.new_zeros(cells).index_add(0, pillar, torch.ones_like(cloud[:, 0]))
        mean = cloud.new_zeros(cells, 3).index_add(0, pillar, cloud[:, :3]) / count.clamp_min(1)[:, None]
        told = self._told(cloud, mean[pillar], place - torch.stack([column, row], 1) - 0.5)
        # The maximum is taken in the precision of the features: under autocast they are not those of the points.
        features = self.point(told)
        empty = features.new_zeros(cells, self.inner)
        largest = empty.scatter_reduce(0, pillar[:, None].expand(-1, self.inner), features, "amax")
        columns = torch.cat([largest, count.log1p()[:, None].to(largest.dtype)], 1)
        return columns.T.reshape(-1, self.pillars, self.pillars)

    def _within(self, cloud: Tensor) -> Tensor:
        low, high = cloud.new_tensor(self.space[:3]), cloud.new_tensor(self.space[3:])
        return ((cloud[:, :3] >= low) & (cloud[:, :3] < high)).all(1)

    def _told(self, cloud: Tensor, mean: Tensor, from_middle: Tensor) -> Tensor:
        """[P, FEATURES], each of about unit size."""
        far = cloud.new_tensor([max(abs(self.space[axis]), abs(self.space[axis + 3])) for axis in range(3)])
        place, rest = cloud[:, :3] / far, cloud[:, 3:5] / cloud.new_tensor([255.0, 1.0])
        return torch.cat([place, rest, cloud[:, :3] - mean, from_middle], 1)
