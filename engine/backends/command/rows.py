"""Rows of names and numbers (JSON objects, lines of a CSV file), and printed lines, as steps, epochs or statistics."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from detui.engine.run.files import number
from detui.engine.worker.reporter import Reporter


class Tell:
    """Reports the numbers of one place in the output: as steps, as epochs, or as statistics."""

    def __init__(self, report: Reporter, entry: Mapping[str, Any]) -> None:
        """`entry`: one of `watch`."""
        self._report, self._kind = report, entry["kind"]
        self._per_epoch: int | None = entry["steps_per_epoch"]
        self._first_epoch: int = entry["first_epoch"]
        self._epoch = report.last_epoch + (self._kind == "step")

    def tell(self, values: Mapping[str, float], step: int | None, epoch: int | None) -> None:
        """Report values. `step`, `epoch`: as the program counts them; None where it does not say."""
        if not values:
            return
        if epoch is not None:
            self._epoch = epoch + 1 - self._first_epoch
        elif self._kind == "epoch":
            self._epoch += 1
        if self._kind == "epoch":
            at = self._report.last_step if step is None else self._whole(step)
            self._report.epoch(self._epoch, at, dict(values))
            return
        at = self._report.last_step + 1 if step is None else self._whole(step)
        if self._kind == "statistic":
            self._report.statistic(self._report.last_step if step is None else at, dict(values))
        else:
            self._report.step(at, self._epoch, dict(values))

    def event(self, values: Mapping[str, float], at: int) -> None:
        """Report values of an event file, which counts in one number: epochs where these are told, else steps."""
        if self._kind == "step" and at < self._report.last_step:
            # A file that is written late says something of a step that others have left behind. A step line would take
            # back all that came since.
            self._report.statistic(at, dict(values))
            return
        self.tell(values, *((None, at) if self._kind == "epoch" else (at, None)))

    def _whole(self, step: int) -> int:
        """A step within an epoch as a step of the whole run."""
        return step if self._per_epoch is None else (self._epoch - 1) * self._per_epoch + step


class Printed:
    """Finds numbers in printed lines by regular expressions; all that a line holds is one report."""

    def __init__(self, tell: Tell, entry: Mapping[str, Any]) -> None:
        self._tell = tell
        self._patterns = [(re.compile(text), metric) for metric, text in entry["metrics"].items()]

    def read(self, line: str) -> None:
        """Report what a line says, if anything."""
        values: dict[str, float] = {}
        counts: dict[str, int | None] = {"step": None, "epoch": None}
        for pattern, metric in self._patterns:
            found = pattern.search(line)
            if found is None or found["value"] is None:
                continue
            values[metric] = _float(found["value"])
            groups = found.groupdict()
            counts = {name: _count(groups.get(name), known) for name, known in counts.items()}
        self._tell.tell(values, counts["step"], counts["epoch"])

    def end(self) -> None:
        """Nothing waits."""


class Rows:
    """Takes numbers out of rows by their names; `a.b` looks into a mapping of a mapping."""

    def __init__(self, tell: Tell, entry: Mapping[str, Any]) -> None:
        self._tell, self._names = tell, dict(entry["metrics"])
        self._step: str | None = entry["step"]
        self._epoch: str | None = entry["epoch"]

    def row(self, row: Mapping[str, Any]) -> None:
        """Report a row; names that it lacks, and texts that are no numbers, are left out."""
        found = {metric: _value(_look(row, name)) for metric, name in self._names.items()}
        values = {metric: value for metric, value in found.items() if value is not None}
        counts = [None if name is None else _value(_look(row, name)) for name in (self._step, self._epoch)]
        self._tell.tell(values, *(int(at) if at is not None and math.isfinite(at) else None for at in counts))


class JsonRows:
    """JSON objects, one a line, with the program's own names."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def read(self, line: str) -> None:
        """Report a line that is a JSON object; any other is the program's own talk."""
        if not line.startswith("{"):
            return
        try:
            found = json.loads(line)
        except ValueError:
            return
        if isinstance(found, Mapping):
            self._rows.row(found)

    def end(self) -> None:
        """Nothing waits."""


class CsvRows:
    """Lines of a CSV file; the first names the columns. Spaces around names and numbers do not matter."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._names: list[str] | None = None

    def read(self, line: str) -> None:
        """Report a line, or take the names of the columns from it."""
        cells = [cell.strip() for cell in next(csv.reader([line]), [])]
        if self._names is None:
            self._names = cells
        elif cells and cells != self._names:  # a program that goes on may write the names again
            self._rows.row(dict(zip(self._names, cells, strict=False)))

    def end(self) -> None:
        """Nothing waits."""


def _look(row: Mapping[str, Any], name: str) -> Any:
    if name in row:
        return row[name]
    value: Any = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _value(found: Any) -> float | None:
    if isinstance(found, str):
        try:
            return float(found)
        except ValueError:
            return number(found)
    return number(found)


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return number(text) or math.nan


def _count(text: str | None, default: int | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else default
