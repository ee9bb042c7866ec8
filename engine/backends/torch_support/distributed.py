"""Several processes: who reports, what all of them agree on. With one process everything here does nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def processes() -> int:
    """How many train together."""
    return torch.distributed.get_world_size() if _several() else 1


def rank() -> int:
    """Which of them this is, from 0. The first one reports and saves."""
    return torch.distributed.get_rank() if _several() else 0


def wrapped(model: nn.Module) -> nn.Module:
    """The model with its gradients averaged over the processes; itself where there is one."""
    if not _several():
        return model
    device = next(model.parameters()).device
    # Every parameter takes part in every step. Looking for unused ones would hide a part that is cut off.
    return nn.parallel.DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)


def any_process(flag: bool, device: torch.device) -> bool:
    """Whether one of them says yes: a stop that reached one must end all in the same step."""
    if not _several():
        return flag
    told = torch.tensor(float(flag), device=device)
    torch.distributed.all_reduce(told, torch.distributed.ReduceOp.MAX)
    return bool(told.item())


def mean_over_processes(value: Tensor) -> Tensor:
    """The mean of a tensor that carries no gradient, such as a count that losses are divided by."""
    if not _several():
        return value
    value = value.detach().clone()
    torch.distributed.all_reduce(value)
    return value / torch.distributed.get_world_size()


def gathered(value: Any) -> list[Any]:
    """What each process holds, in the order of their ranks."""
    if not _several():
        return [value]
    found: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(found, value)
    return found


def _several() -> bool:
    return bool(torch.distributed.is_available() and torch.distributed.is_initialized())
