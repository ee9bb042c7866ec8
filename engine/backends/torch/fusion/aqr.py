"""AQR: weights of the queries, rendered into both maps, scale the features that the decoder will read.

It fails loudly. The original catches every exception here and goes on without AQR, and a log of such a run looks like
any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from detui.engine.backends.torch.fusion.geometry import Projection, first_view
from detui.engine.backends.torch.fusion.modulator import Modulator
from detui.engine.backends.torch.fusion.renderer import GaussianRenderer, Kernel, Rendered, Saturate
from detui.engine.backends.torch.fusion.weights import ConstantWeights, LearnedWeights, QueryPlaces
from detui.engine.backends.torch.gain import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class AqrOptions:
    """The parameters of AQR; plan.py says what each means to a recipe."""

    weights: Literal["learned", "constant"] = "learned"
    lidar: float = 0.82
    camera: float = 0.82
    max_weight_clamp: float = 2.5
    clamp_from: float | None = None
    residual_weight: float = 0.6
    mode: Mode = "convex"
    kernel: Kernel = "sum"
    sigma: float = 1.0
    min_weight: float = 0.01
    saturate: Saturate = "hard"
    noised_drawn: bool = False


class SideTrace(NamedTuple):
    """What happened to the features of one sensor; everything is detached."""

    weights: Tensor
    """[n]: of the queries that are no padding."""
    rendered: Rendered
    before: Tensor
    """[..., C, H, W]."""
    after: Tensor


class AqrTrace(NamedTuple):
    """What AQR did in one step, for statistics.py."""

    lidar: SideTrace
    camera: SideTrace
    queries: int
    """Rows of queries, padding included."""
    padding: Tensor
    """How many of them only fill up denoising groups."""
    unseen: Tensor
    """How many of the others no camera sees."""
    clamp: Tensor
    """The largest value of a map in this step."""


class AqrResult(NamedTuple):
    """Modulated features, and how they came about."""

    bev: Tensor
    pictures: Tensor
    weights: Tensor
    """[B, Q, 2]: LiDAR, camera; with their gradient."""
    trace: AqrTrace | None


class Aqr(nn.Module):
    """Weights, renderer and modulator."""

    def __init__(self, channels: int, options: AqrOptions) -> None:
        super().__init__()
        start = (options.lidar, options.camera)
        self.options = options
        learned = options.weights == "learned"
        self.weights = LearnedWeights(channels, start) if learned else ConstantWeights(start)
        first = options.max_weight_clamp if options.clamp_from is None else options.clamp_from
        self.render = GaussianRenderer(first, options.sigma, options.kernel, options.saturate, options.min_weight)
        self.modulate = Modulator(options.residual_weight, options.mode)

    def set_progress(self, progress: float) -> None:
        """Let the clamp grow in a straight line from `clamp_from` to `max_weight_clamp`; `progress`: 0 to 1.

        Without `clamp_from` it is what the options say, whatever a checkpoint that was loaded since has brought.
        """
        high = self.options.max_weight_clamp
        low = high if self.options.clamp_from is None else self.options.clamp_from
        self.render.clamp.fill_(low + (high - low) * min(max(progress, 0.0), 1.0))

    def forward(
        self, queries: Tensor, reference: Tensor, seen: Projection, bev: Tensor, pictures: Tensor,
        size: tuple[int, int], real: Tensor, noised: int = 0, trace: bool = False,
    ) -> AqrResult:  # fmt: skip
        """Modulate `bev` [B, C, H, W] and `pictures` [B, V, C, h, w].

        `queries` [B, Q, C]: their position codes. `reference` [B, Q, 3]: 0 to 1. `seen`: where they are in the pictures
        of `size` (H, W) pixels. `real` [B, Q]: False for padding, which is not drawn. `noised`: how many of the first
        queries are noised boxes. They stand where the objects are: in a map that all queries read, they would tell.
        """
        drawn = real.clone()
        if not self.options.noised_drawn:
            drawn[:, :noised] = False
        places, all_views = self._places(reference, seen, bev, pictures, size, real)
        weights = self.weights(queries, bev, pictures, places)
        lidar, camera = weights.unbind(-1)
        above = self.render(lidar, places.bev, drawn, self._cells(bev))
        # Each query is drawn in the first picture that shows it alone: two cameras overlap in a narrow strip.
        views = torch.arange(pictures.shape[1], device=bev.device)[None, :, None]
        shown = seen.visible & drawn[:, None] & (places.view[:, None] == views)
        ahead = self.render(camera[:, None].expand_as(shown), all_views, shown, self._cells(pictures))
        new_bev, new_pictures = self.modulate(bev, above.map), self.modulate(pictures, ahead.map)
        told = None
        if trace:
            with torch.no_grad():
                told = self._trace(weights, real, places, (above, bev, new_bev), (ahead, pictures, new_pictures))
        return AqrResult(new_bev, new_pictures, weights, told)

    def _places(
        self, reference: Tensor, seen: Projection, bev: Tensor, pictures: Tensor, size: tuple[int, int], real: Tensor
    ) -> tuple[QueryPlaces, Tensor]:
        """Cells of the queries, and their cells in every picture, [B, V, Q, 2].

        Cells are whole numbers, so no gradient goes to the reference points from here.
        """
        with torch.no_grad():
            rows, columns = self._cells(bev)
            grid = reference.new_tensor([rows, columns])
            above = (reference[..., [1, 0]] * grid).floor().clamp_min(0).minimum(grid - 1)
            height, width = self._cells(pictures)
            scale = reference.new_tensor([height / size[0], width / size[1]])
            all_views = (seen.pixels[..., [1, 0]] * scale).floor()
            view = first_view(seen.visible)
            at = view[:, None, :, None].expand(-1, 1, -1, 2)
            ahead = all_views.gather(1, at)[:, 0]
            return QueryPlaces(above, ahead, view, seen.visible.any(1) & real), all_views

    @staticmethod
    def _cells(features: Tensor) -> tuple[int, int]:
        return features.shape[-2], features.shape[-1]

    def _trace(self, weights: Tensor, real: Tensor, places: QueryPlaces, above: Any, ahead: Any) -> AqrTrace:
        def side(column: int, one: tuple[Rendered, Tensor, Tensor]) -> SideTrace:
            rendered = Rendered(*(part.detach() for part in one[0]))
            return SideTrace(weights.detach()[..., column][real], rendered, one[1].detach(), one[2].detach())

        return AqrTrace(
            lidar=side(0, above),
            camera=side(1, ahead),
            queries=real.numel(),
            padding=(~real).sum(),
            unseen=(real & ~places.seen).sum(),
            clamp=self.render.clamp.detach().clone(),
        )
