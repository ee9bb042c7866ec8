"""Everything that the screen of devices shows, read in a thread and handed over as values."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from detui.engine.executor.slurm.cluster import ClusterView
from detui.engine.process.places import Standing, standings
from detui.engine.process.queue import Queue
from detui.engine.run.directory import RunDir
from detui.tui.cluster import ClusterReader
from detui.tui.devices import Device, Host, HostReader, gpu_users, look
from detui.tui.glance import Glance, glance
from detui.tui.widgets.history import History

MEASURED = ("memory_used", "utilization", "power", "temperature")
"""What of a GPU is kept, in the order in which it is shown."""
STRETCH = 10.0
"""Seconds of one value of a history: sixty of them are ten minutes."""
_PROCESSES_FOR = 10.0
"""Seconds between two questions who computes where: the driver answers them under its lock."""

Values = Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Machine:
    """One reading of this machine."""

    gpus: tuple[Device, ...]
    slots: tuple[Device, ...]
    problem: str | None
    """Why there is no GPU; None where there are some."""
    host: Host
    queue: tuple[Standing, ...]
    runs: Mapping[Path, Glance]
    """The runs that have a device."""
    own: Mapping[Path, frozenset[int]]
    """The processes of each of those, as far as they are to be seen."""
    histories: Mapping[str, tuple[Values, ...]]
    """By the GPU's UUID: what each of `MEASURED` was."""
    cluster: ClusterView | None = None
    """The Slurm that this machine belongs to; None without one."""


class MachineReader:
    """Looks at this machine again and again. It outlives its screens, so that histories go on where they ended."""

    def __init__(self, workspace: Path) -> None:
        self._host = HostReader(workspace)
        self._queue = Queue()
        self._histories: dict[str, tuple[History, ...]] = {}
        self._asked: dict[str, tuple[float, list[dict[str, Any]] | None]] = {}
        self._own: dict[Path, tuple[float, frozenset[int]]] = {}
        self._cluster = ClusterReader()
        self._lock = threading.Lock()  # a screen that is opened again may read while the one before still does

    def read(self) -> Machine:
        """Return how things are now."""
        with self._lock:
            return self._read()

    def _read(self) -> Machine:
        found = look(self._users)
        gpus = tuple(device for device in found if device.sample)
        slots = tuple(device for device in found if not device.sample)
        at = time.monotonic()
        for gpu in gpus:
            if gpu.resource:
                self._keep(gpu, at)
        runs = dict.fromkeys(device.run for device in found if device.run is not None)
        return Machine(
            gpus=gpus,
            slots=slots,
            problem=None if gpus else _problem(),
            host=self._host.read(),
            queue=tuple(standings(self._queue)),
            runs={run: glance(RunDir(run), {}) for run in runs},
            own={run: self._processes_of(run) for run in runs if any(g.processes for g in gpus if g.run == run)},
            histories={uuid: tuple(one.values() for one in kept) for uuid, kept in self._histories.items()},
            cluster=self._cluster.latest(),
        )

    def _keep(self, gpu: Device, at: float) -> None:
        if gpu.resource not in self._histories:
            self._histories[gpu.resource] = tuple(History(STRETCH) for _ in MEASURED)
        for history, name in zip(self._histories[gpu.resource], MEASURED, strict=True):
            history.add(gpu.sample.get(name), at)

    def _users(self, uuid: str) -> list[dict[str, Any]] | None:
        at, users = self._asked.get(uuid, (-_PROCESSES_FOR, None))
        if time.monotonic() - at >= _PROCESSES_FOR:
            at, users = time.monotonic(), gpu_users(uuid)
            self._asked[uuid] = (at, users)
        return users

    def _processes_of(self, run: Path) -> frozenset[int]:
        from detui.engine.process.descendants import tagged

        at, pids = self._own.get(run, (-_PROCESSES_FOR, frozenset()))
        if time.monotonic() - at >= _PROCESSES_FOR:
            at, pids = time.monotonic(), frozenset(tagged(run.resolve()))
            self._own[run] = (at, pids)
        return pids


def _problem() -> str | None:
    """Return why no GPU is listed, None where the driver works and there is none."""
    from detui.engine.devices.nvml import gpu_problem

    return gpu_problem()


@lru_cache(maxsize=1)
def machine_of(workspace: Path) -> MachineReader:
    """Return the reader of this process."""
    return MachineReader(workspace)


@lru_cache(maxsize=256)
def owner(uid: int) -> str:
    """Return the name of a user, the number where there is none."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
