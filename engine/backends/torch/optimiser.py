"""AdamW (Loshchilov & Hutter, 2019), its parameter groups, and how its learning rates move."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


def parameter_groups(
    model: nn.Module, lr: float, weight_decay: float, factors: Mapping[str, tuple[str, float]]
) -> list[dict[str, Any]]:
    """Groups of a model's parameters, each with its name, `initial_lr` and decay.

    `factors`: part of the model → (name of its group, factor of its rate); what is in none of them is in the group
    "head", or "all" where there are no parts. What has one dimension (biases, norms) is not decayed, and is a group of
    its own with `.bias` behind the name.
    """
    rest = ("head" if factors else "all", 1.0)
    sorted_: dict[tuple[str, float, bool], list[Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        fits = (value for part, value in factors.items() if name == part or name.startswith(part + "."))
        group, factor = next(fits, rest)
        sorted_.setdefault((group, factor, parameter.ndim <= 1), []).append(parameter)
    return [
        {
            "name": name + (".bias" if small else ""),
            "params": parameters,
            "lr": lr * factor,
            "initial_lr": lr * factor,
            "weight_decay": 0.0 if small else weight_decay,
        }
        for (name, factor, small), parameters in sorted(sorted_.items(), key=lambda item: item[0])
    ]


def adamw(groups: list[dict[str, Any]], betas: tuple[float, float] = (0.9, 0.999)) -> Any:
    """The optimizer. On a GPU its step is one kernel a group."""
    on_gpu = any(p.device.type == "cuda" for group in groups for p in group["params"])
    return torch.optim.AdamW(groups, betas=betas, fused=on_gpu)


def rate_factor(step: int, total: int, warmup: int, last: float) -> float:
    """What the rates of step number `step` (from 0) are multiplied with.

    It rises in a straight line over `warmup` steps and falls with half a cosine to `last` at the end of `total`. A
    function of the step alone has no state that a resume could lose.
    """
    if step < warmup:
        return (step + 1) / warmup
    progress = min((step - warmup) / max(total - warmup - 1, 1), 1.0)
    return last + (1 - last) * 0.5 * (1 + math.cos(math.pi * progress))


def set_rates(optimizer: Any, factor: float) -> dict[str, float]:
    """Give every group its rate. Returns them as `lr/<group>`."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
    return {f"lr/{group['name']}": group["lr"] for group in optimizer.param_groups}
