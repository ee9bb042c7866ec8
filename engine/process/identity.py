"""Who a process is: boot id, pid and start ticks. A bare pid is never trusted, nor signalled."""

from __future__ import annotations

import os
import platform
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from detui.engine.devices.processes import process_stat

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """One process, on one host, between two boots."""

    host: str
    """Host name: for people."""
    boot: str
    """The kernel's boot id."""
    namespace: str
    """The pid namespace, "pid:[4026531836]": a container's pids mean nothing outside it."""
    pid: int
    start: int
    """Clock ticks from boot to its start: a reused pid has another."""

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """Return who has this pid now, None if nobody living has."""
        stat = process_stat(pid)
        if stat is None or not stat.alive:
            return None
        return cls(host=platform.node(), boot=boot_id(), namespace=_namespace(), pid=pid, start=stat.start)

    @classmethod
    def from_json(cls, obj: dict[str, Any] | None) -> Identity | None:
        """Read one back; None where the object holds none."""
        try:
            return None if obj is None else cls(**{name: obj[name] for name in cls.__slots__})
        except KeyError:
            return None

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return asdict(self)

    @property
    def here(self) -> bool:
        """Whether this host and container are where the process is, or was."""
        if self.boot != boot_id():
            return self.host == platform.node()
        return self.namespace == _namespace()

    @property
    def rebooted(self) -> bool:
        """Whether this host was started anew since."""
        return self.boot != boot_id() and self.host == platform.node()

    def alive(self) -> bool:
        """Whether this very process still runs."""
        if self.boot != boot_id() or self.namespace != _namespace():
            return False
        stat = process_stat(self.pid)
        return stat is not None and stat.alive and stat.start == self.start

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal to this very process. Returns whether it was there to receive it."""
        try:
            with pinned(self.pid) as descriptor:
                # The descriptor pins whoever has the pid now; only then is it known that it is the right one.
                if not self.alive():
                    return False
                if descriptor is None:
                    os.kill(self.pid, number)
                else:
                    signal.pidfd_send_signal(descriptor, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True


@contextmanager
def pinned(pid: int) -> Iterator[int | None]:
    """Hold a descriptor of a process while the block lasts; None where the kernel gives none (Linux before 5.3).

    Raises ProcessLookupError if nobody has the pid.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except (OSError, AttributeError):  # ENOSYS, a sandbox that forbids it, a Python built without it
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def pins_processes() -> bool:
    """Whether this kernel gives descriptors of processes; without them a process is polled and checked twice."""
    with pinned(os.getpid()) as descriptor:
        return descriptor is not None


def boot_id() -> str:
    """Return the id of this boot of the kernel."""
    return _BOOT_ID.read_text().strip()


def _namespace() -> str:
    return str(Path("/proc/self/ns/pid").readlink())
