"""The `step` lines of a run as columns: a hundred thousand of them in a few megabytes."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import lt
from typing import Any, overload

from detui.engine.run.files import number


@dataclass(frozen=True, slots=True)
class StepBlock:
    """Step lines of one form that follow each other, as columns of one length."""

    step: array[int]
    epoch: array[int]
    t: array[float]
    """Seconds since the attempt began."""
    stage: str | None
    values: Mapping[str, Sequence[float | None]]
    """By name, in the order of the lines; an array where every line has a value."""

    def lines(self) -> Iterator[dict[str, Any]]:
        """Return the lines one by one."""
        for row, (step, epoch, t) in enumerate(zip(self.step, self.epoch, self.t, strict=True)):
            values = {name: column[row] for name, column in self.values.items()}
            yield {"kind": "step", "t": t, "step": step, "epoch": epoch, "stage": self.stage, "values": values}


class StepTable:
    """A sequence of step lines, `{"kind", "step", "epoch", "stage", "t", "values"}`, ordered by step."""

    def __init__(self) -> None:
        self._step = array("q")
        self._epoch = array("q")
        self._t = array("d")
        self._stage: list[str | None] = []
        self._columns: dict[str, tuple[array[int], array[float]]] = {}

    def append(self, line: dict[str, Any]) -> None:
        """Add a line. One whose step is not beyond the last replaces what it repeats; one that says of the last step
        what was not said yet adds to it.
        """
        step = line.get("step")
        if not isinstance(step, int):
            return
        values = line.get("values")
        if self._step and step == self._step[-1] and isinstance(values, dict) and not self._says(values):
            for name, value in values.items():
                self._put(name, len(self._step) - 1, number(value))
            return
        if self._step and step <= self._step[-1]:
            self.cut(step - 1)
        row = len(self._step)
        self._step.append(step)
        self._epoch.append(line["epoch"] if isinstance(line.get("epoch"), int) else 0)
        t = number(line.get("t"))
        self._t.append(0.0 if t is None else t)
        self._stage.append(line.get("stage"))
        for name, value in values.items() if isinstance(values, dict) else ():
            self._put(name, row, number(value))

    def _says(self, names: Collection[str]) -> bool:
        """Whether the last line says anything by these names; one that says nothing is repeated by any."""
        last = len(self._step) - 1
        rows = [self._columns[name][0] for name in names if name in self._columns]
        return not names or any(where and where[-1] == last for where in rows)

    def extend(self, block: StepBlock) -> None:
        """Add lines as `append` would, at once."""
        steps = block.step
        if not (steps[0] > self.last_step or not self._step) or not all(map(lt, steps, islice(steps, 1, None))):
            for line in block.lines():
                self.append(line)
            return
        begin, lines = len(self._step), len(steps)
        self._step.extend(steps)
        self._epoch.extend(block.epoch)
        self._t.extend(block.t)
        self._stage.extend([block.stage] * lines)
        rows = array("q", range(begin, begin + lines))
        measured = [(name, *_measured(rows, column)) for name, column in block.values.items()]
        # In the order of their first appearance, as if they had come one by one.
        for name, where, values in sorted((one for one in measured if one[1]), key=lambda one: one[1][0]):
            column = self._columns.setdefault(name, (array("q"), array("d")))
            column[0].extend(where)
            column[1].extend(values)

    def _put(self, name: str, row: int, value: float | None) -> None:
        if value is None:
            return
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = (array("q"), array("d"))
        column[0].append(row)
        column[1].append(value)

    def cut(self, step: int) -> None:
        """Drop every line beyond `step`."""
        rows = bisect_right(self._step, step)
        if rows == len(self._step):
            return
        del self._step[rows:], self._epoch[rows:], self._t[rows:], self._stage[rows:]
        for where, values in self._columns.values():
            kept = bisect_left(where, rows)
            del where[kept:], values[kept:]

    @property
    def last_step(self) -> int:
        """Return the last step, 0 where there is none."""
        return self._step[-1] if self._step else 0

    def names(self) -> list[str]:
        """Return the names of what was measured, in the order of their first appearance."""
        return [name for name, (where, _) in self._columns.items() if where]

    def series(self, name: str) -> tuple[list[int], list[float]]:
        """Return the steps at which `name` was measured, and its values."""
        where, values = self._columns.get(name, (array("q"), array("d")))
        steps = self._step
        return [steps[row] for row in where], values.tolist()

    def column(self, name: str) -> tuple[Sequence[int], Sequence[float]]:
        """Return the rows in which `name` was measured, and its values, without a copy: both grow with the table."""
        return self._columns.get(name, (array("q"), array("d")))

    def clock(self) -> tuple[Sequence[int], Sequence[float]]:
        """Return all steps, and the seconds since their attempt began at which each was done."""
        return self._step, self._t

    def __len__(self) -> int:
        return len(self._step)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self._row(row) for row in range(len(self._step)))

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(index, slice):
            return [self._row(row) for row in range(*index.indices(len(self._step)))]
        row = index + len(self._step) if index < 0 else index
        if not 0 <= row < len(self._step):
            raise IndexError(index)
        return self._row(row)

    def _row(self, row: int) -> dict[str, Any]:
        line: dict[str, Any] = {"kind": "step", "t": self._t[row], "step": self._step[row]}
        return {**line, "epoch": self._epoch[row], "stage": self._stage[row], "values": self._values(row)}

    def _values(self, row: int) -> dict[str, float]:
        found = {}
        for name, (where, values) in self._columns.items():
            at = bisect_left(where, row)
            if at < len(where) and where[at] == row:
                found[name] = values[at]
        return found


def _measured(rows: array[int], column: Sequence[float | None]) -> tuple[array[int], array[float]]:
    """Return the rows in which a column has a value, and the values."""
    if isinstance(column, array):
        return rows, column
    known = [(row, value) for row, value in zip(rows, column, strict=True) if value is not None]
    return array("q", [row for row, _ in known]), array("d", [value for _, value in known])
