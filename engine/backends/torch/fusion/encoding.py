"""Where a token or a query is, as a vector that attention can compare.

CMT's coordinates encoding module gives tokens of the BEV map a code of their place in the plane, and tokens of pictures
a code of the points along their ray (PETR: Liu et al., ECCV 2022). Its position-guided query generator codes a query's
reference point by the same two networks, so that a query is like the tokens that show what it asks for.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from detui.engine.backends.torch.fusion.blocks import perceptron
from detui.engine.backends.torch.fusion.geometry import Projection, Range, cell_centres, depths, points_on_rays

TEMPERATURE = 10_000
"""The longest wave is this many times the shortest (Vaswani et al., 2017)."""


def sine(unit: Tensor, waves: int) -> Tensor:
    """[..., k] of 0 to 1 → [..., k·waves]: half of them sines, half cosines."""
    half = waves // 2
    frequency = TEMPERATURE ** (-torch.arange(half, device=unit.device, dtype=unit.dtype) / half)
    angle = unit[..., None] * (2 * math.pi * 10) * frequency
    return torch.cat([angle.sin(), angle.cos()], -1).flatten(-2)


class PositionEncoding(nn.Module):
    """Codes of the tokens and of the queries, `channels` wide."""

    def __init__(self, channels: int, space: Range, ray_points: int = 64) -> None:
        """`ray_points`: depths along a ray."""
        super().__init__()
        self.space, self.ray_points, self.waves = space, ray_points, channels // 2
        self.bev = perceptron(2 * self.waves, channels, channels)
        self.ray = perceptron(3 * ray_points, 2 * channels, channels)
        # CMT gives a query's height to its ray alone, and a query that no camera sees would have none.
        self.height = nn.Linear(self.waves, channels)

    def bev_tokens(self, grid: int, like: Tensor) -> Tensor:
        """[grid·grid, channels]: of the cells of the BEV map."""
        return self.bev(sine(cell_centres(grid, grid, like), self.waves))

    def camera_tokens(self, cells: tuple[int, int], size: tuple[int, int], lidar_to_image: Tensor) -> Tensor:
        """[B, V, h·w, channels]: of the `cells` (h, w) of pictures of `size` (H, W) pixels."""
        centres = cell_centres(*cells, lidar_to_image) * lidar_to_image.new_tensor([size[1], size[0]])
        return self._rays(centres.expand(*lidar_to_image.shape[:2], -1, -1), lidar_to_image)

    def queries(self, reference: Tensor, seen: Projection, lidar_to_image: Tensor) -> Tensor:
        """[B, Q, channels]: of reference points [B, Q, 3], 0 to 1; cameras that do not see one add nothing."""
        rays = self._rays(seen.pixels, lidar_to_image) * seen.visible[..., None]
        flat = self.bev(sine(reference[..., :2], self.waves)) + self.height(sine(reference[..., 2:], self.waves))
        return flat + rays.sum(1)

    def _rays(self, pixels: Tensor, lidar_to_image: Tensor) -> Tensor:
        along = depths(self.ray_points, self.space[3], lidar_to_image)
        return self.ray(points_on_rays(pixels, lidar_to_image, along, self.space))
