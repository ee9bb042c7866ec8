"""The small interface between the model and a framework: what RT-DETR needs, and nothing else.

A tensor is the framework's own object. Beyond what is listed here the model uses only what both frameworks' tensors
have in common: `+ - * /` among tensors and with numbers, `**`, unary minus, slices, `.shape`, `.reshape(…)`,
`.permute(…)`, `.sum()`.

The functions promise one arithmetic, also where frameworks differ by habit: which way a gradient goes at a tie, how a
variance is computed, what a batch norm remembers. `operators.py` measures that each keeps the promise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Tensor = Any
"""A framework's own tensor."""
Array = NDArray[Any]
"""A numpy array: what crosses between frameworks."""


@dataclass(frozen=True, slots=True)
class Group:
    """Weights that are trained alike."""

    names: tuple[str, ...]
    """The weights."""
    rate: float
    """Their learning rate."""
    decay: float
    """Their decoupled weight decay, a fraction of the rate."""


class Optimiser(Protocol):
    """AdamW (Loshchilov and Hutter, 2019; β 0.9 and 0.999, ε 1e-8) over named weights."""

    def step(self, gradients: Mapping[str, Tensor], *, clip: float | None, scale: float = 1.0) -> Tensor:
        """One step. `clip`: the largest norm of all gradients together, larger ones are scaled down to it.

        `scale`: what every group's rate is multiplied with in this step. Returns the norm before clipping, a tensor
        of one number. Raises KeyError when a weight has no gradient.
        """

    def state(self) -> dict[str, Array]:
        """The steps taken and both moments by name, to be stored: "steps", "first/NAME", "second/NAME"."""

    def load(self, state: Mapping[str, Array]) -> None:
        """Continue from what `state` gave. Raises KeyError when something is missing."""


class Framework(Protocol):
    """A framework that the model runs in."""

    name: str
    """"torch" or "jittor"."""
    device: str
    """"cpu" or "cuda"."""

    def version(self) -> str:
        """Its name and version in words, with what its arithmetic depends on."""

    def shipped(self) -> Framework:
        """The same with the framework's own layers where this module puts others in their place."""

    # Into and out of the framework.

    def tensor(self, array: Array) -> Tensor:
        """A copy of an array, without gradient; float64 becomes float32."""

    def weight(self, array: Array, *, trainable: bool) -> Tensor:
        """A copy of an array as a weight. One that is not trainable has no gradient."""

    def assign(self, weight: Tensor, array: Array) -> None:
        """Put an array's numbers into a weight of the same shape."""

    def array(self, tensor: Tensor) -> Array:
        """A copy of a tensor's numbers."""

    def detach(self, tensor: Tensor) -> Tensor:
        """The same numbers, through which no gradient goes."""

    def no_gradients(self) -> AbstractContextManager[Any]:
        """Within it nothing is remembered for gradients."""

    def gradients(self, loss: Tensor, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The gradient of a number by weights; zeros for a weight that it does not depend on."""

    def optimiser(self, weights: Mapping[str, Tensor], groups: Sequence[Group]) -> Optimiser:
        """AdamW over trainable weights. Raises KeyError when a group names another."""

    def synchronise(self) -> None:
        """Return when everything that was asked for is computed."""

    # Layers.

    def conv2d(self, x: Tensor, weight: Tensor, *, stride: int, padding: int) -> Tensor:
        """[b, i, h, w] and [o, i, k, k] → [b, o, h', w'], without bias."""

    def batch_norm(
        self, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, *,
        training: bool, momentum: float, eps: float,
    ) -> Tensor:  # fmt: skip
        """Over all but the channels of [b, c, h, w] (Ioffe and Szegedy, 2015).

        Training: normalises by the batch's mean and biased variance (computed about that mean), and moves `mean` and
        `variance` [c] in place by the fraction `momentum` towards the batch's mean and its *unbiased* variance.
        Otherwise normalises by `mean` and `variance`.
        """

    def layer_norm(self, x: Tensor, weight: Tensor, bias: Tensor, *, eps: float) -> Tensor:
        """Over the last axis, by the biased variance about the mean."""

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """[…, i], [o, i], [o] → […, o]."""

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        """[…, n, k] and […, k, m] → […, n, m]."""

    def take_rows(self, table: Tensor, rows: Array) -> Tensor:
        """[n, c] and whole numbers of any shape → [shape…, c]; gradients of a row taken twice add up."""

    def take_tokens(self, x: Tensor, tokens: Array) -> Tensor:
        """[b, n, c] and whole numbers [b, k] → [b, k, c]: from each image its own rows."""

    def take_pairs(self, x: Tensor, images: Array, tokens: Array) -> Tensor:
        """[b, n, c] and whole numbers [k], [k] → [k, c]."""

    # Pictures.

    def max_pool(self, x: Tensor) -> Tensor:
        """3×3, stride 2, padding 1."""

    def average_pool(self, x: Tensor) -> Tensor:
        """2×2, stride 2; an odd edge is the mean of what there is."""

    def double(self, x: Tensor) -> Tensor:
        """[b, c, h, w] → [b, c, 2h, 2w], each number four times."""

    def grid_sample(self, x: Tensor, grid: Tensor) -> Tensor:
        """Bilinear samples of [b, c, h, w] at [b, n, m, 2] (x, y) → [b, c, n, m].

        -1 and 1 are the outer edges of the outer pixels; there are zeros outside.
        """

    # Elements.

    def relu(self, x: Tensor) -> Tensor:
        """The positive part; no gradient at 0."""

    def silu(self, x: Tensor) -> Tensor:
        """x · sigmoid(x)."""

    def gelu(self, x: Tensor) -> Tensor:
        """x · Φ(x), by the error function."""

    def sigmoid(self, x: Tensor) -> Tensor:
        """1 / (1 + e⁻ˣ)."""

    def softmax(self, x: Tensor) -> Tensor:
        """Over the last axis."""

    def log(self, x: Tensor) -> Tensor:
        """The natural logarithm."""

    def absolute(self, x: Tensor) -> Tensor:
        """|x|; no gradient at 0."""

    def maximum(self, a: Tensor, b: Tensor) -> Tensor:
        """The larger of two of one shape; half of the gradient to each where they are equal."""

    def minimum(self, a: Tensor, b: Tensor) -> Tensor:
        """The smaller of two of one shape; half of the gradient to each where they are equal."""

    def clamp(self, x: Tensor, low: float, high: float) -> Tensor:
        """x within bounds; the gradient goes through at a bound, and not beyond it."""

    def cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Of two classes, one number an element: -t·log σ(x) - (1 - t)·log(1 - σ(x)), without overflow."""

    def sum_last(self, x: Tensor) -> Tensor:
        """[…, n] → […]."""

    def concat(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        """One behind the other."""


def as_float32(array: Array) -> Array:
    """Contiguous, and float64 as float32: both frameworks get the same bits."""
    found = np.ascontiguousarray(array)
    return found.astype(np.float32) if found.dtype == np.float64 else found
