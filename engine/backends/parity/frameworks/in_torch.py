"""RT-DETR's operations in PyTorch. Imports torch; for what each promises see `framework.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from detui.engine.backends.parity.frameworks.framework import Array, Framework, Group, Tensor, as_float32

BETAS, EPS = (0.9, 0.999), 1e-8
"""Of AdamW."""


class Torch:
    """PyTorch's own layers; float32 is computed as float32 (TF32 is switched off, in the whole process)."""

    name = "torch"

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False

    def version(self) -> str:
        """See `Framework`."""
        device = f", {torch.cuda.get_device_name()}" if self.device == "cuda" else ""
        return f"torch {torch.__version__}{device}"

    def shipped(self) -> Framework:
        """Itself: nothing is replaced."""
        return self

    def tensor(self, array: Array) -> Tensor:
        """See `Framework`."""
        return torch.tensor(as_float32(array), device=self.device)

    def weight(self, array: Array, *, trainable: bool) -> Tensor:
        """See `Framework`."""
        return self.tensor(array).requires_grad_(trainable)

    def assign(self, weight: Tensor, array: Array) -> None:
        """See `Framework`."""
        with torch.no_grad():
            weight.copy_(self.tensor(array))

    def array(self, tensor: Tensor) -> Array:
        """See `Framework`."""
        found: Array = tensor.detach().cpu().numpy().copy()
        return found

    def detach(self, tensor: Tensor) -> Tensor:
        """See `Framework`."""
        return tensor.detach()

    def no_gradients(self) -> AbstractContextManager[Any]:
        """See `Framework`."""
        context: AbstractContextManager[Any] = torch.no_grad()
        return context

    def gradients(self, loss: Tensor, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Framework`."""
        found = torch.autograd.grad(loss, list(weights.values()), allow_unused=True, materialize_grads=True)
        return dict(zip(weights, found, strict=True))

    def optimiser(self, weights: Mapping[str, Tensor], groups: Sequence[Group]) -> TorchAdamW:
        """See `Framework`."""
        return TorchAdamW(weights, groups)

    def synchronise(self) -> None:
        """See `Framework`."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def conv2d(self, x: Tensor, weight: Tensor, *, stride: int, padding: int) -> Tensor:
        """See `Framework`."""
        return F.conv2d(x, weight, stride=stride, padding=padding)

    def batch_norm(
        self, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, *,
        training: bool, momentum: float, eps: float,
    ) -> Tensor:  # fmt: skip
        """See `Framework`."""
        return F.batch_norm(x, mean, variance, weight, bias, training, momentum, eps)

    def layer_norm(self, x: Tensor, weight: Tensor, bias: Tensor, *, eps: float) -> Tensor:
        """See `Framework`."""
        return F.layer_norm(x, x.shape[-1:], weight, bias, eps)

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """See `Framework`."""
        return F.linear(x, weight, bias)

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        """See `Framework`."""
        return torch.matmul(a, b)

    def take_rows(self, table: Tensor, rows: Array) -> Tensor:
        """See `Framework`."""
        return F.embedding(self._whole(rows), table)

    def take_tokens(self, x: Tensor, tokens: Array) -> Tensor:
        """See `Framework`."""
        where = self._whole(tokens)[..., None].expand(-1, -1, x.shape[-1])
        return x.gather(1, where)

    def take_pairs(self, x: Tensor, images: Array, tokens: Array) -> Tensor:
        """See `Framework`."""
        return x[self._whole(images), self._whole(tokens)]

    def _whole(self, numbers: Array) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(numbers, dtype=np.int64), device=self.device)

    def max_pool(self, x: Tensor) -> Tensor:
        """See `Framework`."""
        return F.max_pool2d(x, 3, 2, 1)

    def average_pool(self, x: Tensor) -> Tensor:
        """See `Framework`."""
        return F.avg_pool2d(x, 2, 2, 0, ceil_mode=True)

    def double(self, x: Tensor) -> Tensor:
        """See `Framework`."""
        return F.interpolate(x, scale_factor=2.0, mode="nearest")

    def grid_sample(self, x: Tensor, grid: Tensor) -> Tensor:
        """See `Framework`."""
        return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    def relu(self, x: Tensor) -> Tensor:
        """See `Framework`."""
        return F.relu(x)

    def silu(self, x: Tensor) -> Tensor:
        """See `Framework`."""
        return F.silu(x)

    def gelu(self, x: Tensor) -> Tensor:
        """See `Framework`."""
        return F.gelu(x)

    def sigmoid(self, x: Tensor) -> Tensor:
        """See `Framework`."""
        return torch.sigmoid(x)

    def softmax(self, x: Tensor) -> Tensor:
        """See `Framework`."""
        return F.softmax(x, -1)

    def log(self, x: Tensor) -> Tensor:
        """See `Framework`."""
        return torch.log(x)

    def absolute(self, x: Tensor) -> Tensor:
        """See `Framework`."""
        return x.abs()

    def maximum(self, a: Tensor, b: Tensor) -> Tensor:
        """See `Framework`."""
        return torch.maximum(a, b)

    def minimum(self, a: Tensor, b: Tensor) -> Tensor:
        """See `Framework`."""
        return torch.minimum(a, b)

    def clamp(self, x: Tensor, low: float, high: float) -> Tensor:
        """See `Framework`."""
        return x.clamp(low, high)

    def cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        """See `Framework`."""
        return F.binary_cross_entropy_with_logits(logits, targets, reduction="none")

    def sum_last(self, x: Tensor) -> Tensor:
        """See `Framework`."""
        return x.sum(-1)

    def concat(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        """See `Framework`."""
        return torch.cat(list(parts), axis)


class TorchAdamW:
    """PyTorch's AdamW by the weights' names. See `Optimiser`."""

    def __init__(self, weights: Mapping[str, Tensor], groups: Sequence[Group]) -> None:
        self._weights = {name: weights[name] for group in groups for name in group.names}
        self._rates = [group.rate for group in groups]
        options = [{"params": [weights[n] for n in g.names], "lr": g.rate, "weight_decay": g.decay} for g in groups]
        self._inner = torch.optim.AdamW(options, betas=BETAS, eps=EPS)

    def step(self, gradients: Mapping[str, Tensor], *, clip: float | None, scale: float = 1.0) -> Tensor:
        """See `Optimiser`."""
        for name, weight in self._weights.items():
            weight.grad = gradients[name]
        norm = torch.nn.utils.clip_grad_norm_(list(self._weights.values()), clip if clip is not None else float("inf"))
        for group, rate in zip(self._inner.param_groups, self._rates, strict=True):
            group["lr"] = rate * scale
        self._inner.step()
        self._inner.zero_grad()
        return norm

    def state(self) -> dict[str, Array]:
        """See `Optimiser`."""
        found: dict[str, Array] = {"steps": np.array(0)}
        for name, weight in self._weights.items():
            held = self._inner.state.get(weight)
            if held:
                found["steps"] = np.array(int(held["step"]))
                found[f"first/{name}"] = held["exp_avg"].cpu().numpy().copy()
                found[f"second/{name}"] = held["exp_avg_sq"].cpu().numpy().copy()
            else:
                zeros = np.zeros(tuple(weight.shape), np.float32)
                found[f"first/{name}"], found[f"second/{name}"] = zeros, zeros.copy()
        return found

    def load(self, state: Mapping[str, Array]) -> None:
        """See `Optimiser`."""
        steps = float(state["steps"])
        for name, weight in self._weights.items():
            first, second = (
                torch.tensor(as_float32(state[f"{kind}/{name}"]), device=weight.device) for kind in ("first", "second")
            )
            self._inner.state[weight] = {"step": torch.tensor(steps), "exp_avg": first, "exp_avg_sq": second}
