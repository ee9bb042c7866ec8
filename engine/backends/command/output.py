"""Measurements in a program's output as JSON lines in the words of metrics.jsonl."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from detui.engine.worker.reporter import Reporter


class JsonLines:
    """Reads objects such as `{"kind": "step", "step": 12, "epoch": 2, "values": {"train/loss": 1.2}}`.

    The kinds are those of metrics.jsonl. Lines that are no JSON objects are
    the program's own talk; an object of a known kind that lacks what it needs
    raises the alarm `output`.
    """

    def __init__(self, report: Reporter) -> None:
        self._report = report
        self._kinds: dict[str, Callable[[dict[str, Any]], None]] = {
            "begin": self._begin,
            "step": self._step,
            "epoch": self._epoch,
            "evaluation": self._evaluation,
            "checkpoint": self._checkpoint,
            "statistic": lambda line: report.statistic(line["step"], line["values"]),
            "figure": lambda line: report.figure(line["path"], line.get("step")),
            "alarm": lambda line: report.alarm(line["name"], line["text"]),
        }

    def read(self, line: str) -> None:
        """Report what a line says, if anything."""
        if not line.startswith("{"):
            return
        try:
            found = json.loads(line)
        except ValueError:
            return
        kind = self._kinds.get(str(found.get("kind")))
        if kind is None:
            return
        try:
            kind(found)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            self._report.alarm("output", f"A line of kind {found['kind']!r} cannot be read ({error!r}): {line[:200]}")

    def end(self) -> None:
        """Nothing waits."""

    def _begin(self, line: dict[str, Any]) -> None:
        self._report.begin(**{name: value for name, value in line.items() if name in _BEGIN})

    def _step(self, line: dict[str, Any]) -> None:
        self._report.step(int(line["step"]), int(line.get("epoch", 0)), line["values"])

    def _epoch(self, line: dict[str, Any]) -> None:
        step = int(line.get("step", self._report.last_step))
        self._report.epoch(int(line["epoch"]), step, line.get("values", {}), seconds=line.get("seconds"))

    def _evaluation(self, line: dict[str, Any]) -> None:
        step = int(line.get("step", self._report.last_step))
        where = (line.get("split", "val"), line["path"], line.get("checkpoint"))
        self._report.evaluation(int(line["epoch"]), step, *where)

    def _checkpoint(self, line: dict[str, Any]) -> None:
        step, epoch = int(line.get("step", self._report.last_step)), int(line.get("epoch", 0))
        self._report.checkpoint(line["path"], step, epoch, bool(line.get("resumable", False)))


_BEGIN = ("total_epochs", "steps_per_epoch", "model", "asked", "used", "packages", "device")
