"""Several devices in one run: whether a backend can, and what of a step falls to each. Nothing heavy here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detui.engine.backends.base import Backend, Problem
from detui.engine.backends.checking import error

TORCHRUN = "torchrun"

ON_NODES = frozenset({"torch"})
"""Backends whose ranks may be on several nodes: of the others nobody has tried that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How the devices of a run share a step.

    The batch of a recipe is that of all of them together, and so is the learning rate: neither depends on how many
    devices a run has. What a layer computes over a batch (BatchNorm) it computes over one device's images.
    """

    devices: int
    images: int
    """Of a step, on each device. Frames, where the data is frames."""
    batch: int
    """Of a step, on all of them: what the recipe asks for."""
    rate_scaling: str = "none"


def ranks(backend: Backend, devices: int) -> int:
    """How many processes of a run on so many devices detui starts: one a device where torchrun is to, or one."""
    return devices if backend.distributes == TORCHRUN else 1


def threads(backend: Backend, kind: str, given: int, devices: int) -> int:
    """CPU threads of each of those processes, where a run has `given`: on the CPU they share them."""
    return max(1, given // ranks(backend, devices)) if kind == "cpu" else given


def share(backend: Backend, config: Mapping[str, Any], devices: int) -> Share | None:
    """How a step of this configuration is shared; None with one device, or where that is the program's business."""
    if ranks(backend, devices) == 1:
        return None
    batch = config["train"]["batch"]
    return Share(devices=devices, images=batch // devices, batch=batch)


def problems(
    backend: Backend, config: Mapping[str, Any], devices: int, candidates: Sequence[str] = (), *, nodes: int = 1
) -> Iterator[Problem]:
    """A backend that trains on one device or one node, a batch that the devices cannot share evenly, or parts of GPUs.

    `devices`: on each node. `candidates`: the names of the devices that a run chooses from.
    """
    if nodes > 1 and backend.name not in ON_NODES:
        text = f"Runs of the backend {backend.name} train on one node, and each would have {nodes}."
        yield error("slurm.nodes", text, "--slurm nodes=1")
        return
    if devices * nodes == 1 or backend.distributes == "itself":
        return
    if backend.distributes is None:
        text = f"Runs of the backend {backend.name} train on one device, and each would take {devices}."
        yield error("devices", text, "--devices 1, or the devices to choose from: --devices 0,1")
        return
    if any(name.startswith("MIG-") for name in candidates):
        text = "An instance of a GPU (MIG) cannot train together with others: NCCL connects whole GPUs."
        yield error("devices", text, "--devices 1")
    batch, every = config["train"]["batch"], devices * nodes
    if batch % every:
        text = f"A batch of {batch} is that of all devices together, and {every} cannot share it evenly."
        more = -(-batch // every) * every
        yield error("train.batch", text, f"--set train.batch={more}, or {_fewer(batch, devices, nodes)}")


def _fewer(batch: int, devices: int, nodes: int) -> str:
    """The most devices on each node, below so many, that share a batch evenly; without any, one node."""
    found = next((count for count in range(devices - 1, 0, -1) if batch % (count * nodes) == 0), None)
    return "--slurm nodes=1" if found is None else f"--devices {found}"
