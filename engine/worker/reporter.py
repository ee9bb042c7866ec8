"""What a training half tells: each call appends one line to metrics.jsonl, at a few microseconds.

Waiting for the disk happens on another thread, and a full disk never ends a
training: lines wait in memory and are written when there is space again.
"""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from threading import Lock
from typing import Any

from detui.engine.run.alarms import mark
from detui.engine.run.directory import AttemptDir
from detui.engine.run.files import number
from detui.engine.run.history import OURS
from detui.engine.worker.alarms import CurveAlarms
from detui.engine.worker.journal import Journal
from detui.engine.worker.stop import StopFlag

Values = dict[str, Any]


class Reporter:
    """Writes the measurements of one attempt. Safe to call from several threads; silent in forked children.

    A file has one writer: of several ranks that train together the first one reports, and the reporters of the others
    only count.
    """

    def __init__(
        self,
        attempt: AttemptDir,
        *,
        resume: dict[str, Any] | None = None,
        stop: StopFlag | None = None,
        zero: float | None = None,
        code: dict[str, Any] | None = None,
        silent: bool = False,
    ) -> None:
        """`zero`: the CLOCK_MONOTONIC second that `t` counts from; now, where it is not given.

        `code`: which code this process imports, for the `begin` line. `silent`: count steps and epochs, write nothing.
        """
        self.attempt = attempt
        self.resume = resume
        """{"attempt", "checkpoint", "step", "epoch", "stage"} to go on from, or None."""
        self.last_step = int(resume["step"]) if resume else 0
        self.last_epoch = int(resume["epoch"]) if resume else 0
        self._stop = stop or StopFlag()
        self._zero = time.monotonic() if zero is None else zero
        self._silent = silent
        if not silent:
            self._journal = Journal(attempt.metrics_path)
        self._code = {"code": code} if code else {}
        self.stop_on: frozenset[str] = frozenset()
        """Names of the alarms that ask the training to save and end."""
        self.stop_reason: str | None = None
        """Which alarm asked for the end, "stop_on: nan: …"; None where none did."""
        self._curves = CurveAlarms()
        self._alarmed: set[str] = set()
        self._lock = Lock()

    @property
    def stop_requested(self) -> bool:
        """Whether to save and raise StopRequested at the next good moment."""
        return self._stop.requested

    def take_stops(self) -> None:
        """Take SIGTERM as a stop from now on. Call it from the main thread, in a rank that has found the others.

        Before that nobody could save anything, and a rank that waits for one that will never come would not end.
        """
        self._stop.install()

    def begin(self, **fields: Any) -> None:
        """Say what is about to be trained: total_epochs, steps_per_epoch, model, asked, used, packages, device."""
        start = {"attempt": self.attempt.number, "resumed_from_step": self.last_step}
        self._write({"kind": "begin", **start, **fields, **self._code}, urgent=True)

    def stage(self, stage: str, index: int, epochs: int, step: int = 0, epoch: int = 0, **more: Any) -> None:
        """Say that stage number `index` (from 0), of `epochs` epochs, begins after this step and epoch.

        `more`: asked, used, where the stage has settings of its own; what it trains on, starts from and really uses.
        """
        line = {"kind": "stage", "stage": stage, "index": index, "epochs": epochs}
        self._write({**line, "step": step, "epoch": epoch, **more}, urgent=True)

    def step(self, step: int, epoch: int, values: Values, stage: str = "main") -> None:
        """Give the measurements of one optimiser step; counts run from 1 over the whole run."""
        self.last_step = step
        if self._silent:
            return
        sane = self._sane(values)
        self._write({"kind": "step", "step": step, "epoch": epoch, "stage": stage, "values": sane})
        text = self._curves.step(step, sane, stage)
        if text is not None:
            self.alarm("divergence", text)

    def epoch(self, epoch: int, step: int, values: Values, stage: str = "main", seconds: float | None = None) -> None:
        """Give means over a completed epoch, and the framework's own validation numbers."""
        self.last_epoch, self.last_step = epoch, max(step, self.last_step)
        if self._silent:
            return
        sane = self._sane(values)
        line = {"kind": "epoch", "step": step, "epoch": epoch, "stage": stage, "values": sane}
        self._write({**line, "seconds": seconds}, urgent=True)
        for name, text in self._curves.epoch(epoch, sane, stage):
            self.alarm(name, text, about=text.split(" ", 1)[0])

    def evaluation(
        self,
        epoch: int,
        step: int,
        split: str,
        path: str | Path,
        checkpoint: str | Path | None = None,
        candidate: bool = True,
    ) -> None:
        """Say that predictions for `split` were dumped at `path`: the evaluator's turn.

        `candidate`: whether the run's checkpoint rule may choose this one; not in a stage that trains on other data.
        """
        line = {"kind": "evaluation", "step": step, "epoch": epoch, "split": split, "path": self._inside(path)}
        named = None if checkpoint is None else self._inside(checkpoint)
        self._write({**line, "checkpoint": named, **({} if candidate else {"candidate": False})}, urgent=True)

    def checkpoint(self, path: str | Path, step: int, epoch: int, resumable: bool = True, stage: int = 0) -> None:
        """Say that a checkpoint lies complete at `path`; `stage` is the index of the stage it was saved in."""
        line = {"kind": "checkpoint", "step": step, "epoch": epoch, "stage": stage, "path": self._inside(path)}
        self._write({**line, "bytes": self._size(path), "resumable": resumable}, urgent=True)

    def _size(self, path: str | Path) -> int | None:
        """Bytes of a file, by which a reader sees later that it was cut; None where it cannot be looked at."""
        try:
            return (self.attempt.path / path).stat().st_size
        except OSError:
            return None

    def statistic(self, step: int, values: Values) -> None:
        """Give named numbers that belong to no loss: router weights, gradient norms."""
        self._write({"kind": "statistic", "step": step, "values": self._sane(values)})

    def figure(self, path: str | Path, step: int | None = None) -> None:
        """Say that a picture lies at `path`."""
        self._write({"kind": "figure", "step": step, "path": self._inside(path)})

    def alarm(self, name: str, text: str, *, about: str = "") -> None:
        """Raise an alarm; each name sounds once in an attempt, or once for each thing that it is `about`.

        One that `stop_on` names asks the training to save and end.
        """
        if self._silent:
            return
        with self._lock:
            if f"{name} {about}" in self._alarmed:
                return
            self._alarmed.add(f"{name} {about}")
        self._write({"kind": "alarm", "name": name, "text": text, "step": self.last_step}, urgent=True)
        mark(self.attempt.path, name, text)
        if name in self.stop_on and not self.stop_requested:
            self.stop_reason = f"stop_on: {name}: {text}"
            self._stop.requested = True

    def end(self, outcome: str) -> None:
        """Close the file with how it ended. The worker's entry point calls it, a training half does not."""
        self._write({"kind": "end", "step": self.last_step, "epoch": self.last_epoch, "outcome": outcome})
        if not self._silent:
            self._journal.close()

    def _write(self, line: dict[str, Any], *, urgent: bool = False) -> None:
        if self._silent:
            return
        timed = {"kind": line.pop("kind"), "t": round(time.monotonic() - self._zero, 4), **line}
        trouble = self._journal.write(timed, urgent=urgent)
        if trouble:
            self.alarm("disk", trouble)

    def _sane(self, values: Values) -> Values:
        """Return `values` as numbers; raise the alarm `nan` at the first that is not finite.

        A name of detui's evaluator is left out, with an alarm: no trainer's own number may stand under it.
        """
        plain = {}
        for name, value in values.items():
            if name.startswith(OURS):
                self.alarm("name", f"{name} was left out: names in {OURS} are those of detui's evaluator.")
                continue
            if type(value) is not float and type(value) is not int:
                value = _scalar(value)
            if value is not None and not math.isfinite(value):
                self.alarm("nan", f"{name} is {value} after step {self.last_step}.")
            plain[name] = value
        return plain

    def _inside(self, path: str | Path) -> str:
        """Return a path relative to the attempt where it lies inside, absolute otherwise."""
        absolute = os.path.normpath(self.attempt.path / path)
        root = os.path.normpath(self.attempt.path) + os.sep
        return absolute[len(root) :] if absolute.startswith(root) else absolute


def _scalar(value: Any) -> float | None:
    """Return a number from what has `item()` (numpy, tensors), or from the strings for non-finite ones."""
    item = getattr(value, "item", None)
    return number(item() if callable(item) else value)
