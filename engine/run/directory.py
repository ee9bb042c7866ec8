"""Names of everything in a run's directory, and the files that are read whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from detui.engine.errors import FormatError, MissingError
from detui.engine.run.files import read_json, read_json_if_there, write_error, write_json
from detui.engine.run.lines import LineWriter
from detui.engine.run.pulled import Pulled, pulled
from detui.engine.run.spec import RunSpec


def now() -> str:
    """Return the wall time as the run's files write it: UTC, milliseconds, "2026-11-20T13:45:00.123Z"."""
    moment = datetime.now(timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


IMPORT = "import.json"
"""File of a run that another tool trained: what it was read from."""


@dataclass(frozen=True, slots=True)
class AttemptDir:
    """attempts/<n>/ of a run: one start of its process."""

    path: Path

    @property
    def number(self) -> int:
        """Which start of the run this is, from 1."""
        return int(self.path.name)

    @property
    def run(self) -> RunDir:
        """The run that this is an attempt of."""
        return RunDir(self.path.parent.parent)

    @property
    def metrics_path(self) -> Path:
        """What the worker measured; the worker writes it."""
        return self.path / "metrics.jsonl"

    @property
    def evaluations_path(self) -> Path:
        """Numbers of detui's evaluator; the evaluating process writes it."""
        return self.path / "evaluations.jsonl"

    @property
    def telemetry_path(self) -> Path:
        """Device and host samples; the supervisor writes it."""
        return self.path / "telemetry.jsonl"

    @property
    def console_path(self) -> Path:
        """The worker's standard output and error, byte for byte."""
        return self.path / "console.log"

    @property
    def beat_path(self) -> Path:
        """A counter that the supervisor raises once a second."""
        return self.path / "beat"

    @property
    def checkpoints(self) -> Path:
        """Directory of the saved weights."""
        return self.path / "checkpoints"

    @property
    def predictions(self) -> Path:
        """Directory of the dumped predictions and their curves."""
        return self.path / "predictions"

    @property
    def figures(self) -> Path:
        """Directory of pictures that the worker drew."""
        return self.path / "figures"

    def done(self) -> dict[str, Any] | None:
        """Return how the worker says it ended (done.json), or None."""
        return read_json_if_there(self.path / "done.json")

    def exit(self) -> dict[str, Any] | None:
        """Return how the supervisor saw it end (exit.json), or None."""
        return read_json_if_there(self.path / "exit.json")

    def owner(self) -> dict[str, Any] | None:
        """Return which process on which host owns the attempt (owner.json), or None."""
        return read_json_if_there(self.path / "owner.json")

    def worker(self) -> dict[str, Any] | None:
        """Return the identity of the worker's main process (worker.json), or None."""
        return read_json_if_there(self.path / "worker.json")

    def rank_failure_path(self, node: int = 0) -> Path:
        """Where it is said which rank failed first of those that one node of the run has."""
        return self.path / (f"ranks-node{node}.json" if node else "ranks.json")

    def first_failure(self, node: int = 0) -> dict[str, Any] | None:
        """Return which rank of a node failed first, and how; None where none did, or none is told.

        `rank`, `code`; of a run on several nodes also `node` (its name) and `time` (its clock). Written by the process
        that starts the ranks there.
        """
        return read_json_if_there(self.rank_failure_path(node))

    def info(self) -> dict[str, Any] | None:
        """Return where the attempt starts from (attempt.json), or None."""
        return read_json_if_there(self.path / "attempt.json")


@dataclass(frozen=True, slots=True)
class RunDir:
    """runs/<arm>-s<seed>/ of an experiment."""

    path: Path

    @classmethod
    def create(cls, path: Path, spec: RunSpec) -> RunDir:
        """Make the directory of a new run, queued, with its spec inside. Raises RunError."""
        run = cls(path)
        try:
            for folder in (run.control_dir, run.attempts_dir):
                folder.mkdir(parents=True)
        except OSError as error:
            raise write_error(path, error) from error
        write_json(run.spec_path, spec.to_json())
        run.append_event("queued")
        return run

    @property
    def name(self) -> str:
        """ "<arm>-s<seed>"."""
        return self.path.name

    @property
    def experiment_dir(self) -> Path:
        """Directory of the experiment that the run belongs to."""
        return self.path.parent.parent

    @property
    def spec_path(self) -> Path:
        """What the worker is asked to do."""
        return self.path / "spec.json"

    @property
    def events_path(self) -> Path:
        """Transitions from state to state."""
        return self.path / "events.jsonl"

    @property
    def control_dir(self) -> Path:
        """Where requests to the supervisor are put."""
        return self.path / "control"

    @property
    def attempts_dir(self) -> Path:
        """Where the attempts are made."""
        return self.path / "attempts"

    @property
    def supervisor_log(self) -> Path:
        """What the supervisor itself had to say."""
        return self.path / "supervisor.log"

    @property
    def evaluating_path(self) -> Path:
        """Identity of the evaluating process while one runs."""
        return self.path / "evaluating.json"

    def imported(self) -> dict[str, Any] | None:
        """Return what the run was imported from (import.json); None of a run that detui trained."""
        return read_json_if_there(self.path / IMPORT)

    def pulled(self) -> Pulled | None:
        """Return where the run was copied from (pulled.json of its experiment); None of a run of this host."""
        return pulled(self.experiment_dir)

    def owner(self) -> dict[str, Any] | None:
        """Return the identity of the supervisor that owns the run, or last did (owner.json), or None."""
        return read_json_if_there(self.path / "owner.json")

    def spec(self) -> RunSpec:
        """Read spec.json. Raises MissingError where this is no run, FormatError where it is broken."""
        if not self.spec_path.exists():
            hint = "`detui ls` lists the experiments of the workspace and their runs"
            raise MissingError("This is not a run: it has no spec.json.", where=str(self.path), hint=hint)
        return RunSpec.from_json(read_json(self.spec_path), self.spec_path)

    def attempts(self) -> list[AttemptDir]:
        """Return the attempts in order; an absent directory has none."""
        try:
            names = [entry.name for entry in self.attempts_dir.iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [self.attempt(number) for number in sorted(int(name) for name in names if name.isdigit())]

    def attempt(self, number: int) -> AttemptDir:
        """Return the attempt with this number, whether it exists or not."""
        return AttemptDir(self.attempts_dir / str(number))

    def latest(self) -> AttemptDir | None:
        """Return the attempt that was started last, or None."""
        attempts = self.attempts()
        return attempts[-1] if attempts else None

    def append_event(self, state: str, **fields: Any) -> None:
        """Append a transition, synced. For the one who owns the run at the moment. Raises RunError."""
        try:
            writer = LineWriter(self.events_path)
            try:
                writer.write({"at": now(), "state": state, **fields})
                writer.sync()
            finally:
                writer.close()
        except OSError as error:
            raise write_error(self.events_path, error) from error


def find_run(path: Path) -> RunDir:
    """Return the run at `path`. Raises MissingError or FormatError where none is, or its spec is broken."""
    run = RunDir(path)
    spec = run.spec()
    if spec.name != run.name:
        raise FormatError(f"The directory holds the spec of {spec.name!r}.", where=str(run.spec_path))
    return run
