"""One sample a second of what a run uses, on a thread: a driver that hangs must not hold the supervisor."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from threading import Event, Thread
from typing import Any

from detui.engine.devices.host import disk_free, memory
from detui.engine.devices.nvml import sample_gpus
from detui.engine.devices.processes import TreeSampler
from detui.engine.process.alarms import HostAlarms
from detui.engine.process.ledger import guarded, log
from detui.engine.run.alarms import mark
from detui.engine.run.directory import AttemptDir
from detui.engine.run.lines import LineWriter

PERIOD = 1.0
"""Seconds between two samples."""


class Telemetry:
    """Writes telemetry.jsonl of one attempt."""

    def __init__(self, attempt: AttemptDir, worker: int, gpus: Sequence[str], zero: float) -> None:
        """`worker`: pid whose tree is measured. `gpus`: UUIDs. `zero`: what `t` counts from."""
        self._attempt = attempt
        self._worker = worker
        self._gpus = gpus
        self._zero = zero
        self._ended = Event()
        self._failing = False
        self._alarms = HostAlarms(attempt)
        self._sounded: deque[dict[str, Any]] = deque()
        self._unwritten: deque[dict[str, Any]] = deque()
        self._thread = Thread(target=self._run, name="telemetry", daemon=True)

    def start(self) -> None:
        """Begin to sample."""
        self._thread.start()

    def stop(self) -> None:
        """End sampling; a driver that hangs is left alone."""
        self._ended.set()
        self._thread.join(timeout=2.0)

    def _run(self) -> None:
        guarded(self._sample_until_end)

    def _sample_until_end(self) -> None:
        writer = LineWriter(self._attempt.telemetry_path)
        tree = TreeSampler(self._worker)
        while not self._ended.wait(PERIOD):
            guarded(lambda: self._take(writer, self._sample(tree)))
        writer.close()

    def _sample(self, tree: TreeSampler) -> dict[str, Any]:
        percent, resident = tree.sample()
        used, total = memory()
        return {
            "t": round(time.monotonic() - self._zero, 3),
            "cpu_percent": percent,
            "rss": resident,
            "host_memory_used": used,
            "host_memory_total": total,
            "disk_free": disk_free(self._attempt.path),
            "gpus": sample_gpus(self._gpus),
        }

    def sounded(self) -> Iterator[dict[str, Any]]:
        """Take the alarms, as lines, that have sounded since the last call."""
        while self._sounded:
            yield self._sounded.popleft()

    def _take(self, writer: LineWriter, sample: dict[str, Any]) -> None:
        self._write(writer, sample)
        for name, text in self._alarms.look(sample):
            line = {"kind": "alarm", "t": sample["t"], "name": name, "text": text}
            mark(self._attempt.path, name, text)
            self._sounded.append(line)
            self._unwritten.append(line)
        while self._unwritten and self._write(writer, self._unwritten[0]):  # that a disk is full is worth a second try
            self._unwritten.popleft()

    def _write(self, writer: LineWriter, line: dict[str, Any]) -> bool:
        try:
            writer.write(line)
        except OSError as error:  # said once: a full disk would fill the log, if there were room
            if not self._failing:
                log(f"no telemetry for now: {error}")
            self._failing = True
        else:
            self._failing = False
        return not self._failing
