"""Several processes: who reports, what all of them agree on. With one process everything here does nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from detui.engine.errors import RunError
from detui.engine.worker.ranks import node_name, own_launcher
from detui.engine.worker.reporter import Reporter
from detui.engine.worker.stop import StopRequested

Made = TypeVar("Made")

LONGEST_WAIT = timedelta(days=7)
"""How long ranks wait for each other: one may be judging an epoch. That one is gone is seen by who started them."""


@contextmanager
def joined(kind: str, report: Reporter) -> Iterator[None]:
    """Train together with the other ranks of the run while the block lasts, each on a device of its own.

    `kind`: "cpu" or "cuda". A worker that trains by itself joins nobody. Stops are taken once all are there. Raises
    what torch raises where they do not find each other.
    """
    if own_launcher() is None:
        yield
        return
    if kind == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    backend = "cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo"
    torch.distributed.init_process_group(backend, timeout=LONGEST_WAIT)
    report.take_stops()
    try:
        yield
    except StopRequested:  # all of them have stopped; after an error some are not there to take leave of
        torch.distributed.destroy_process_group()
        raise
    torch.distributed.destroy_process_group()


def processes() -> int:
    """How many train together."""
    return torch.distributed.get_world_size() if _several() else 1


def share_of(batch: int) -> int:
    """How many items of a batch of all processes each one has. Raises RunError where they cannot share it evenly."""
    if batch % processes():
        message = f"{processes()} devices cannot share a batch of {batch} evenly."
        raise RunError(message, where="train.batch", hint=f"--devices with a number that divides {batch}")
    return batch // processes()


def facts(model: nn.Module, size: int, device: torch.device) -> dict[str, Any]:
    """What `begin` says of several devices: which, what each has of a batch, and what follows; {} of one device.

    `model`: in training mode, in which layers of batch normalisation that keep their statistics are not. `size`: items
    in a batch of one process. For all processes to call.
    """
    if not _several():
        return {}
    kept = (module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))
    norms = sum(module.training for module in kept)
    nodes = _nodes()
    return {
        "count": processes(),
        **({"nodes": nodes} if nodes > 1 else {}),
        "devices": gathered(f"{node_name()}: {_name(device)}" if nodes > 1 else _name(device)),
        "images_per_device": size,
        "batch": size * processes(),
        "rate_scaling": "none",
        "gradients": "mean over the devices",
        "batch_norm_layers": norms,
        **({"batch_norm_images": size} if norms else {}),
        "transport": "nccl" if device.type == "cuda" else "gloo",
    }


def _nodes() -> int:
    """How many nodes the processes are spread over, as torchrun says it."""
    return int(os.environ.get("GROUP_WORLD_SIZE") or 1)


def _name(device: torch.device) -> str:
    if device.type != "cuda":
        return "CPU"
    return f"cuda:{torch.cuda.current_device()} {torch.cuda.get_device_name()}"


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


def any_process(flag: bool) -> bool:
    """Whether one of them says yes: a stop that reached one must end all in the same step.

    Told through gloo, on the CPU, so that no GPU is waited for.
    """
    if not _several():
        return flag
    told = torch.tensor(float(flag))
    torch.distributed.all_reduce(told, torch.distributed.ReduceOp.MAX)
    return bool(told.item())


def mean_over_processes(value: Tensor) -> Tensor:
    """The mean of a tensor that carries no gradient, such as a count that losses are divided by."""
    if not _several():
        return value
    value = value.detach().clone()
    torch.distributed.all_reduce(value)
    return value / torch.distributed.get_world_size()


def means_over_processes(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The means of scalars that every process has under the same names, without their gradients, in one exchange."""
    if not _several() or not values:
        return dict(values)
    together = mean_over_processes(torch.stack([value.detach().float() for value in values.values()]))
    return dict(zip(values, together.unbind(), strict=True))


def wait_for_all() -> None:
    """Return when every process has come here."""
    any_process(False)


def gathered(value: Any) -> list[Any]:
    """What each process holds, in the order of their ranks."""
    if not _several():
        return [value]
    found: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(found, value)
    return found


def gathered_by_first(value: Any) -> list[Any]:
    """What each process holds, in the order of their ranks, in the first one; [] in the others, which need it not."""
    if not _several():
        return [value]
    found: list[Any] | None = [None] * torch.distributed.get_world_size() if rank() == 0 else None
    torch.distributed.gather_object(value, found, dst=0)
    return found or []


def made_by_first(make: Callable[[], Made]) -> Made:
    """What the first process makes, told to all. They wait until it is made; where that fails, they end with it."""
    found: Made = gathered(make() if rank() == 0 else None)[0]
    return found


def _several() -> bool:
    return bool(torch.distributed.is_available() and torch.distributed.is_initialized())
