"""The worker's life: read the spec, train, write how it ended. No traceback reaches the console."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from detui.engine.errors import DetuiError, MissingError, RunError, UsageError
from detui.engine.run.code import running_code
from detui.engine.run.directory import AttemptDir
from detui.engine.run.files import write_error, write_json
from detui.engine.run.spec import RunSpec
from detui.engine.worker.ranks import end_with_launcher, own_launcher, own_rank
from detui.engine.worker.reporter import Reporter
from detui.engine.worker.stop import StopFlag, StopRequested


class Trainer(Protocol):
    """The training half of a backend."""

    def train(self, spec: RunSpec, report: Reporter) -> None:
        """Train to the end, or raise StopRequested after saving when `report.stop_requested`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a worker ended, by its own account."""

    word: str
    """"finished", "stopped" or "failed"."""
    code: int = 0
    """Exit code of the process."""
    message: str | None = None
    """What went wrong, and what to try."""
    error: str | None = None
    """Name of the exception's class, which tells running out of memory from other errors."""


def main(arguments: list[str]) -> int:
    """Run one attempt and return the exit code of the process."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m detui.engine.worker ATTEMPT_DIR\n")
        return UsageError.exit_code
    stop = StopFlag()
    if own_launcher() is None:
        stop.install()
    else:  # its training half does so once all ranks have met (Reporter.take_stops)
        end_with_launcher()
    attempt = AttemptDir(Path(arguments[0]).absolute())
    try:
        report = _open(attempt, stop)
    except DetuiError as error:
        return _close(attempt, None, Outcome("failed", error.exit_code, str(error), type(error).__name__))
    return _close(attempt, report, _train(attempt, report))


def _open(attempt: AttemptDir, stop: StopFlag) -> Reporter:
    info = attempt.info()
    if info is None:
        raise RunError("The attempt has no attempt.json.", where=str(attempt.path))
    zero = os.environ.get("DETUI_T0")
    try:
        for folder in (attempt.checkpoints, attempt.predictions, attempt.figures):
            folder.mkdir(exist_ok=True)
        start = float(zero) if zero else None
        resume, silent = info.get("resume"), own_rank() > 0
        return Reporter(attempt, resume=resume, stop=stop, zero=start, code=running_code(), silent=silent)
    except OSError as error:
        raise write_error(attempt.path, error) from error


def _train(attempt: AttemptDir, report: Reporter) -> Outcome:
    try:
        spec = attempt.run.spec()
        report.stop_on = frozenset(spec.stop_on)
        load_trainer(spec.trainer).train(spec, report)
    except StopRequested:
        return Outcome("stopped")
    except DetuiError as error:
        return Outcome("failed", error.exit_code, str(error), type(error).__name__)
    except SystemExit as leaving:
        return _left(leaving)
    except BaseException as error:  # noqa: BLE001 - the last line of defence: it is reported, whatever it is
        return Outcome("failed", 1, told(attempt.path, error), type(error).__name__)
    return Outcome("finished")


def load_trainer(reference: str) -> Trainer:
    """Import "module:Class" and make one. Raises MissingError where it cannot be found."""
    module, _, name = reference.partition(":")
    try:
        trainer: Trainer = getattr(importlib.import_module(module), name)()
    except ModuleNotFoundError as error:
        hint = f"this is the interpreter {sys.executable}; `detui doctor` checks its packages"
        raise MissingError(f"Cannot import {reference!r}: {error}.", hint=hint) from error
    except AttributeError as error:
        raise UsageError(f"The module {module!r} has no trainer {name!r}.", where="trainer") from error
    return trainer


def _left(leaving: SystemExit) -> Outcome:
    """A framework that ends the process itself has not finished the training, whatever its code says."""
    code = leaving.code if isinstance(leaving.code, int) and leaving.code else 1
    said = leaving.code if isinstance(leaving.code, str) else f"exit code {leaving.code}"
    return Outcome("failed", code, f"The trainer ended the process by itself ({said}).", "SystemExit")


def told(folder: Path, error: BaseException) -> str:
    """Keep the traceback in a file below `folder`, and return three lines that name it."""
    rank = own_rank()
    path = folder / (f"traceback-rank{rank}.txt" if rank else "traceback.txt")
    try:
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8", errors="backslashreplace")
    except OSError:  # a full disk must not hide what happened
        traceback.print_exception(error)
    kind, place = type(error).__name__, _place(error)
    text = " ".join(str(error).split())[:500]
    return f"{kind}: {text}\n  at {place}\n  try: read {path}"


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "an unknown place"


def _close(attempt: AttemptDir, report: Reporter | None, outcome: Outcome) -> int:
    """Write the last line and done.json; say what went wrong on standard error."""
    rank = own_rank()
    if outcome.message and rank:
        outcome = replace(outcome, message=f"rank {rank}: {outcome.message}")
    if outcome.message:
        sys.stderr.write(outcome.message.rstrip("\n") + "\n")
    step, epoch = (report.last_step, report.last_epoch) if report else (0, 0)
    if report:
        report.end(outcome.word)
    done = {"outcome": outcome.word, "step": step, "epoch": epoch, "message": outcome.message}
    if outcome.word == "stopped" and report and report.stop_reason:
        done["reason"] = report.stop_reason
    if not _speaks(attempt, rank, outcome.word):
        return outcome.code
    try:
        write_json(attempt.path / "done.json", {**done, "error": outcome.error})
    except RunError as error:  # the supervisor still has the exit code
        sys.stderr.write(f"{error}\n")
    return outcome.code


def _speaks(attempt: AttemptDir, rank: int, word: str) -> bool:
    """Whether this process writes how the worker ended.

    Of several ranks the first one says that they finished or stopped, and whoever fails first why: that of the others
    only is that they have lost it.
    """
    if word != "failed":
        return rank == 0
    return own_launcher() is None or not (attempt.path / "done.json").exists()
