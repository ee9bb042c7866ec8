"""Everything that belongs to a run: what descends from its supervisor, and what carries the run's tag."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection
from pathlib import Path

from detui.engine.devices.processes import all_pids, descendants, process_stat
from detui.engine.process.identity import Identity

TAG = "DETUI_RUN"
"""Environment variable that names the run in each of its processes."""

_LEAVE_SECONDS = 0.5


def tagged(run: Path) -> list[int]:
    """Return the living processes, this one left out, that carry the run's tag in their environment."""
    mark = TAG.encode() + b"=" + os.fsencode(run)
    return [pid for pid in all_pids() if pid != os.getpid() and mark in _environment(pid) and _lives(pid)]


def visible_to_others(run: Path) -> dict[str, str]:
    """Return {device: run} of the GPUs that processes of other runs were given, as their environment says.

    Launchers that close descriptors lose the lease for the processes that they start; the tag stays with those.
    """
    own, found = os.fsencode(run), {}
    for pid in all_pids():
        words = dict(word.partition(b"=")[::2] for word in _environment(pid))
        tag, devices = words.get(TAG.encode()), words.get(b"CUDA_VISIBLE_DEVICES")
        if tag and devices and tag != own and _lives(pid):
            found.update(dict.fromkeys(os.fsdecode(devices).split(","), os.fsdecode(tag)))
    return found


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # gone, or another user's
        return []


def _lives(pid: int) -> bool:
    stat = process_stat(pid)
    return stat is not None and stat.alive


def sweep(run: Path | None, spared: Collection[int], reap: Callable[[], None], seconds: float = 10.0) -> int:
    """Kill everything left of a run but `spared` and what descends from it. Returns how many were killed.

    `run`: None for what descends from this process alone, whatever else of the run there is on this host.
    What is already on its way out (data loaders whose parent ended) gets half
    a second to leave by itself. `reap` collects dead children between rounds.
    """
    killed: set[int] = set()
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        reap()
        left = _left_of(run, spared)
        if not left:
            break
        if time.monotonic() - begun > _LEAVE_SECONDS:
            killed.update(pid for pid in left if _kill(pid))
        time.sleep(0.02)
    return len(killed)


def _left_of(run: Path | None, spared: Collection[int]) -> set[int]:
    keep = set(spared)
    for pid in spared:
        keep.update(descendants(pid))
    return (set(descendants(os.getpid())) | set(tagged(run) if run is not None else ())) - keep


def _kill(pid: int) -> bool:
    identity = Identity.of(pid)
    return identity is not None and identity.signal(signal.SIGKILL)
