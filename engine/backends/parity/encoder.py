"""The efficient hybrid encoder (section 4.2): attention within the smallest map alone (AIFI), then fusion between
scales by convolutions (CCFF), down and up again."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from detui.engine.backends.parity.attention import Residual, SelfAttention
from detui.engine.backends.parity.frameworks.framework import Array, Tensor
from detui.engine.backends.parity.layers import ConvNorm, Linear, to_map, to_tokens
from detui.engine.backends.parity.network import Place
from detui.engine.backends.parity.resnet import Watch
from detui.engine.backends.parity.sizes import Size

TEMPERATURE = 10_000.0
"""Of the positions' wavelengths."""


@lru_cache(maxsize=16)  # one for each size of image that a training uses
def positions(height: int, width: int, channels: int) -> Array:
    """[1, h·w, c]: sine and cosine of the row, then of the column, at c/4 wavelengths."""
    rate = 1.0 / TEMPERATURE ** (np.arange(channels // 4) / (channels // 4))
    row, column = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    angles = [np.outer(place.reshape(-1), rate) for place in (row, column)]
    parts = [wave(angle) for angle in angles for wave in (np.sin, np.cos)]
    return np.concatenate(parts, 1)[None].astype(np.float32)


class IntraScale:
    """AIFI: one layer of a transformer's encoder over the smallest map's tokens."""

    def __init__(self, place: Place, size: Size) -> None:
        self._f, c = place.framework, size.channels
        self._attention = SelfAttention(place / "attention", c, size.heads)
        self._first = Residual(place / "norm1", c)
        self._widen = Linear(place / "feed_forward" / 0, c, size.feed_forward)
        self._narrow = Linear(place / "feed_forward" / 1, size.feed_forward, c)
        self._second = Residual(place / "norm2", c)

    def __call__(self, x: Tensor) -> Tensor:
        """[b, c, h, w] → the same."""
        _, c, h, w = (int(size) for size in x.shape)
        tokens = to_tokens(x)
        tokens = self._first(tokens, self._attention(tokens, self._f.tensor(positions(h, w, c))))
        tokens = self._second(tokens, self._narrow(self._f.gelu(self._widen(tokens))))
        return to_map(tokens, h, w)


class RepBlock:
    """A 3×3 and a 1×1 convolution side by side (Ding et al., "RepVGG", 2021)."""

    def __init__(self, place: Place, channels: int) -> None:
        self._f = place.framework
        self._wide, self._narrow = (
            ConvNorm(place / name, channels, channels, k) for name, k in (("conv3", 3), ("conv1", 1))
        )

    def __call__(self, x: Tensor) -> Tensor:
        """[b, c, h, w] → the same."""
        return self._f.silu(self._wide(x) + self._narrow(x))


class Fusion:
    """A fusion block of figure 4: two maps of one size, [b, 2c, h, w] → [b, c, h, w]."""

    def __init__(self, place: Place, size: Size) -> None:
        silu, c = place.framework.silu, size.channels
        hidden = int(c * size.expansion)
        self._deep, self._flat = (
            ConvNorm(place / name, 2 * c, hidden, 1, activation=silu) for name in ("deep", "flat")
        )
        self._blocks = [RepBlock(place / "blocks" / n, hidden) for n in range(size.fusion_blocks)]
        self._out = ConvNorm(place / "out", hidden, c, 1, activation=silu) if hidden != c else None

    def __call__(self, x: Tensor) -> Tensor:
        """The fused map."""
        deep = self._deep(x)
        for block in self._blocks:
            deep = block(deep)
        fused = deep + self._flat(x)
        return fused if self._out is None else self._out(fused)


class HybridEncoder:
    """Three maps of the backbone → three maps of `channels` at the same strides."""

    def __init__(self, place: Place, size: Size) -> None:
        self._f, self._name, c = place.framework, place.name, size.channels
        silu = self._f.silu
        self._inputs = [ConvNorm(place / "inputs" / n, i, c, 1) for n, i in enumerate(size.feature_channels)]
        self._within = IntraScale(place / "aifi", size)
        self._lateral = [ConvNorm(place / "lateral" / n, c, c, 1, activation=silu) for n in range(2)]
        self._down = [Fusion(place / "top_down" / n, size) for n in range(2)]
        self._halve = [ConvNorm(place / "halve" / n, c, c, 3, stride=2, activation=silu) for n in range(2)]
        self._up = [Fusion(place / "bottom_up" / n, size) for n in range(2)]

    def __call__(self, maps: list[Tensor], watch: Watch) -> list[Tensor]:
        """The fused maps, largest first."""
        large, middle, small = (layer(x) for layer, x in zip(self._inputs, maps, strict=True))
        small = self._within(small)
        watch(f"{self._name}.aifi", small)
        top = self._lateral[0](small)
        middle = self._fuse(self._down[0], self._f.double(top), middle)
        watch(f"{self._name}.top_down.0", middle)
        middle = self._lateral[1](middle)
        large = self._fuse(self._down[1], self._f.double(middle), large)
        watch(f"{self._name}.top_down.1", large)
        middle = self._fuse(self._up[0], self._halve[0](large), middle)
        watch(f"{self._name}.bottom_up.0", middle)
        small = self._fuse(self._up[1], self._halve[1](middle), top)
        watch(f"{self._name}.bottom_up.1", small)
        return [large, middle, small]

    def _fuse(self, fusion: Fusion, first: Tensor, second: Tensor) -> Tensor:
        return fusion(self._f.concat([first, second], 1))
