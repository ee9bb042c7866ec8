"""How much each query trusts the LiDAR and the cameras: two weights between 0 and 1.

AQR began as the Adaptive Query Router of MoME (Park et al., Resilient Sensor Fusion under Adverse Sensor Failures via
Multi-Modal Expert Fusion, CVPR 2025): it looks at the features around a query's place, under a local attention mask,
and chooses one of three expert decoders. Here, as in the fork of CMT that the recipes are about, the choice became two
continuous weights.

The keys under the mask are gathered by index, 5×5 cells of the BEV map and 7×7 of one picture, instead of masking all
tokens: at 1,290 queries and 22,384 tokens a mask alone is 462 MB.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from detui.engine.backends.torch.fusion.blocks import perceptron

BEV_WINDOW, CAMERA_WINDOW = 5, 7
"""Cells along the sides of the windows."""
CHUNK = 512
"""Queries whose keys are gathered at once."""


class QueryPlaces:
    """Where queries are in the maps, in whole cells."""

    def __init__(self, bev: Tensor, camera: Tensor, view: Tensor, seen: Tensor) -> None:
        """`bev` [B, Q, 2] (row, column); `camera` likewise in the first picture `view` [B, Q] that shows the query.

        `seen` [B, Q]: whether one does.
        """
        self.bev, self.camera, self.view, self.seen = bev, camera, view, seen


class LearnedWeights(nn.Module):
    """Weights from attention over the features around each query."""

    def __init__(self, channels: int, start: tuple[float, float]) -> None:
        """`start`: the weights of LiDAR and camera that the training begins with, between 0 and 1."""
        super().__init__()
        self.inner = max(channels // 4, 8)
        self.ask = nn.Linear(channels, self.inner)
        self.offer = nn.Linear(channels, 2 * self.inner)
        self.join = nn.Linear(self.inner, channels)
        self.refine = nn.Sequential(nn.LayerNorm(channels), perceptron(channels, channels, channels))
        self.out = nn.Linear(channels, 2)
        nn.init.normal_(self.out.weight, std=0.02)
        with torch.no_grad():
            self.out.bias.copy_(torch.logit(torch.tensor(start)))

    def forward(self, queries: Tensor, bev: Tensor, pictures: Tensor, places: QueryPlaces) -> Tensor:
        """`queries` [B, Q, C], `bev` [B, C, H, W], `pictures` [B, V, C, h, w] → [B, Q, 2]: LiDAR, camera."""
        tokens = torch.cat([bev.flatten(2).transpose(1, 2), pictures.permute(0, 1, 3, 4, 2).flatten(1, 3)], 1)
        offered = self.offer(tokens)
        index, open_ = self._windows(bev, pictures, places)
        index = index + torch.arange(len(bev), device=bev.device)[:, None, None] * tokens.shape[1]
        flat, asked = offered.flatten(0, 1), self.ask(queries)
        near = [
            self._attend(asked[:, part], flat, index[:, part], open_[:, part])
            for part in (slice(start, start + CHUNK) for start in range(0, queries.shape[1], CHUNK))
        ]
        mixed = self.join(torch.cat(near, 1)) + queries
        return self.out(mixed + self.refine(mixed)).sigmoid()

    def _attend(self, asked: Tensor, flat: Tensor, index: Tensor, open_: Tensor) -> Tensor:
        """`asked` [B, q, I], `flat` [B·T, 2I], `index` and `open_` [B, q, K] → [B, q, I]."""
        keys, values = flat.index_select(0, index.flatten()).view(*index.shape, -1).chunk(2, -1)
        score = (asked[:, :, None] * keys).sum(-1) / math.sqrt(self.inner)
        # A large number, not infinity: a window may lie wholly outside of both maps.
        share = score.masked_fill(~open_, -1e4).softmax(-1)
        return (share[..., None] * values).sum(2)

    def _windows(self, bev: Tensor, pictures: Tensor, places: QueryPlaces) -> tuple[Tensor, Tensor]:
        """Indices of tokens [B, Q, K], and which of them lie inside of their map."""
        rows, columns = bev.shape[-2:]
        height, width = pictures.shape[-2:]
        above, above_open = window(places.bev, (rows, columns), BEV_WINDOW)
        ahead, ahead_open = window(places.camera, (height, width), CAMERA_WINDOW)
        ahead = ahead + rows * columns + places.view[..., None] * (height * width)
        return torch.cat([above, ahead], -1), torch.cat([above_open, ahead_open & places.seen[..., None]], -1)


class ConstantWeights(nn.Module):
    """The control: every query has the same two weights, and nothing is learned."""

    weights: Tensor

    def __init__(self, weights: tuple[float, float]) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(weights))

    def forward(self, queries: Tensor, bev: Tensor, pictures: Tensor, places: QueryPlaces) -> Tensor:
        """[B, Q, 2], as of `LearnedWeights`."""
        return self.weights.expand(*queries.shape[:2], 2)


def window(middle: Tensor, cells: tuple[int, int], side: int) -> tuple[Tensor, Tensor]:
    """Square windows around `middle` [B, Q, 2] (row, column) in a map of `cells` (H, W).

    Returns flat indices [B, Q, side²], those outside moved to the border, and which lie inside.
    """
    step = torch.arange(side, device=middle.device) - side // 2
    row = middle[..., 0, None].long() + step.repeat_interleave(side)
    column = middle[..., 1, None].long() + step.repeat(side)
    inside = (row >= 0) & (row < cells[0]) & (column >= 0) & (column < cells[1])
    return row.clamp(0, cells[0] - 1) * cells[1] + column.clamp(0, cells[1] - 1), inside
