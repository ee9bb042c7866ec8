"""The decoder: queries look at each other and into the memory, and each layer moves their boxes (section 4.1).

Boxes are refined as logits. The next layer takes them without gradient, while its own loss also reaches the layer
before it ("look forward twice"; Zhang et al., "DINO", 2023, 3.5), as in the paper's reference.
"""

from __future__ import annotations

from dataclasses import dataclass

from detui.engine.backends.parity.attention import DeformableAttention, Residual, SelfAttention
from detui.engine.backends.parity.frameworks.framework import Framework, Tensor
from detui.engine.backends.parity.initialisation import constant, glorot, unlikely
from detui.engine.backends.parity.layers import Linear, Perceptron
from detui.engine.backends.parity.network import Place
from detui.engine.backends.parity.resnet import Watch
from detui.engine.backends.parity.sizes import Size

EPS = 1e-5
"""The nearest that a coordinate comes to 0 or 1 before its logit is taken."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a layer says of its queries."""

    logits: Tensor
    """Of the classes, [b, n, classes]."""
    boxes: Tensor
    """cx, cy, w, h in 0–1, [b, n, 4]."""


def logit(f: Framework, x: Tensor) -> Tensor:
    """The inverse of the sigmoid, for numbers of 0–1."""
    x = f.clamp(x, 0.0, 1.0)
    return f.log(f.clamp(x, EPS, 1.0) / f.clamp(1 - x, EPS, 1.0))


class DecoderLayer:
    """Attention among the queries, deformable attention into the memory, and a feed-forward layer."""

    def __init__(self, place: Place, size: Size) -> None:
        self._f, c = place.framework, size.channels
        self._among = SelfAttention(place / "self_attention", c, size.heads)
        self._first = Residual(place / "norm1", c)
        self._into = DeformableAttention(place / "cross_attention", c, size.heads, size.points)
        self._second = Residual(place / "norm2", c)
        self._widen = Linear(place / "feed_forward" / 0, c, size.feed_forward)
        self._narrow = Linear(place / "feed_forward" / 1, size.feed_forward, c)
        self._third = Residual(place / "norm3", c)

    def __call__(
        self, queries: Tensor, position: Tensor, boxes: Tensor, memory: Tensor, shapes: list[tuple[int, int]],
        mask: Tensor | None,
    ) -> Tensor:  # fmt: skip
        """Queries and their positions [b, n, c], boxes [b, n, 4], memory [b, Σh·w, c], mask [1, 1, n, n]."""
        queries = self._first(queries, self._among(queries, position, mask))
        queries = self._second(queries, self._into(queries + position, boxes, memory, shapes))
        return self._third(queries, self._narrow(self._f.relu(self._widen(queries))))


class Decoder:
    """Layers one after the other, each with heads of its own."""

    def __init__(self, place: Place, size: Size, *, look_forward_twice: bool) -> None:
        """`look_forward_twice`: False stops each layer's box loss at the layer before it."""
        self._f, self._name, c, self._twice = place.framework, place.name, size.channels, look_forward_twice
        layers = range(size.decoder_layers)
        self._layers = [DecoderLayer(place / "layers" / n, size) for n in layers]
        self._position = Perceptron(place / "position", (4, 2 * c, c), weight=glorot())
        self._classes = [Linear(place / "classes" / n, c, size.classes, None, unlikely()) for n in layers]
        self._boxes = [Perceptron(place / "boxes" / n, (c, c, c, 4), last=constant(0)) for n in layers]

    def __call__(
        self, queries: Tensor, start: Tensor, memory: Tensor, shapes: list[tuple[int, int]], mask: Tensor | None,
        layers: int, watch: Watch,
    ) -> list[Prediction]:  # fmt: skip
        """What each of the first `layers` layers says. `start`: boxes to begin with, [b, n, 4] in 0–1."""
        found = []
        reference = self._f.detach(start)
        earlier = reference  # the same numbers, with the gradient of the layer before
        for n in range(layers):
            queries = self._layers[n](queries, self._position(reference), reference, memory, shapes, mask)
            watch(f"{self._name}.layers.{n}", queries)
            move, logits = self._boxes[n](queries), self._classes[n](queries)
            moved = self._f.sigmoid(move + logit(self._f, reference))
            boxes = self._f.sigmoid(move + logit(self._f, earlier)) if self._twice and n > 0 else moved
            watch(f"{self._name}.classes.{n}", logits)
            watch(f"{self._name}.boxes.{n}", boxes)
            found.append(Prediction(logits, boxes))
            earlier, reference = moved, self._f.detach(moved)
        return found
