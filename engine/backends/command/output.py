"""Metrics in a program's output: JSON lines in the words of metrics.jsonl, or regular expressions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from detui.engine.run.files import number
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


class Patterns:
    """Finds metrics by regular expressions. A line without a `step` counts on from the last."""

    def __init__(self, report: Reporter, patterns: Sequence[dict[str, str]]) -> None:
        self._report = report
        self._patterns = [(re.compile(one["pattern"]), one["metric"]) for one in patterns]
        self._epoch = report.last_epoch

    def read(self, line: str) -> None:
        """Report what a line says, if anything: all that it holds as one step."""
        values: dict[str, float] = {}
        step = None
        for pattern, metric in self._patterns:
            found = pattern.search(line)
            if found is None:
                continue
            groups = found.groupdict()
            values[metric] = _float(groups["value"])
            step = _whole(groups.get("step"), step)
            self._epoch = _whole(groups.get("epoch"), self._epoch) or 0
        if values:
            self._report.step(self._report.last_step + 1 if step is None else step, self._epoch, values)


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return number(text) or float("nan")


def _whole(text: str | None, default: int | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else default
