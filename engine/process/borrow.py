"""A device for a short while, outside the queue: for a prediction, or for a measurement that wants to be alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from detui.engine.errors import DetuiError, RunError
from detui.engine.placement import place
from detui.engine.process.lease import Lease, holder, take

_POLL = 0.5
"""Seconds between two looks at a device that is waited for."""
BUSY = 20
"""Percent of the time in which a GPU computed, of the last moments, from which on it is called busy."""


@dataclass(frozen=True, slots=True)
class Borrowed:
    """What a task may use."""

    devices: tuple[str, ...]
    """UUIDs of GPUs; none for the CPU."""
    leases: tuple[Lease, ...]
    """Held as long as the task lasts."""

    @property
    def kind(self) -> str:
        """ "cuda" or "cpu"."""
        return "cuda" if self.devices else "cpu"


@contextmanager
def borrow(
    device: str,
    who: str,
    *,
    alone: bool = False,
    force: bool = False,
    patience: float = 0.0,
    waiting: Callable[[str], None] = lambda _: None,
) -> Iterator[Borrowed]:
    """Lease a device as long as the block lasts.

    `device`: "cpu", or one GPU by nvidia-smi's index or by UUID. `who`: what others read as its holder. `alone`: nobody
    else may compute there, on the CPU no run of detui; without it, the CPU is shared and not leased. `force`: use it
    all the same. `patience`: seconds to wait for it, of which `waiting` is told why, once. Raises RunError where it is
    in use by then, MissingError and UsageError for one that is not there.
    """
    try:
        placement = place(_words(device))
    except DetuiError as error:  # in the words of the command that was given
        error.where, error.hint = "--device", (error.hint or "--device cpu").replace("--devices", "--device")
        raise
    gpus = placement.candidates if placement.kind == "cuda" else ()
    wanted = gpus or (placement.candidates if alone else ())
    until, told = time.monotonic() + patience, False
    while True:
        try:
            leases = _take(wanted, gpus, who, alone=alone, force=force)
            break
        except RunError as error:
            if time.monotonic() >= until:
                raise
            if not told:
                waiting(error.message)
            told = True
            time.sleep(_POLL)
    try:
        yield Borrowed(gpus, tuple(leases))
    finally:
        for lease in leases:
            lease.release()


def _take(wanted: Sequence[str], gpus: Sequence[str], who: str, *, alone: bool, force: bool) -> list[Lease]:
    """Lease all that is wanted, or nothing. Raises RunError where something is in use, and not `force`."""
    leases: list[Lease] = []
    try:
        for resource in wanted:
            lease = take(resource, who)
            if lease is not None:
                leases.append(lease)
            elif not force:
                raise _held(resource, alone)
        if alone and not force:
            _check_idle(gpus)
    except BaseException:
        for lease in leases:
            lease.release()
        raise
    return leases


def _words(device: str) -> str:
    """What `--devices` would be asked: a bare index is how many there."""
    name = device.strip().lower().removeprefix("cuda:")
    return f"{name}," if name.isdecimal() else device


def _held(resource: str, alone: bool) -> RunError:
    by = holder(resource)
    message = f"{resource} is leased{f' to {by}' if by else ''}."
    if alone:
        message += " What is measured beside a training is the speed of both."
    return RunError(message, where="--device", hint=f"{_WAIT}, or {'--force' if alone else '--device cpu'}")


_WAIT = "wait until it is free (`detui gpus` shows that)"


def _check_idle(gpus: Sequence[str]) -> None:
    """Raise RunError where somebody computes on one of the GPUs."""
    from detui.engine.devices.nvml import gpu_processes, sample_gpus

    for uuid, sample in zip(gpus, sample_gpus(gpus), strict=True):
        processes = gpu_processes(uuid) or []
        rate = sample["utilization"] or 0
        if not processes and rate < BUSY:
            continue
        names = ", ".join(f"{one.user or 'somebody'}: {one.command or one.pid}" for one in processes)
        message = f"{uuid} is busy ({names or f'{rate} % in use'}): a speed measured beside others is wrong."
        raise RunError(message, where="--device", hint=f"{_WAIT}, or --force")
