"""The devices that Slurm gave to a job: nobody else may have them, so that nothing is queued for here.

Their leases are taken all the same, so that runs outside Slurm see who has them. A lease that somebody holds, such as
what is left of the run that had the GPU before, is waited for a moment; then Slurm's word counts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from detui.engine.errors import RunError
from detui.engine.process.lease import Lease, holder, take
from detui.engine.process.ledger import log
from detui.engine.process.slurm import Job
from detui.engine.run.spec import DeviceRequest

PATIENCE = 10.0
"""Seconds that a lease which somebody holds is waited for."""

_TICK = 0.1


class Granted:
    """The turn of a run that needs not wait for it."""

    def __init__(
        self, run: Path, request: DeviceRequest, job: Job, given_up: Callable[[], bool], *, node: int = 0
    ) -> None:
        """`given_up`: tells whether the run is not to begin any more. `node`: which of the job's nodes this is."""
        self._run = run
        self._request = request
        self._given_up = given_up
        self._label = f"{job.name}-node{node}" if node else job.name

    def until_taken(self) -> list[Lease] | None:
        """Return the leases of the job's devices on this node; None where the run was given up before it had them.

        Raises RunError where Slurm gave fewer devices than the run takes.
        """
        devices = devices_of(self._request, self._label, os.environ)
        leases: dict[str, Lease] = {}
        deadline = time.monotonic() + PATIENCE
        while True:
            if self._given_up():
                for lease in leases.values():
                    lease.release()
                return None
            late = time.monotonic() >= deadline
            for device in devices:
                if device not in leases and (taken := self._take(device, late)) is not None:
                    leases[device] = taken
            if len(leases) == len(devices):
                return [leases[device] for device in devices]
            time.sleep(_TICK)

    def _take(self, device: str, late: bool) -> Lease | None:
        if _is_unique(device) and not late:
            return take(device, str(self._run))
        if _is_unique(device):
            log(f"{device} is leased to {holder(device) or 'somebody'}; Slurm gave it to this run all the same")
        # An index means another GPU in every job, and must not be mistaken for theirs: the lease is of this job alone.
        own = take(f"slurm-{self._label}-{device}", str(self._run))
        return None if own is None else replace(own, resource=device)


def devices_of(request: DeviceRequest, label: str, environ: Mapping[str, str]) -> list[str]:
    """Return the names of the devices of a job on this node: UUIDs of its GPUs, or where the driver says nothing
    Slurm's indices. `label`: the job's name, on another node than its first with that.

    Raises RunError where they are fewer than the run takes.
    """
    if request.kind != "cuda":
        return [f"cpu:slurm-{label}"]
    found = _gpus(environ)
    if len(found) < request.count:
        hint = "ask for them with --slurm gpus=N or gres=…; `sinfo -o '%P %G'` lists what the partitions have"
        text = f"The run needs {request.count} GPUs, and Slurm's job {label} has {len(found) or 'none'}."
        raise RunError(text, hint=hint)
    return found[: request.count]


def _gpus(environ: Mapping[str, str]) -> list[str]:
    from detui.engine.devices.nvml import visible_gpus

    uuids = [gpu.uuid for gpu in visible_gpus(environ)]
    said = environ.get("CUDA_VISIBLE_DEVICES")
    if said is None:
        return uuids
    names = [name for name in map(str.strip, said.split(",")) if name and name != "NoDevFiles"]
    return uuids if len(uuids) == len(names) else names


def _is_unique(device: str) -> bool:
    """Whether a name means the same device to everybody on this node."""
    return device.startswith(("GPU-", "MIG-", "cpu:"))
