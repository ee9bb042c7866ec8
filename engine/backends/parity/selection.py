"""Which places of the image the decoder begins with (section 4.3, without its uncertainty-minimal training, as the
reference): the tokens that score highest for any class. Chosen in numpy, so that ties fall alike everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from detui.engine.backends.parity.frameworks.framework import Array, Tensor
from detui.engine.backends.parity.initialisation import constant, glorot, unlikely
from detui.engine.backends.parity.layers import LayerNorm, Linear, Perceptron
from detui.engine.backends.parity.network import Place
from detui.engine.backends.parity.sizes import Size

SIDE = 0.05
"""Of an anchor in the largest map, as a share of the image; twice as much in each next."""
MARGIN = 0.01
"""An anchor with a coordinate nearer to 0 or 1 than this is never right."""
FAR = 1e4
"""The logit of its coordinates: a box that no image has, without an infinity to calculate with."""


@dataclass(frozen=True, slots=True)
class Selected:
    """What the decoder begins with."""

    tokens: Array
    """Which tokens were chosen, [b, q] whole numbers."""
    content: Tensor
    """Their features, [b, q, c], without gradient."""
    boxes: Tensor
    """Their boxes as logits, [b, q, 4], with gradient."""
    logits: Tensor
    """Their class logits, [b, q, classes], with gradient."""


@lru_cache(maxsize=16)  # one for each size of image that a training uses
def anchors(shapes: tuple[tuple[int, int], ...]) -> tuple[Array, Array]:
    """For height and width of each level: logits of boxes [1, Σh·w, 4], and which are valid [1, Σh·w, 1] (0 or 1)."""
    levels = []
    for level, (height, width) in enumerate(shapes):
        row, column = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
        centre = (np.stack([column, row], -1) + 0.5) / np.array([width, height])
        levels.append(np.concatenate([centre, np.full_like(centre, SIDE * 2.0**level)], -1).reshape(-1, 4))
    boxes = np.concatenate(levels)[None]
    valid = np.asarray(np.all((boxes > MARGIN) & (boxes < 1 - MARGIN), axis=-1, keepdims=True))
    inside = np.where(valid, boxes, 0.5)
    logits = np.where(valid, np.log(inside / (1 - inside)), FAR)
    return logits.astype(np.float32), valid.astype(np.float32)


def highest(scores: Array, count: int) -> Array:
    """The places of the `count` highest of [b, n], highest first; of equal ones the first."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :count]


class QuerySelection:
    """Scores every token of the memory, and takes the best."""

    def __init__(self, place: Place, size: Size) -> None:
        self._f, c, self._count = place.framework, size.channels, size.queries
        self._project = Linear(place / "project", c, c, glorot())
        self._norm = LayerNorm(place / "norm", c)
        self._classes = Linear(place / "classes", c, size.classes, None, unlikely())
        self._boxes = Perceptron(place / "boxes", (c, c, c, 4), last=constant(0))

    def __call__(self, memory: Tensor, shapes: list[tuple[int, int]], forced: Array | None) -> Selected:
        """From a memory [b, Σh·w, c]. `forced`: tokens [b, q] to take instead of the best."""
        places, valid = (self._f.tensor(one) for one in anchors(tuple(shapes)))
        features = self._norm(self._project(memory * valid))
        logits = self._classes(features)
        boxes = self._boxes(features) + places
        tokens = forced
        if tokens is None:
            tokens = highest(self._f.array(self._f.detach(logits)).max(-1), self._count)
        content, boxes, logits = (self._f.take_tokens(one, tokens) for one in (features, boxes, logits))
        return Selected(tokens, self._f.detach(content), boxes, logits)
