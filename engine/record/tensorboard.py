"""An experiment as TensorBoard event files, at once or while it trains.

One folder a run. Tags are detui's names of metrics, steps its global steps,
wall times the real ones. What an epoch's mean and a step share a name for
stands as `epoch/<name>`. Telemetry (`host/…`, `gpu0/…`) has no step: the number
of the sample stands there, and TensorBoard's axes "relative" and "wall" show
the time.

TensorBoard takes nothing back that it has read, but it lets a session start
anew at a step: where an attempt resumes, such a mark makes it forget what the
attempt before had measured beyond. So each run is one curve, in which the
later attempt counts, as everywhere in detui.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from detui.engine.analysis.choice import standing
from detui.engine.errors import UsageError
from detui.engine.process.control import status, supervised
from detui.engine.record.event_file import EventFile, need_library
from detui.engine.record.facts import ExperimentFacts
from detui.engine.record.gather import gather
from detui.engine.record.text import fenced
from detui.engine.run.directory import AttemptDir, RunDir
from detui.engine.run.files import encode, number, write_error
from detui.engine.run.history import RunFollower
from detui.engine.run.lines import LineReader, read_lines
from detui.engine.secrets import redacted

EVERY = 0.5
"""Seconds between two looks at runs that go on."""


class Events:
    """The event files of an experiment. Close them, or use it in a `with`."""

    def __init__(self, experiment_dir: Path, to: Path, *, force: bool = False) -> None:
        """Begin anew below the folder `to`, where event files of an earlier export of this experiment are removed.

        `force`: also beside event files of somebody else's. Raises UsageError
        where those are, MissingError without tensorboardX, RunError.
        """
        need_library()
        facts = gather(experiment_dir)
        suffix = f".detui.{experiment_dir.name}"
        self.folders = [to / run.name for run in facts.runs]
        """One a run."""
        _clear(self.folders, suffix, force=force)
        self._runs: list[_RunEvents] = []
        for run, folder in zip(facts.runs, self.folders, strict=True):
            self._runs.append(_RunEvents(RunDir(experiment_dir / "runs" / run.name), folder, suffix, facts))

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        for run in self._runs:
            run.close()

    def update(self) -> bool:
        """Write what the runs measured since the last call, and nothing twice. Returns if there was anything."""
        return sum(run.update() for run in self._runs) > 0

    def follow(self, every: float = EVERY) -> None:
        """Keep the files current until every run has ended and what it dumped is evaluated."""
        while True:
            ended = all(run.ended() for run in self._runs)  # asked before reading: nothing comes after
            self.update()
            if ended:
                return
            time.sleep(every)


def export_events(experiment_dir: Path, to: Path, *, force: bool = False) -> list[Path]:
    """Write what the runs measured so far below the folder `to`; return a folder a run. Raises as `Events`."""
    with Events(experiment_dir, to, force=force) as events:
        events.update()
        return events.folders


def _clear(folders: Sequence[Path], suffix: str, *, force: bool) -> None:
    """Make the folders, and take away the event files that detui wrote of this experiment into them."""
    found = [path for folder in folders for path in sorted(folder.glob("*tfevents*"))]
    foreign = [path for path in found if not path.name.endswith(suffix)]
    if foreign and not force:
        raise UsageError(
            "There are event files already that are not of this experiment: their curves would be mixed.",
            where=str(foreign[0]),
            hint="--to ANOTHER, or --force to write beside them",
        )
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        for path in found:
            if path not in foreign:
                path.unlink()
    except OSError as error:
        raise write_error(Path(error.filename or folders[0]), error) from error


class _RunEvents:
    """Writes one run's measurements as they come."""

    def __init__(self, run: RunDir, folder: Path, suffix: str, facts: ExperimentFacts) -> None:
        self._run, self._facts = run, facts
        self._follower = RunFollower(run)
        self._out = EventFile(folder, suffix)
        self._forget()

    def _forget(self) -> None:
        """Begin anew: nothing is written yet."""
        self._history = self._follower.history
        self._step = -1
        self._begun: dict[int, int] = {}
        self._lines: dict[int, Mapping[str, Any]] = {}
        self._telemetry = _Telemetry(self._run)
        self._out.session(0)
        self._out.text("config", _configuration(self._run, self._facts), self._zero(1))

    def close(self) -> None:
        """Close the event file."""
        self._out.close()

    def ended(self) -> bool:
        """Whether the run has ended and nothing of it is being evaluated, or it is a copy, of which nothing comes."""
        if self._run.pulled() is not None:
            return True
        now = status(self._run)
        return now.state.terminal and "evaluating" not in now.notes and not supervised(self._run)

    def update(self) -> bool:
        """Write what is new. Returns if there was anything."""
        while self._follower.poll():
            pass
        if self._follower.history is not self._history:  # a file of the run was replaced
            self._forget()
        self._begin()
        self._write_steps()
        for prefix, line in self._new_lines():
            self._out.scalars(_numbers(line.get("values"), prefix), line.get("step") or 0, self._time(line))
        for sample, attempt, line in self._telemetry.poll():
            self._out.scalars(_sampled(line), sample, self._zero(attempt) + (number(line.get("t")) or 0.0))
        return self._out.flush()

    def _begin(self) -> None:
        """Say what new attempts use; from where one resumed, what came before it is void."""
        for attempt, line in sorted(self._history.begins.items()):
            if attempt in self._begun:
                continue
            start = int(line.get("resumed_from_step") or 0)
            if self._begun:
                self._out.session(start + 1)
                self._step = min(self._step, start)
                self._telemetry.back_to(start)
            self._begun[attempt] = start
            told: dict[str, Any] = {
                name: line[name] for name in ("model", "used", "packages", "device") if name in line
            }
            self._out.text(f"used/attempt-{attempt}", _json(told), self._time(line))

    def _write_steps(self) -> None:
        steps = self._history.steps
        first = bisect_right(steps, self._step, key=lambda row: int(row["step"]))
        for row in steps[first:]:
            self._step = row["step"]
            began = [attempt for attempt, start in self._begun.items() if start < self._step]
            self._out.scalars(row["values"], self._step, self._zero(max(began, default=1)) + row["t"])

    def _new_lines(self) -> Iterator[tuple[set[str], Mapping[str, Any]]]:
        """Lines that were not written yet, each with the names that need `epoch/` before them."""
        history = self._history
        named = set(history.names())
        splits = {str(line.get("split", "val")) for line in history.evaluations}
        evaluations = [line for split in sorted(splits) for line in standing(history, split)]
        for clashing, lines in ((named, history.epochs), (set[str](), evaluations), (set[str](), history.statistics)):
            for line in lines:
                if id(line) not in self._lines:
                    self._lines[id(line)] = line  # kept, so that no other line gets its identity
                    yield clashing, line

    def _time(self, line: Mapping[str, Any]) -> float:
        """The wall time of a line; of an evaluation, when its predictions were made."""
        attempt, t = int(line.get("attempt") or 1), number(line.get("t"))
        if t is None:
            known = (dump for dump in self._history.dumps
                     if (dump["attempt"], dump.get("epoch")) == (attempt, line.get("epoch")))  # fmt: skip
            t = next((number(dump.get("t")) for dump in known), None)
        return self._zero(attempt) + (t or 0.0)

    def _zero(self, attempt: int) -> float:
        return self._telemetry.zero(attempt)


class _Telemetry:
    """The samples of a run, all of them: the history thins its own."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._readers: dict[int, LineReader] = {}
        self._zeros: dict[int, float] = {}
        self._samples = 0
        self._skip = 0

    def poll(self) -> Iterator[tuple[int, int, Mapping[str, Any]]]:
        """Number (from 1), attempt and line of the samples that came."""
        for attempt in self._run.attempts():
            reader = self._readers.setdefault(attempt.number, LineReader(attempt.telemetry_path))
            for line in reader.poll():
                if line.get("kind") != "alarm":
                    self._samples += 1
                    if self._samples > self._skip:
                        yield self._samples, attempt.number, line

    def back_to(self, sample: int) -> None:
        """Give the samples beyond this one again: TensorBoard forgets them with the steps of that number."""
        self._skip = min(self._samples, sample)
        self._readers, self._samples = {}, 0

    def zero(self, attempt: int) -> float:
        """The wall time from which an attempt counts its `t`."""
        if attempt not in self._zeros:
            self._zeros[attempt] = _started(self._run.attempt(attempt))
        return self._zeros[attempt]


def _started(attempt: AttemptDir) -> float:
    """When an attempt's clock began: the event that says it starts is written at that moment."""
    events = read_lines(attempt.run.events_path)
    own = [line for line in events if line.get("attempt") == attempt.number] or events
    return next((_seconds(str(line["at"])) for line in own if line.get("at")), 0.0)


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()


def _numbers(values: object, clashing: Iterable[str] = ()) -> dict[str, float]:
    """The numbers among a line's values, under names that no step line has."""
    found: dict[str, float] = {}
    for name, value in values.items() if isinstance(values, Mapping) else ():
        if (read := number(value)) is not None:
            found[f"epoch/{name}" if name in clashing else str(name)] = read
    return found


def _sampled(line: Mapping[str, Any]) -> dict[str, float]:
    """A sample as `host/…` and, for each GPU by its index, `gpu0/…`."""
    found = {f"host/{name.removeprefix('host_')}": value for name, value in _numbers(line).items() if name != "t"}
    found.pop("host/schema", None)
    for place, gpu in enumerate(line.get("gpus") or ()):
        index = gpu["index"] if isinstance(gpu.get("index"), int) else place
        found |= {f"gpu{index}/{name}": value for name, value in _numbers(gpu).items() if name != "index"}
    return found


def _configuration(run: RunDir, facts: ExperimentFacts) -> str:
    """What the run is, as Markdown for TensorBoard's page of texts."""
    spec, info = run.spec(), facts.info
    lines = [f"experiment {info['id']}, recipe {info['recipe']}, arm {spec.arm}, seed {spec.seed}"]
    if facts.quick:
        lines.append(f"**{info.get('profile')} run: not a result.**")
    told = {"config": spec.config, "stages": [stage.config for stage in spec.stages]}
    return "\n\n".join([*lines, _json(told)])


def _json(told: Mapping[str, Any]) -> str:
    text: str = encode(redacted(dict(told)), indent=2).decode()
    return fenced(text, "json")
