"""What a run measured, over all its attempts, read as it grows.

A later attempt wins from the step that it resumed from: what an earlier one
measured beyond that step is dropped when the later one begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from detui.engine.run.blocks import BlockReader
from detui.engine.run.directory import AttemptDir, RunDir
from detui.engine.run.files import number
from detui.engine.run.lines import LineReader
from detui.engine.run.steps import StepBlock, StepTable

Line = dict[str, Any]

OURS = "val/"
"""Names that begin so belong to detui's evaluator."""
_TELEMETRY_KEPT = 4096
_POLL_BYTES = 1 << 20


@dataclass(slots=True)
class History:
    """The measurements of one run. Lines other than steps are kept as written, with `attempt` added."""

    begin: Line | None = None
    """The latest attempt's `begin` line: model, hyper-parameters, packages, device, code."""
    begins: dict[int, Line] = field(default_factory=dict)
    """Attempt → what its `begin` lines say: the later one's fields over the first's, but the first's start."""
    stages: list[Line] = field(default_factory=list)
    """`stage` lines in order, one a stage: where it began, though a later attempt went on within it."""
    steps: StepTable = field(default_factory=StepTable)
    """A sequence of `step` lines, kept as columns."""
    epochs: list[Line] = field(default_factory=list)
    """`epoch` lines: means over the epoch, the framework's own validation numbers."""
    dumps: list[Line] = field(default_factory=list)
    """`evaluation` lines of the worker: predictions that wait for, or had, an evaluation."""
    evaluations: list[Line] = field(default_factory=list)
    """Lines of detui's evaluator, by step."""
    checkpoints: list[Line] = field(default_factory=list)
    """`checkpoint` lines."""
    statistics: list[Line] = field(default_factory=list)
    """`statistic` lines: named numbers such as router weights."""
    figures: list[Line] = field(default_factory=list)
    """`figure` lines."""
    alarms: list[Line] = field(default_factory=list)
    """`alarm` lines of worker and supervisor, those of attempts that were resumed over included."""
    telemetry: list[Line] = field(default_factory=list)
    """Device and host samples; the older half is thinned when they become many."""
    end: Line | None = None
    """The latest attempt's `end` line, once it is there."""
    damaged: int = 0
    """Lines that could not be read, in all files of the run."""

    def series(self, name: str) -> tuple[list[int], list[float]]:
        """Return the steps at which `name` ("train/loss_box", "lr/all") was measured, and its values."""
        return self.steps.series(name)

    def epoch_series(self, name: str) -> tuple[list[int], list[float]]:
        """Return the epochs at which `name` was measured, and its values; null ones are left out.

        Names in `val/` are those of detui's evaluator: no worker's number goes by them.
        """
        found: dict[int, float] = {}
        for line in self.evaluations if name.startswith(OURS) else (*self.epochs, *self.evaluations):
            value = number(line.get("values", {}).get(name))
            if value is not None and isinstance(line.get("epoch"), int):
                found[line["epoch"]] = value
        return sorted(found), [found[epoch] for epoch in sorted(found)]

    def names(self) -> list[str]:
        """Return the names that `series` knows."""
        return self.steps.names()

    def epoch_names(self) -> list[str]:
        """Return the names that `epoch_series` knows."""
        theirs = {name for line in self.epochs for name in line.get("values", {}) if not name.startswith(OURS)}
        return sorted(theirs.union(*(line.get("values", {}) for line in self.evaluations)))

    @property
    def step(self) -> int:
        """Return the steps completed so far."""
        return max((self.steps.last_step, *(_step(line) for line in self.epochs[-1:]), *self._ends()))

    @property
    def epoch(self) -> int:
        """Return the epochs completed so far."""
        return max((0, *(int(line.get("epoch") or 0) for line in self.epochs[-1:])))

    @property
    def total_epochs(self) -> int | None:
        """Return the epochs that the run will have, once the worker said so."""
        return self.begin.get("total_epochs") if self.begin else None

    def _ends(self) -> Iterator[int]:
        yield from (_step(line) for line in (self.begin, self.end) if line)


def _step(line: Line) -> int:
    value = line.get("step", line.get("resumed_from_step", 0))
    return value if isinstance(value, int) else 0


def _beyond(line: Line, start: int) -> bool:
    """Tell whether a line says what happened after step `start`. A stage that begins there is yet to come."""
    return _step(line) >= start if line.get("kind") == "stage" else _step(line) > start


def _stage(line: Line) -> tuple[Any, Any]:
    return line.get("index"), line.get("stage")


class RunFollower:
    """Keeps a run's `History` up to date; each poll reads only what is new."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.history = History()
        self._attempts: dict[int, _Files] = {}
        self._resumed: dict[int, int] = {}

    def poll(self, limit: int = _POLL_BYTES) -> bool:
        """Read what came since the last call, about `limit` bytes a file at most. Returns if there was any.

        Raises FormatError where a newer detui wrote the run.
        """
        self._open_new_attempts()
        anything = False
        for files in self._attempts.values():
            anything |= self._read(files, limit)
            if files.metrics.behind:  # attempts are read in order, or the earlier would cut the later one
                break
        if any(files.restarted() for files in self._attempts.values()):
            self.history, self._attempts, self._resumed = History(), {}, {}
            return self.poll(limit) or True
        self.history.damaged = sum(files.damaged() for files in self._attempts.values())
        return anything

    def _open_new_attempts(self) -> None:
        for attempt in self.run.attempts():
            if attempt.number not in self._attempts:
                self._attempts[attempt.number] = _Files(attempt)

    def _read(self, files: _Files, limit: int) -> bool:
        metrics = files.new_metrics(limit)
        for part in metrics:
            if isinstance(part, StepBlock):
                self._add_steps(part, files.number)
            else:
                self._add(part, files.number)
        evaluations = [{**line, "attempt": files.number} for line in files.evaluations.poll(limit)]
        for line in evaluations:
            self._add_evaluation(line)
        telemetry = [{**line, "attempt": files.number} for line in files.telemetry.poll(limit)]
        self.history.alarms += (line for line in telemetry if line.get("kind") == "alarm")
        self.history.telemetry += (line for line in telemetry if line.get("kind") != "alarm")
        _thin(self.history.telemetry)
        return bool(metrics or evaluations or telemetry)

    def _add_steps(self, block: StepBlock, attempt: int) -> None:
        if attempt >= max(self._resumed, default=0):
            self.history.steps.extend(block)

    def _add(self, line: Line, attempt: int) -> None:
        kind = line.get("kind")
        if kind == "begin":
            self._begin({**line, "attempt": attempt})
        elif self._superseded(line, attempt):
            return
        elif kind == "step" and attempt >= max(self._resumed, default=0):
            self.history.steps.append(line)
        elif kind == "end":
            self.history.end = {**line, "attempt": attempt}
        elif kind == "stage" and any(_stage(line) == _stage(known) for known in self.history.stages):
            return  # a resumed attempt goes on within a stage that began before it
        elif kind in _LISTS:
            getattr(self.history, _LISTS[kind]).append({**line, "attempt": attempt})

    def _add_evaluation(self, line: Line) -> None:
        if line.get("kind") == "evaluation" and not self._superseded(line, line["attempt"]):
            lines = self.history.evaluations
            lines.append(line)
            if len(lines) > 1 and _step(lines[-2]) > _step(line):  # an old attempt's, evaluated late
                lines.sort(key=_step)

    def _superseded(self, line: Line, attempt: int) -> bool:
        """Tell whether a later attempt took over before this line's step."""
        if not self._resumed or line.get("kind") == "alarm":
            return False
        return any(later > attempt and _beyond(line, start) for later, start in self._resumed.items())

    def _begin(self, line: Line) -> None:
        history, attempt = self.history, line["attempt"]
        first = history.begins.get(attempt)
        start = _step(first or line)
        history.begins[attempt] = begin = {**(first or {}), **line, "resumed_from_step": start}
        if history.begin is None or attempt >= history.begin["attempt"]:
            history.begin, history.end = begin, None
        if first is None:  # only where the attempt began cuts the earlier ones; it may say more of itself later
            self._resumed[attempt] = start
            self._cut(attempt, start)

    def _cut(self, attempt: int, start: int) -> None:
        """Drop what earlier attempts measured beyond the step from which this one goes on."""
        history = self.history
        if attempt == min(self._attempts):
            return
        history.steps.cut(start)
        for lines in (history.stages, history.epochs, history.dumps, history.evaluations,
                      history.checkpoints, history.statistics, history.figures):  # fmt: skip
            lines[:] = (kept for kept in lines if not _beyond(kept, start) or kept["attempt"] >= attempt)


_LISTS = {
    "stage": "stages",
    "epoch": "epochs",
    "evaluation": "dumps",
    "checkpoint": "checkpoints",
    "statistic": "statistics",
    "figure": "figures",
    "alarm": "alarms",
}


class _Files:
    """The growing files of one attempt."""

    def __init__(self, attempt: AttemptDir) -> None:
        self.number = attempt.number
        self.metrics = LineReader(attempt.metrics_path)
        self._blocks = BlockReader()
        self.evaluations = LineReader(attempt.evaluations_path)
        self.telemetry = LineReader(attempt.telemetry_path)

    def new_metrics(self, limit: int) -> list[Line | StepBlock]:
        """Return what came since the last call; step lines as columns where they are many of one form."""
        found: list[Line | StepBlock] = []
        for part in self._blocks.parts(self.metrics.read(limit)):
            if isinstance(part, StepBlock):
                found.append(part)
            else:
                found += self.metrics.parse(part)
        return found

    def _all(self) -> Sequence[LineReader]:
        return (self.metrics, self.evaluations, self.telemetry)

    def restarted(self) -> bool:
        return any(reader.restarts for reader in self._all())

    def damaged(self) -> int:
        return sum(reader.damaged for reader in self._all())


def _thin(samples: list[Line]) -> None:
    """Drop every second sample of the older part once they are many: days at one a second."""
    while len(samples) > _TELEMETRY_KEPT:
        recent = _TELEMETRY_KEPT // 4
        del samples[:-recent:2]


def load_history(run: RunDir) -> History:
    """Read a run's whole history at once. Raises FormatError where a newer detui wrote it."""
    follower = RunFollower(run)
    while follower.poll():
        pass
    return follower.history
