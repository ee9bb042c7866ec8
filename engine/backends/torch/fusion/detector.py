"""The detector: encoders of both sensors, AQR on their maps, and a decoder that reads both.

Its shape is that of CMT (Yan et al., ICCV 2023): tokens of the BEV map and of all pictures, each with the code of its
place, are attended to by queries whose code is that of their reference point. AQR, between encoders and decoder, scales
the features; the codes stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from detui.engine.backends.torch.fusion.aqr import Aqr, AqrOptions, AqrResult
from detui.engine.backends.torch.fusion.cameras import SMALL, CameraEncoder
from detui.engine.backends.torch.fusion.decoder import Decoder, Predictions, Tokens
from detui.engine.backends.torch.fusion.denoising import Denoising, may_attend, noised
from detui.engine.backends.torch.fusion.encoding import PositionEncoding
from detui.engine.backends.torch.fusion.geometry import Projection, Range, project, to_metres
from detui.engine.backends.torch.fusion.inputs import Batch
from detui.engine.backends.torch.fusion.pillars import PillarEncoder

EDGE = 1e-3
"""Reference points stay this far inside of the space: at its edge the logit has no end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorOptions:
    """The sizes of the detector; plan.py says what each means to a recipe."""

    classes: int = 10
    space: Range = (-54.0, -54.0, -5.0, 54.0, 54.0, 3.0)
    channels: int = 256
    bev_grid: int = 180
    camera_backbone: str = SMALL
    ray_points: int = 64
    queries: int = 900
    denoising_groups: int = 10
    layers: int = 6
    heads: int = 8
    hidden: int = 1024
    aqr: AqrOptions | None = field(default_factory=AqrOptions)


class Output(NamedTuple):
    """What the detector says of a batch."""

    layers: list[Predictions]
    """Of each layer of the decoder; rows of `denoising` come first."""
    denoising: Denoising | None
    real: Tensor
    """[B, Q]: which rows are no padding."""
    aqr: AqrResult | None


class FusionDetector(nn.Module):
    """Boxes out of pictures and points."""

    def __init__(self, options: DetectorOptions) -> None:
        super().__init__()
        self.options = options
        channels, space = options.channels, options.space
        self.pillars = PillarEncoder(channels, options.bev_grid, space)
        self.cameras = CameraEncoder(channels, options.camera_backbone)
        self.encoding = PositionEncoding(channels, space, options.ray_points)
        # Learned before a sigmoid: after it, the step of the optimizer would leave the space.
        start = torch.empty(options.queries, 3).uniform_(0.02, 0.98).logit()
        self.reference = nn.Parameter(start)
        self.aqr = Aqr(channels, options.aqr) if options.aqr is not None else None
        self.decoder = Decoder(channels, options.classes, options.layers, options.heads, options.hidden)

    def forward(self, batch: Batch, *, denoise: bool = False, trace: bool = False) -> Output:
        """`denoise`: add noised boxes of the batch as queries. `trace`: keep what AQR did."""
        bev, pictures = self.pillars(batch.points), self.cameras(batch.images)
        denoising = self._noised(batch) if denoise else None
        reference, real = self._queries(len(batch.tokens), denoising)
        seen = project(to_metres(reference, self.options.space), batch.lidar_to_image, batch.size)
        places = self.encoding.queries(reference, seen, batch.lidar_to_image)
        rows = 0 if denoising is None else len(denoising.group)
        scaled = self._scale(places, reference, seen, bev, pictures, batch.size, real, rows, trace)
        if scaled is not None:
            bev, pictures = scaled.bev, scaled.pictures
        tokens = self._tokens(bev, pictures, batch)
        allowed = may_attend(denoising, self.options.queries)
        layers = self.decoder(places, reference, tokens, allowed, self.options.space)
        return Output(layers, denoising, real, scaled)

    def _noised(self, batch: Batch) -> Denoising | None:
        options = self.options
        return noised(
            batch.boxes, batch.labels, options.denoising_groups, options.queries, options.classes, options.space
        )

    def _queries(self, batch: int, denoising: Denoising | None) -> tuple[Tensor, Tensor]:
        """Reference points [B, Q, 3], and which of them are no padding, [B, Q]."""
        learned = self.reference.sigmoid().clamp(EDGE, 1 - EDGE).expand(batch, -1, -1)
        real = torch.ones(learned.shape[:2], dtype=torch.bool, device=learned.device)
        if denoising is None:
            return learned, real
        return torch.cat([denoising.reference, learned], 1), torch.cat([denoising.real, real], 1)

    def _scale(
        self, places: Tensor, reference: Tensor, seen: Projection, bev: Tensor, pictures: Tensor,
        size: tuple[int, int], real: Tensor, noised: int, trace: bool,
    ) -> AqrResult | None:  # fmt: skip
        if self.aqr is None:
            return None
        result: AqrResult = self.aqr(places, reference, seen, bev, pictures, size, real, noised, trace)
        return result

    def _tokens(self, bev: Tensor, pictures: Tensor, batch: Batch) -> Tokens:
        """All cells of all maps as one row of tokens."""
        height, width = pictures.shape[-2:]
        above = self.encoding.bev_tokens(bev.shape[-1], batch.lidar_to_image).expand(len(bev), -1, -1)
        ahead = self.encoding.camera_tokens((height, width), batch.size, batch.lidar_to_image).flatten(1, 2)
        features = [bev.flatten(2).transpose(1, 2), pictures.permute(0, 1, 3, 4, 2).flatten(1, 3)]
        return Tokens(torch.cat(features, 1), torch.cat([above, ahead], 1))
