"""The machine itself: processors that may be used, memory, disk, and the facts that a record states."""

from __future__ import annotations

import math
import os
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detui.engine.errors import UsageError


def host_facts() -> dict[str, Any]:
    """Return the `host` object of experiment.json: hostname, os, cpu, cores, memory (bytes)."""
    return {
        "hostname": platform.node(),
        "os": _system(),
        "cpu": processor(),
        "cores": usable_cores(),
        "memory": memory()[1],
    }


def _system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        name = platform.system()
    return f"{name}, kernel {platform.release()}"


def processor() -> str:
    """Return the name of the processor's model."""
    for line in _lines(Path("/proc/cpuinfo")):
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "cpu model"):
            return value.strip()
    return platform.machine()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def memory() -> tuple[int | None, int | None]:
    """Return (used, total) memory of the machine in bytes, None for what /proc does not say."""
    values = {}
    for line in _lines(Path("/proc/meminfo")):
        key, _, rest = line.partition(":")
        if key in ("MemTotal", "MemAvailable"):
            values[key] = int(rest.split()[0]) * 1024
    total, available = values.get("MemTotal"), values.get("MemAvailable")
    return (None if total is None or available is None else total - available), total


def disk_free(path: Path) -> int | None:
    """Return the bytes that this user may still write below `path`, None where that is not known."""
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return None


def usable_cores() -> int:
    """Return how many processors this process may keep busy: its affinity, and its cgroup's quota."""
    cores = len(os.sched_getaffinity(0))
    quota = _quota()
    return max(1, min(cores, cores if quota is None else math.ceil(quota)))


def _quota(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> float | None:
    """Return the processors that the cgroup grants, the smallest along the path to its root; None: no limit."""
    granted = []
    for line in _lines(own):
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        for base in (root, root / "cpu", root / "cpu,cpuacct", root / "unified"):
            for folder in (base / group.lstrip("/"), *(base / group.lstrip("/")).parents):
                if folder.is_relative_to(base):
                    granted.append(_limit(folder))
    return min((limit for limit in granted if limit is not None), default=None)


def _limit(folder: Path) -> float | None:
    """Read one cgroup's quota: `cpu.max` of version 2, `cpu.cfs_*` of version 1."""
    words = " ".join(_lines(folder / "cpu.max")).split()
    if not words:
        words = " ".join(_lines(folder / "cpu.cfs_quota_us") + _lines(folder / "cpu.cfs_period_us")).split()
    if len(words) != 2 or not (words[0].isdigit() and words[1].isdigit()) or not int(words[1]):
        return None
    return int(words[0]) / int(words[1])


def cpu_slots(environ: Mapping[str, str]) -> int:
    """Return how many runs may train on the processors at once; DETUI_CPU_SLOTS overrides the count of cores."""
    asked = environ.get("DETUI_CPU_SLOTS", "").strip()
    if not asked:
        return usable_cores()
    if not asked.isdigit() or int(asked) < 1:
        raise UsageError(f"DETUI_CPU_SLOTS is {asked!r}; expected an integer from 1.", hint="unset DETUI_CPU_SLOTS")
    return int(asked)
