"""RT-DETR's operations in Jittor. Imports jittor; for what each promises see `framework.py`.

Where Jittor's own operation breaks the promise, another stands here, and a comment says what was wrong with its own.
`Jittor(shipped=True)` has its own instead, so that the difference can be measured.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from detui.engine.backends.parity.frameworks.framework import Array, Framework, Group, Tensor, as_float32
from detui.engine.worker.jittor_start import own_home

own_home()
# Importing jittor takes hold of signals: SIGINT would end the process at once, SIGCHLD end it with a killed child.
_HANDLERS = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGCHLD)}
import jittor as jt  # noqa: E402
from jittor import nn  # noqa: E402

for _number, _handler in _HANDLERS.items():
    try:
        signal.signal(_number, _handler if _handler is not None else signal.SIG_DFL)
    except ValueError:  # not in the main thread, where nothing can be set
        break

BETAS, EPS = (0.9, 0.999), 1e-8
"""Of AdamW."""


class Jittor:
    """Jittor's operations, with others where its own differ from what `Framework` promises."""

    name = "jittor"

    def __init__(self, device: str = "cpu", *, shipped: bool = False) -> None:
        self.device = device
        self._own = shipped
        jt.flags.use_cuda = int(device == "cuda")

    def version(self) -> str:
        """See `Framework`."""
        mathematics = "oneDNN" if jt.compile_extern.mkl_ops is not None else "no oneDNN"
        return f"jittor {jt.__version__}, {'CUDA' if self.device == 'cuda' else mathematics}"

    def shipped(self) -> Framework:
        """See `Framework`."""
        return Jittor(self.device, shipped=True)

    def tensor(self, array: Array) -> Tensor:
        """See `Framework`."""
        return jt.array(as_float32(array)).stop_grad()

    def weight(self, array: Array, *, trainable: bool) -> Tensor:
        """See `Framework`."""
        found = jt.array(as_float32(array))
        return found if trainable else found.stop_grad()

    def assign(self, weight: Tensor, array: Array) -> None:
        """See `Framework`."""
        _replace(weight, jt.array(as_float32(array)))

    def array(self, tensor: Tensor) -> Array:
        """See `Framework`."""
        found: Array = tensor.numpy().copy()
        return found

    def detach(self, tensor: Tensor) -> Tensor:
        """See `Framework`."""
        return tensor.detach()

    def no_gradients(self) -> AbstractContextManager[Any]:
        """See `Framework`."""
        context: AbstractContextManager[Any] = jt.no_grad()
        return context

    def gradients(self, loss: Tensor, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Framework`."""
        found = jt.grad(loss, list(weights.values()))
        return {
            name: jt.zeros_like(weight) if one is None else one
            for (name, weight), one in zip(weights.items(), found, strict=True)
        }

    def optimiser(self, weights: Mapping[str, Tensor], groups: Sequence[Group]) -> JittorAdamW:
        """See `Framework`."""
        return JittorAdamW(weights, groups)

    def synchronise(self) -> None:
        """See `Framework`."""
        jt.sync_all(True)

    def conv2d(self, x: Tensor, weight: Tensor, *, stride: int, padding: int) -> Tensor:
        """See `Framework`."""
        return nn.conv2d(x, weight, None, stride, padding)

    def batch_norm(
        self, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, *,
        training: bool, momentum: float, eps: float,
    ) -> Tensor:  # fmt: skip
        """See `Framework`. Its own takes E[x²] - E[x]² for the variance, and remembers the biased one."""
        shape = (1, -1, 1, 1)
        if not training:
            scale = weight / jt.sqrt(variance + eps)
            return x * scale.reshape(shape) + (bias - mean * scale).reshape(shape)
        axes = [0, 2, 3]
        count = x.shape[0] * x.shape[2] * x.shape[3]
        middle = jt.mean(x, dims=axes, keepdims=True)
        if self._own:
            spread = (jt.mean(x * x, dims=axes, keepdims=True) - middle * middle).maximum(0.0)
            remembered = spread
        else:
            spread = jt.mean((x - middle) * (x - middle), dims=axes, keepdims=True)
            remembered = spread * (count / max(count - 1, 1))
        for statistic, seen in ((mean, middle), (variance, remembered)):
            _replace(statistic, statistic * (1 - momentum) + seen.reshape(-1) * momentum)
        return (x - middle) * (weight.reshape(shape) / jt.sqrt(spread + eps)) + bias.reshape(shape)

    def layer_norm(self, x: Tensor, weight: Tensor, bias: Tensor, *, eps: float) -> Tensor:
        """See `Framework`. Its own takes E[x²] - E[x]², which loses four digits at a mean of a hundred deviations."""
        middle = jt.mean(x, dims=[-1], keepdims=True)
        if self._own:
            spread = (jt.mean(x * x, dims=[-1], keepdims=True) - middle * middle).maximum(0.0)
            scale = weight / jt.sqrt(spread + eps)
            return x * scale + (bias - middle * scale)
        about = x - middle
        return about / jt.sqrt(jt.mean(about * about, dims=[-1], keepdims=True) + eps) * weight + bias

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """See `Framework`."""
        return nn.linear(x, weight, bias)

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        """See `Framework`."""
        return jt.matmul(a, b)

    def take_rows(self, table: Tensor, rows: Array) -> Tensor:
        """See `Framework`."""
        return table[_whole(rows)]

    def take_tokens(self, x: Tensor, tokens: Array) -> Tensor:
        """See `Framework`."""
        images = np.broadcast_to(np.arange(tokens.shape[0])[:, None], tokens.shape)
        return x[_whole(images), _whole(tokens)]

    def take_pairs(self, x: Tensor, images: Array, tokens: Array) -> Tensor:
        """See `Framework`."""
        return x[_whole(images), _whole(tokens)]

    def max_pool(self, x: Tensor) -> Tensor:
        """See `Framework`."""
        return nn.max_pool2d(x, 3, 2, 1)

    def average_pool(self, x: Tensor) -> Tensor:
        """See `Framework`."""
        return nn.avg_pool2d(x, 2, 2, 0, ceil_mode=True)

    def double(self, x: Tensor) -> Tensor:
        """See `Framework`."""
        return nn.interpolate(x, scale_factor=2.0, mode="nearest")

    def grid_sample(self, x: Tensor, grid: Tensor) -> Tensor:
        """See `Framework`."""
        return nn.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    def relu(self, x: Tensor) -> Tensor:
        """See `Framework`."""
        return nn.relu(x)

    def silu(self, x: Tensor) -> Tensor:
        """See `Framework`."""
        return nn.silu(x)

    def gelu(self, x: Tensor) -> Tensor:
        """See `Framework`."""
        return nn.gelu(x)

    def sigmoid(self, x: Tensor) -> Tensor:
        """See `Framework`."""
        return jt.sigmoid(x)

    def softmax(self, x: Tensor) -> Tensor:
        """See `Framework`."""
        return nn.softmax(x, -1)

    def log(self, x: Tensor) -> Tensor:
        """See `Framework`."""
        return jt.log(x)

    def absolute(self, x: Tensor) -> Tensor:
        """See `Framework`. Its own has a gradient of -1 or 1 at 0."""
        return x.abs() if self._own else x * _float(x > 0) - x * _float(x < 0)

    def maximum(self, a: Tensor, b: Tensor) -> Tensor:
        """See `Framework`. Its own gives all of the gradient to one where they are equal."""
        return jt.maximum(a, b) if self._own else _weighed(a, b, a > b, a == b)

    def minimum(self, a: Tensor, b: Tensor) -> Tensor:
        """See `Framework`. Its own gives all of the gradient to one where they are equal."""
        return jt.minimum(a, b) if self._own else _weighed(a, b, a < b, a == b)

    def clamp(self, x: Tensor, low: float, high: float) -> Tensor:
        """See `Framework`. Its own stops the gradient at a bound."""
        bounded = jt.clamp(x, low, high)
        if self._own:
            return bounded
        inside = _float(x >= low) * _float(x <= high)
        return x * inside + bounded.detach() * (1 - inside)

    def cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        """See `Framework`. Its own knows no element by itself."""
        positive, size = self.relu(logits), self.absolute(logits)
        return positive - logits * targets + jt.log(1 + jt.exp(-size))

    def sum_last(self, x: Tensor) -> Tensor:
        """See `Framework`."""
        return x.sum(-1)

    def concat(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        """See `Framework`."""
        return jt.concat(list(parts), axis)


def _whole(numbers: Array) -> Tensor:
    return jt.array(np.ascontiguousarray(numbers, dtype=np.int32))  # it has no int64


def _float(condition: Tensor) -> Tensor:
    """1 where it holds, without gradient."""
    return condition.float32().stop_grad()


def _weighed(a: Tensor, b: Tensor, first: Tensor, equal: Tensor) -> Tensor:
    share = _float(first) + _float(equal) * 0.5
    return a * share + b * (1 - share)


def _replace(weight: Tensor, value: Tensor) -> None:
    """Other numbers in a weight, which stays trainable, or fixed, as it was."""
    fixed = weight.is_stop_grad()
    weight.update(value.detach() if fixed else value)
    if fixed:
        weight.stop_grad()


class JittorAdamW:
    """AdamW in the order of operations of PyTorch's, by the weights' names. See `Optimiser`.

    Its own has the same arithmetic; this one keeps its moments by name, so that both frameworks' can be stored alike.
    """

    def __init__(self, weights: Mapping[str, Tensor], groups: Sequence[Group]) -> None:
        self._groups = tuple(groups)
        self._weights = {name: weights[name] for group in groups for name in group.names}
        self._first = {name: jt.zeros(weight.shape).stop_grad() for name, weight in self._weights.items()}
        self._second = {name: jt.zeros(weight.shape).stop_grad() for name, weight in self._weights.items()}
        self._steps = 0

    def step(self, gradients: Mapping[str, Tensor], *, clip: float | None, scale: float = 1.0) -> Tensor:
        """See `Optimiser`."""
        found = {name: gradients[name].detach() for name in self._weights}
        norm = jt.sqrt(sum((one * one).sum() for one in found.values()))
        factor = jt.minimum(clip / (norm + 1e-6), jt.ones_like(norm)) if clip is not None else None
        self._steps += 1
        for group in self._groups:
            for name in group.names:
                gradient = found[name] if factor is None else found[name] * factor
                self._move(name, gradient, group.rate * scale, group.decay)
        return norm

    def _move(self, name: str, gradient: Tensor, rate: float, decay: float) -> None:
        weight, first, second = self._weights[name], self._first[name], self._second[name]
        corrections = [1 - beta**self._steps for beta in BETAS]
        _replace(first, first + (gradient - first) * (1 - BETAS[0]))
        _replace(second, second * BETAS[1] + gradient * gradient * (1 - BETAS[1]))
        size = jt.sqrt(second) / float(corrections[1] ** 0.5) + EPS
        weight.update(weight * (1 - rate * decay) - first / size * (rate / corrections[0]))

    def state(self) -> dict[str, Array]:
        """See `Optimiser`."""
        found: dict[str, Array] = {"steps": np.array(self._steps)}
        for kind, held in (("first", self._first), ("second", self._second)):
            found |= {f"{kind}/{name}": value.numpy().copy() for name, value in held.items()}
        return found

    def load(self, state: Mapping[str, Array]) -> None:
        """See `Optimiser`."""
        self._steps = int(state["steps"])
        for kind, held in (("first", self._first), ("second", self._second)):
            for name, value in held.items():
                _replace(value, jt.array(as_float32(state[f"{kind}/{name}"])))
