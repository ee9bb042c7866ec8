"""Processes as /proc shows them: who descends from whom, and what a tree of them uses."""

from __future__ import annotations

import os
import pwd
import time
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """What /proc/<pid>/stat says of one process."""

    pid: int
    state: str
    """One letter; Z and X are dead."""
    parent: int
    cpu_seconds: float
    """User and system time so far."""
    start: int
    """Clock ticks from boot to its start; with the boot id it tells reused pids apart."""
    rss: int
    """Resident memory, bytes."""

    @property
    def alive(self) -> bool:
        """Whether it still runs: a zombie does not, though signals reach it."""
        return self.state not in "ZXx"


def process_stat(pid: int) -> ProcessStat | None:
    """Return what is known of a process, None if it is gone."""
    try:
        text = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The name in parentheses may itself hold blanks and parentheses.
    words = text[text.rindex(b")") + 2 :].split()
    return ProcessStat(
        pid=pid,
        state=words[0].decode(),
        parent=int(words[1]),
        cpu_seconds=(int(words[11]) + int(words[12])) / _TICKS,
        start=int(words[19]),
        rss=int(words[21]) * _PAGE,
    )


def process_owner(pid: int) -> str | None:
    """Return the name of the user a process belongs to, the number where it has none; None if it is not to be seen."""
    try:
        uid = (_PROC / str(pid)).stat().st_uid
    except OSError:
        return None
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def process_name(pid: int) -> str | None:
    """Return what the kernel calls a process (at most 15 characters), None if it is not to be seen."""
    try:
        return (_PROC / str(pid) / "comm").read_text(errors="replace").strip()
    except OSError:
        return None


def all_pids() -> list[int]:
    """Return the pid of every process that this one can see."""
    return [int(name) for name in os.listdir(_PROC) if name.isdigit()]  # noqa: PTH208 - ten times faster


def _children(pid: int) -> list[int]:
    """Return the direct children of every thread of a process; a process that is gone has none."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - many threads, many times
    except OSError:
        return found
    for thread in threads:
        try:
            found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_bytes().split())
        except OSError:  # this thread ended between the two looks
            continue
    return found


_LISTED = Path(f"/proc/self/task/{os.getpid()}/children").exists()
"""Whether this kernel lists children (CONFIG_PROC_CHILDREN); otherwise every process is looked at."""


def _children_of_all() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for pid in all_pids():
        stat = process_stat(pid)
        if stat is not None:
            found.setdefault(stat.parent, []).append(pid)
    return found


def descendants(root: int) -> list[int]:
    """Return every living descendant of `root`, itself left out."""
    table = None if _LISTED else _children_of_all()
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        for child in _children(pid) if table is None else table.get(pid, []):
            todo.append(child)
            found.append(child)
    return [pid for pid in found if (stat := process_stat(pid)) is not None and stat.alive]


class TreeSampler:
    """Processor and memory use of one process and all its descendants, from one sample to the next."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._seconds: dict[int, float] = {}
        self._at = time.monotonic()

    def sample(self) -> tuple[float, int]:
        """Return (percent of one processor since the last sample, sum of resident memory in bytes)."""
        stats = [stat for pid in (self._root, *descendants(self._root)) if (stat := process_stat(pid)) is not None]
        now = time.monotonic()
        used = sum(max(0.0, stat.cpu_seconds - self._seconds.get(stat.pid, 0.0)) for stat in stats)
        elapsed, self._at = now - self._at, now
        self._seconds = {stat.pid: stat.cpu_seconds for stat in stats}
        return round(100.0 * used / max(elapsed, 1e-3), 1), sum(stat.rss for stat in stats)
