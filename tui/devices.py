"""What this machine has and who uses it. For `detui gpus` and for the application."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU, or one slot for runs on the processors."""

    name: str
    resource: str
    """What leases and CUDA_VISIBLE_DEVICES call it; "" for a GPU that answers nothing."""
    holder: str | None
    """The run of detui that has it; "a run" where that cannot be read."""
    sample: dict[str, Any] = field(default_factory=dict)
    """Memory, utilization, temperature, power; each None where the driver does not say. {} for a slot."""
    processes: list[dict[str, Any]] | None = None
    """Who computes there, of whatever program; None where the driver does not say."""
    run: Path | None = None
    """Directory of the run that has it, None where that is not known."""
    problem: str | None = None
    """Why it says nothing, in the driver's words; None where it answers."""


Processes = Callable[[str], list[dict[str, Any]] | None]
"""Tells who computes on the GPU of a UUID."""


def look(processes: Processes | None = None) -> list[Device]:
    """Return what is there now: GPUs first, then the slots for runs on the processors.

    `processes`: who computes on a GPU, from somebody who asks the driver less often than at every look.
    """
    from detui.engine.devices.nvml import list_gpus, memory_problem, sample_gpus, silent_gpus

    gpus = list_gpus()
    samples = sample_gpus(gpu.uuid for gpu in gpus)
    found = []
    for gpu, sample in zip(gpus, samples, strict=True):
        said = sample["memory_total"] is not None
        more = {
            "sample": {**sample, "name": gpu.name},
            "processes": (processes or gpu_users)(gpu.uuid),
            "problem": None if said else memory_problem(gpu.uuid),
        }
        found.append(_device(f"{gpu.index}", gpu.uuid, **more))
    unsaid = dict.fromkeys(("name", "memory_used", "memory_total", "utilization", "power", "temperature"))
    for silent in silent_gpus():
        sample = {"uuid": None, "index": silent.index, **unsaid}
        found.append(Device(f"{silent.index}", "", None, sample, None, None, silent.reason))
    found.sort(key=lambda device: int(device.name))  # the order in which the driver counts, silent ones included
    return [*found, *(_device("CPU", slot) for slot in _slots())]


def _device(name: str, resource: str, **more: Any) -> Device:
    run = holding(resource)
    return Device(name, resource, _named(run), run=run if isinstance(run, Path) else None, **more)


def gpu_users(uuid: str) -> list[dict[str, Any]] | None:
    """Return who computes on a GPU: pid, memory (bytes), user, command; None where the driver does not say."""
    from detui.engine.devices.nvml import gpu_processes

    processes = gpu_processes(uuid)
    return None if processes is None else [asdict(one) for one in processes]


def _slots() -> tuple[str, ...]:
    from detui.engine.placement import place

    return place("cpu").candidates


def holding(resource: str) -> Path | str | None:
    """Return the directory of the run that has a lease; where it is none, who wrote himself in; None: nobody has it."""
    from detui.engine.process.lease import held
    from detui.engine.process.lease import holder as leaseholder

    if not held(resource):
        return None
    run = leaseholder(resource)
    if run is None:
        return "a run"
    path = Path(run)
    return path if path.parent.name == "runs" else run


def _named(run: Path | str | None) -> str | None:
    return name_of(run) if isinstance(run, Path) else run


def name_of(run: Path) -> str:
    """Return what commands call the run of a directory: `EXPERIMENT/RUN`."""
    return f"{run.parent.parent.name}/{run.name}"


@dataclass(frozen=True, slots=True)
class Host:
    """The machine itself; each value None where the kernel does not say."""

    cpu: float | None
    """Percent of all processors' time since the last look; None at the first."""
    load: float | None
    """Processes that want to run, the average of a minute."""
    memory_used: int | None
    """Bytes."""
    memory_total: int | None
    """Bytes."""
    disk_free: int | None
    """Bytes that may still be written to the workspace."""


class HostReader:
    """Looks at the machine again and again."""

    def __init__(self, workspace: Path) -> None:
        """`workspace`: the folder whose disk is looked at."""
        self._workspace = workspace
        self._before: tuple[int, int] | None = None

    def read(self) -> Host:
        """Return how things are now. Works where /proc says nothing."""
        from detui.engine.devices.host import disk_free, memory

        before, self._before = self._before, _ticks()
        return Host(_busy(before, self._before), _load(), *memory(), disk_free(self._existing()))

    def _existing(self) -> Path:
        """The workspace, or what there is of its path: it is made when the first run starts."""
        path = self._workspace.absolute()
        return next((folder for folder in (path, *path.parents) if folder.exists()), path)


def _ticks() -> tuple[int, int] | None:
    """Return the clock ticks that all processors worked, and all of them, since the boot."""
    try:
        words = Path("/proc/stat").read_text().split("\n", 1)[0].split()
        ticks = [int(word) for word in words[1:9]]  # guests' time is in that of user and nice already
    except (OSError, ValueError):
        return None
    if len(ticks) < 5:
        return None
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, sum(ticks)


def _busy(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    if before is None or after is None or after[1] <= before[1]:
        return None
    return 100 * (after[0] - before[0]) / (after[1] - before[1])


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except OSError:
        return None
