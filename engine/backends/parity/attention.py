"""The two attentions: among all tokens, and deformable into the maps of three levels."""

from __future__ import annotations

from detui.engine.backends.parity.frameworks.framework import Tensor
from detui.engine.backends.parity.initialisation import constant, glorot, offsets
from detui.engine.backends.parity.layers import LayerNorm, Linear
from detui.engine.backends.parity.network import Place

LEVELS = 3
"""Maps that the decoder looks into."""


class SelfAttention:
    """Attention with several heads among [b, n, c] (Vaswani et al., 2017, 3.2.2)."""

    def __init__(self, place: Place, channels: int, heads: int) -> None:
        self._f, self._heads, self._width = place.framework, heads, channels // heads
        stacked = glorot(rows=3 * channels)
        self._query, self._key, self._value = (
            Linear(place / name, channels, channels, stacked, constant(0)) for name in ("query", "key", "value")
        )
        self._output = Linear(place / "output", channels, channels, None, constant(0))

    def __call__(self, x: Tensor, position: Tensor, mask: Tensor | None = None) -> Tensor:
        """`position` is added to queries and keys, not to values; `mask` [1, 1, n, n] to the scores."""
        b, n, c = (int(size) for size in x.shape)
        placed = x + position
        query, key, value = (
            layer(tokens).reshape(b, n, self._heads, self._width).permute(0, 2, 1, 3)
            for layer, tokens in ((self._query, placed), (self._key, placed), (self._value, x))
        )
        scores = self._f.matmul(query, key.permute(0, 1, 3, 2)) * self._width**-0.5
        if mask is not None:
            scores = scores + mask
        mixed = self._f.matmul(self._f.softmax(scores), value)
        return self._output(mixed.permute(0, 2, 1, 3).reshape(b, n, c))


class DeformableAttention:
    """Each query samples a few points around its box (Zhu et al., "Deformable DETR", 2021, 4.1 and appendix A.4)."""

    def __init__(self, place: Place, channels: int, heads: int, points: int) -> None:
        self._f, self._heads, self._points, self._width = place.framework, heads, points, channels // heads
        samples = heads * LEVELS * points
        ring = offsets(heads, LEVELS, points)
        self._offsets = Linear(place / "offsets", channels, 2 * samples, constant(0), ring)
        self._weights = Linear(place / "weights", channels, samples, constant(0), constant(0))
        self._value = Linear(place / "value", channels, channels, glorot(), constant(0))
        self._output = Linear(place / "output", channels, channels, glorot(), constant(0))

    def __call__(self, query: Tensor, boxes: Tensor, memory: Tensor, shapes: list[tuple[int, int]]) -> Tensor:
        """[b, n, c] of queries with boxes [b, n, 4] (cx, cy, w, h in 0–1) into a memory [b, Σh·w, c] → [b, n, c].

        `shapes`: height and width of each level, in the order of the memory.
        """
        b, n, c = (int(size) for size in query.shape)
        heads, points = self._heads, self._points
        moves = self._offsets(query).reshape(b, n, heads, LEVELS, points, 2)
        around = boxes.reshape(b, n, 1, 1, 1, 4)
        # An offset of `points` is half a box; grid_sample counts from -1 to 1.
        where = (around[..., :2] + moves * (1.0 / points) * around[..., 2:] * 0.5) * 2 - 1
        value = self._value(memory)
        samples, start = [], 0
        for level, (height, width) in enumerate(shapes):
            tokens = value[:, start : start + height * width].reshape(b, height * width, heads, self._width)
            start += height * width
            maps = tokens.permute(0, 2, 3, 1).reshape(b * heads, self._width, height, width)
            grid = where[:, :, :, level].permute(0, 2, 1, 3, 4).reshape(b * heads, n, points, 2)
            samples.append(self._f.grid_sample(maps, grid))  # [b·heads, width, n, points]
        weights = self._f.softmax(self._weights(query).reshape(b, n, heads, LEVELS * points))
        weights = weights.permute(0, 2, 1, 3).reshape(b * heads, 1, n, LEVELS * points)
        mixed = self._f.sum_last(self._f.concat(samples, 3) * weights).reshape(b, c, n)
        return self._output(mixed.permute(0, 2, 1))


class Residual:
    """x + change, normalised: every sublayer of the transformer ends so."""

    def __init__(self, place: Place, channels: int) -> None:
        self._norm = LayerNorm(place, channels)

    def __call__(self, x: Tensor, change: Tensor) -> Tensor:
        """The normalised sum."""
        return self._norm(x + change)
