"""Alarms about the machine that a run is on: what its supervisor sees in the samples that it takes anyway."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from detui.engine.run.directory import AttemptDir

FULL = 0.97
"""The part of a GPU's memory in use from which `gpu_memory` sounds."""

DISK_LOW = 1 << 30
"""Free bytes below which `disk_low` sounds in any case."""

DISK_CHECKPOINTS = 2
"""How many checkpoints of the newest one's size there must be room for."""

NO_STEP = 120.0
"""Seconds without a step after which `no_step` sounds at the earliest."""

NO_STEP_MEDIANS = 10
"""How many median steps must have passed besides."""

_WARM = 5
"""How often the measurements must have grown before their pace is known."""

_SIZE_EVERY = 10.0
"""Seconds between two looks at the newest checkpoint's size."""

_GIB = 1 << 30


class HostAlarms:
    """Looks at each sample of one attempt; every alarm sounds once."""

    def __init__(self, attempt: AttemptDir) -> None:
        self._attempt = attempt
        self._said: set[str] = set()
        self._size = 0
        self._grown_at: float | None = None
        self._paces: deque[float] = deque(maxlen=101)
        self._checkpoint = 0
        self._looked_at: float | None = None

    def look(self, sample: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return (name, text) of the alarms that a telemetry line raises; `sample["t"]` in seconds."""
        now = float(sample["t"])
        found = (*self._gpus(sample.get("gpus") or ()), *self._disk(sample.get("disk_free"), now), *self._step(now))
        new = [(name, text) for name, text in found if name not in self._said]
        self._said.update(name for name, _ in new)
        return new

    def _gpus(self, gpus: Any) -> Iterator[tuple[str, str]]:
        for gpu in gpus:
            used, total = gpu.get("memory_used"), gpu.get("memory_total")
            if used is not None and total and used >= FULL * total:
                name = gpu.get("uuid") or "a GPU"
                yield "gpu_memory", f"{name} has {used / _GIB:.2f} of {total / _GIB:.2f} GiB of memory in use."

    def _disk(self, free: int | None, now: float) -> Iterator[tuple[str, str]]:
        if free is None or "disk_low" in self._said:
            return
        if self._looked_at is None or now - self._looked_at >= _SIZE_EVERY:
            self._looked_at, self._checkpoint = now, _newest_size(self._attempt.checkpoints)
        if free < max(DISK_LOW, DISK_CHECKPOINTS * self._checkpoint):
            newest = f"; the newest checkpoint takes {self._checkpoint / _GIB:.2f} GiB" if self._checkpoint else ""
            yield "disk_low", f"The disk has {free / _GIB:.2f} GiB free{newest}."

    def _step(self, now: float) -> Iterator[tuple[str, str]]:
        """Follow the size of metrics.jsonl: each step makes it grow, and its size costs nothing to ask."""
        try:
            size = self._attempt.metrics_path.stat().st_size
        except OSError:
            return
        if self._grown_at is None or size != self._size:
            if self._grown_at is not None and self._size:
                self._paces.append(now - self._grown_at)
            self._grown_at, self._size = now, size
            return
        if len(self._paces) < _WARM or (self._attempt.path / "done.json").exists():
            return
        silent, median = now - self._grown_at, sorted(self._paces)[len(self._paces) // 2]
        if silent > max(NO_STEP, NO_STEP_MEDIANS * median):
            pace = f"{median:.1f} s" if median > 2 else "2 s or less"
            yield "no_step", f"No step has been reported for {silent:.0f} s; the median step took {pace}."


def _newest_size(folder: Path) -> int:
    """Return the bytes of the newest file in a directory, 0 where there is none."""
    newest, size = 0.0, 0
    with suppress(OSError):
        for path in folder.iterdir():
            found = path.stat()
            if found.st_mtime > newest and path.is_file():
                newest, size = found.st_mtime, found.st_size
    return size
