"""Queries read the maps: layers of self-attention, cross-attention to all tokens, and a small network (DETR's decoder).

As in PETR and CMT, places are added to queries and keys and not to values, and every layer has heads of its own, which
are trained as well as the last ones.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detui.engine.backends.torch.fusion.blocks import perceptron
from detui.engine.backends.torch.fusion.boxes import CODE
from detui.engine.backends.torch.fusion.geometry import Range, to_metres

PRIOR = 0.01
"""The probability of a class that an untrained head gives (RetinaNet: Lin et al., 2017)."""


class Tokens(NamedTuple):
    """What is attended to, T tokens."""

    features: Tensor
    """[B, T, C]."""
    places: Tensor
    """[B, T, C]: their position codes."""


class Predictions(NamedTuple):
    """What the heads of one layer say."""

    logits: Tensor
    """[B, Q, classes]."""
    codes: Tensor
    """[B, Q, 10], in metres: boxes.py."""


class Attention(nn.Module):
    """Attention with several heads; PyTorch chooses the kernel."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ask, self.key = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.value, self.out = nn.Linear(channels, channels), nn.Linear(channels, channels)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, allowed: Tensor | None = None) -> Tensor:
        """[B, Q, C], [B, T, C], [B, T, C], `allowed` [B, 1, Q, T] bool → [B, Q, C]."""
        split = (self._split(self.ask(queries)), self._split(self.key(keys)), self._split(self.value(values)))
        return self.out(F.scaled_dot_product_attention(*split, attn_mask=allowed).transpose(1, 2).flatten(2))

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Layer(nn.Module):
    """One layer: look at each other, look at the tokens, think."""

    def __init__(self, channels: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.among, self.across = Attention(channels, heads), Attention(channels, heads)
        self.think = perceptron(channels, hidden, channels)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(3))

    def forward(self, content: Tensor, places: Tensor, tokens: Tokens, allowed: Tensor | None) -> Tensor:
        """`content` and `places` [B, Q, C] → content."""
        placed = content + places
        content = self.norms[0](content + self.among(placed, placed, content, allowed))
        keys = tokens.features + tokens.places
        content = self.norms[1](content + self.across(content + places, keys, tokens.features))
        return self.norms[2](content + self.think(content))


class Heads(nn.Module):
    """Classes and box of each query."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.classify, self.regress = nn.Linear(channels, classes), perceptron(channels, channels, CODE)
        nn.init.constant_(self.classify.bias, -math.log((1 - PRIOR) / PRIOR))

    def forward(self, content: Tensor, reference: Tensor, space: Range) -> Predictions:
        """The centre is an offset from the reference point [B, Q, 3], before a sigmoid: it stays in the space."""
        said = self.regress(content).float()
        offset = said[..., [0, 1, 4]]
        x, y, z = to_metres((offset + torch.logit(reference)).sigmoid(), space).split(1, -1)
        codes = torch.cat([x, y, said[..., 2:4], z, said[..., 5:]], -1)
        return Predictions(self.classify(content).float(), codes)


class Decoder(nn.Module):
    """All layers with their heads."""

    def __init__(self, channels: int, classes: int, layers: int, heads: int, hidden: int) -> None:
        super().__init__()
        # Learned and not zero: LayerNorm of nothing but zeros has gradients a hundred times those of the rest.
        self.content = nn.Parameter(torch.randn(channels) * 0.5)
        self.layers = nn.ModuleList(Layer(channels, heads, hidden) for _ in range(layers))
        self.heads = nn.ModuleList(Heads(channels, classes) for _ in range(layers))

    def forward(
        self, places: Tensor, reference: Tensor, tokens: Tokens, allowed: Tensor | None, space: Range
    ) -> list[Predictions]:
        """`places` [B, Q, C] of the queries at `reference` [B, Q, 3] → predictions of each layer, the last one last."""
        content, found = self.content.expand_as(places), []
        for layer, heads in zip(self.layers, self.heads, strict=True):
            content = layer(content, places, tokens, allowed)
            found.append(heads(content, reference, space))
        return found
