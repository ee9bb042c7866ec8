"""The smallest parts, of which all others are made. `b` is the batch, `c` channels, `n` tokens."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from detui.engine.backends.parity.frameworks.framework import Array, Tensor
from detui.engine.backends.parity.initialisation import Initial, constant, embedding, uniform_by_inputs
from detui.engine.backends.parity.network import Place

EPS = 1e-5
"""Added to every variance."""
MOMENTUM = 0.1
"""By how much a batch moves the running statistics."""


class Linear:
    """[…, inputs] → […, outputs]."""

    def __init__(
        self, place: Place, inputs: int, outputs: int, weight: Initial | None = None, bias: Initial | None = None
    ) -> None:
        self._f = place.framework
        usual = uniform_by_inputs(inputs)
        self._weight = place.weight("weight", (outputs, inputs), weight or usual)
        self._bias = place.weight("bias", (outputs,), bias or usual)

    def __call__(self, x: Tensor) -> Tensor:
        """The layer's output."""
        return self._f.linear(x, self._weight.tensor, self._bias.tensor)


class LayerNorm:
    """Over the channels of [b, n, c]."""

    def __init__(self, place: Place, channels: int) -> None:
        self._f = place.framework
        self._weight = place.weight("weight", (channels,), constant(1))
        self._bias = place.weight("bias", (channels,), constant(0))

    def __call__(self, x: Tensor) -> Tensor:
        """The normalised tokens."""
        return self._f.layer_norm(x, self._weight.tensor, self._bias.tensor, eps=EPS)


class BatchNorm:
    """Over all but the channels of [b, c, h, w].

    A frozen one keeps the statistics and the affine of its checkpoint: it is no parameter, and a batch of one image
    does not disturb it.
    """

    def __init__(self, place: Place, channels: int, *, frozen: bool = False) -> None:
        self._network, self._frozen = place.network, frozen
        hold = place.constant if frozen else place.weight
        self._weight = hold("weight", (channels,), constant(1))
        self._bias = hold("bias", (channels,), constant(0))
        self._mean = place.constant("running_mean", (channels,), constant(0))
        self._variance = place.constant("running_var", (channels,), constant(1))

    def __call__(self, x: Tensor) -> Tensor:
        """The normalised maps; while the network trains, its running statistics move."""
        return self._network.framework.batch_norm(
            x, self._weight.tensor, self._bias.tensor, self._mean.tensor, self._variance.tensor,
            training=self._network.training and not self._frozen, momentum=MOMENTUM, eps=EPS,
        )  # fmt: skip


class ConvNorm:
    """A convolution without bias, a batch norm, and an activation: [b, i, h, w] → [b, o, h/stride, w/stride]."""

    def __init__(
        self, place: Place, inputs: int, outputs: int, kernel: int, *, stride: int = 1,
        activation: Callable[[Tensor], Tensor] | None = None, initial: Initial | None = None,
        frozen_norm: bool = False, frozen_kernel: bool = False,
    ) -> None:  # fmt: skip
        self._f, self._stride, self._padding, self._activation = place.framework, stride, (kernel - 1) // 2, activation
        shape = (outputs, inputs, kernel, kernel)
        start = initial or uniform_by_inputs(inputs * kernel * kernel)
        self._kernel = (place / "conv").weight("weight", shape, start, trainable=not frozen_kernel)
        self._norm = BatchNorm(place / "norm", outputs, frozen=frozen_norm)

    def __call__(self, x: Tensor) -> Tensor:
        """The maps after the activation."""
        x = self._norm(self._f.conv2d(x, self._kernel.tensor, stride=self._stride, padding=self._padding))
        return x if self._activation is None else self._activation(x)


class Perceptron:
    """Linear layers with ReLU between them: `sizes[0]` → … → `sizes[-1]`."""

    def __init__(
        self, place: Place, sizes: tuple[int, ...], weight: Initial | None = None, last: Initial | None = None
    ) -> None:
        """`weight`: how all matrices begin; `last`: how the last layer's matrix and bias begin."""
        self._f = place.framework
        pairs = list(pairwise(sizes))
        self._layers = [Linear(place / n, i, o, weight) for n, (i, o) in enumerate(pairs[:-1])]
        self._layers.append(Linear(place / (len(pairs) - 1), *pairs[-1], last or weight, last))

    def __call__(self, x: Tensor) -> Tensor:
        """The last layer's output."""
        for layer in self._layers[:-1]:
            x = self._f.relu(layer(x))
        return self._layers[-1](x)


class LabelTable:
    """A vector for each label, and one for "no object", which is not trained."""

    def __init__(self, place: Place, classes: int, channels: int) -> None:
        self._f = place.framework
        self._table = place.weight("weight", (classes + 1, channels), embedding)
        trained = np.ones((classes + 1, 1), np.float32)
        trained[-1] = 0
        self._trained = trained

    def __call__(self, labels: Array) -> Tensor:
        """[b, n] of labels, `classes` for "no object" → [b, n, c]."""
        table, trained = self._table.tensor, self._f.tensor(self._trained)
        # What both frameworks do differently for the index of padding is written out: the value, without gradient.
        return self._f.take_rows(table * trained + self._f.detach(table) * (1 - trained), labels)


def to_tokens(x: Tensor) -> Tensor:
    """[b, c, h, w] → [b, h·w, c], row by row.

    By `permute` and `reshape`, because PyTorch's batch norm on the CPU computes a wrong gradient for a batch of one
    image when its output is flattened and transposed (`tests/…/test_batch_of_one.py` shows it).
    """
    b, c, h, w = (int(size) for size in x.shape)
    return x.permute(0, 2, 3, 1).reshape(b, h * w, c)


def to_map(x: Tensor, height: int, width: int) -> Tensor:
    """[b, h·w, c] → [b, c, h, w]."""
    b, _, c = (int(size) for size in x.shape)
    return x.permute(0, 2, 1).reshape(b, c, height, width)
