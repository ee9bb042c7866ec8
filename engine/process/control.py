"""What a run does now, and requests to it. Reads files and /proc; may be called by anybody, at any time."""

from __future__ import annotations

import os
import platform
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detui.engine.errors import RunError, UsageError
from detui.engine.process.descendants import tagged
from detui.engine.process.identity import Identity
from detui.engine.process.lease import held
from detui.engine.process.places import queue_notes
from detui.engine.process.requests import KILL, STOP, user_name
from detui.engine.run.directory import AttemptDir, RunDir
from detui.engine.run.files import read_json_if_there, write_json
from detui.engine.run.pulled import Pulled, refuse_copy
from detui.engine.run.slurm import slurm_job
from detui.engine.run.state import Failed, Finished, Lost, Queued, State, Stopped, read_state, state_of

STALL_SECONDS = 10.0
"""A beat that stands still for so long is worth a note."""

UNREACHABLE_SECONDS = 60.0
"""The same for another host, whose clock may differ a little."""


@dataclass(frozen=True, slots=True)
class RunStatus:
    """What a run does now."""

    state: State
    notes: tuple[str, ...] = ()
    """What is to be known beside the state: "stalled: …", "orphaned", "unreachable: HOST", "evaluating",
    "waiting for a device (2 in use)"…"""
    attempt: int | None = None
    """The latest attempt; None before the first."""


def status(run: RunDir) -> RunStatus:
    """Return what a run does now: its last event, held against the processes that are there.

    Of a copy from another host: what it did when it was copied, and where it is.
    """
    state = read_state(run)
    if (copy := run.pulled()) is not None:
        latest = run.latest()
        return RunStatus(state, (copy_note(copy, state),), latest.number if latest else None)
    owner = Identity.from_json(run.owner())
    notes = list(_evaluation_notes(run))
    if not state.terminal:
        state, found = _look(run, state, owner)
        notes += found
    latest = run.latest()
    return RunStatus(state, tuple(notes), latest.number if latest else None)


def copy_note(copy: Pulled, state: State) -> str:
    """Return what is to be known of a copied run: where it is, and of one that had not ended, as of when."""
    return f"on {copy.host}" if state.terminal else f"on {copy.host}, as of {copy.day}"


def settled(run: RunDir) -> State:
    """Return the state for somebody who wants to start the run, having its lock. Raises RunError if it may not.

    A finished run is not started again; nor is one whose worker lives on
    without a supervisor, or whose supervisor is on another host.
    """
    refuse_copy(run.experiment_dir, "resume", f"{run.experiment_dir.name}/{run.name}")
    now = status(run)
    if run.imported() is not None:
        text = "The run was imported: detui did not train it, and cannot go on with it."
        raise RunError(text, where=str(run.path), hint="go on with the tool that trained it, and import it again")
    if isinstance(now.state, Finished):
        hint = f"detui branch {run.name} --set train.epochs=N goes on from its end; a new experiment trains again"
        raise RunError("The run has finished: there is nothing to resume.", where=str(run.path), hint=hint)
    if "orphaned" in now.notes:
        hint = f"detui stop {run.name}, then resume it"
        raise RunError("Its worker still trains, without a supervisor.", where=str(run.path), hint=hint)
    owner = Identity.from_json(run.owner())
    if not now.state.terminal and owner is not None and not owner.here:
        raise RunError(f"The run belongs to the host {owner.host}.", where=str(run.path), hint="work there")
    return now.state


def _evaluation_notes(run: RunDir) -> list[str]:
    found = read_json_if_there(run.evaluating_path)
    if found is None:
        return []
    if "failed" in found:
        return ["evaluation failed: see after.log"]
    process = Identity.from_json(found.get("process"))
    return ["evaluating"] if process is not None and (process.alive() or not process.here) else []


def _look(run: RunDir, state: State, owner: Identity | None) -> tuple[State, list[str]]:
    """Hold a state that is not terminal against its supervisor."""
    if isinstance(state, Queued) and (job := slurm_job(run)) is not None and not (owner and owner.alive()):
        return state, [f"Slurm job {job.name}"]  # whose supervisor was there before has handed it back
    if owner is None:
        return state, (["not started"] if isinstance(state, Queued) else [])
    if not owner.here:
        note = f"unreachable: {owner.host}" if _still(run, UNREACHABLE_SECONDS) else f"on {owner.host}"
        return state, [note]
    if owner.alive():
        if isinstance(state, Queued):
            return state, _waiting(run)
        age = _silence(run.latest())
        return state, [f"stalled: no beat for {age:.0f} s"] if age and age > STALL_SECONDS else []
    state = read_state(run)  # it may have ended between the two looks
    return (state, []) if state.terminal else _without_supervisor(run, state, owner)


def _waiting(run: RunDir) -> list[str]:
    """Say why a run waits, and where in the queue; right after a launch its devices may be free."""
    device = run.spec().device
    taken = sum(map(held, device.candidates))
    short = len(device.candidates) - taken < device.count
    return [*([f"waiting for a device ({taken} in use)"] if short else []), *queue_notes(run)]


def _still(run: RunDir, seconds: float) -> bool:
    age = _beat_age(run.latest())
    return age is not None and age > seconds


def _silence(attempt: AttemptDir | None) -> float | None:
    """Return how many seconds the supervisor, which is on this host, has been silent; None before its first beat.

    A beat is the count of seconds since the attempt's zero, by a clock that nobody sets: neither an hour's jump of the
    wall clock nor a night in which the machine slept makes a run seem stalled.
    """
    try:
        zero = (attempt.worker() or {}).get("zero") if attempt else None
        if attempt is None or not isinstance(zero, float):
            return _beat_age(attempt)
        return time.monotonic() - zero - int(attempt.beat_path.read_text()) + 1.0
    except (OSError, ValueError):
        return _beat_age(attempt)


def _beat_age(attempt: AttemptDir | None) -> float | None:
    """Return the seconds since the last beat, None where there was none."""
    try:
        return time.time() - attempt.beat_path.stat().st_mtime if attempt else None
    except OSError:
        return None


def _without_supervisor(run: RunDir, state: State, owner: Identity) -> tuple[State, list[str]]:
    """Find out what became of a run whose supervisor is gone: from what was written, never by guessing."""
    number = getattr(state, "attempt", None)
    if number is None:
        return Lost(state.at, None, "its supervisor was gone before it started"), []
    attempt = run.attempt(number)
    if worker_lives(attempt):
        return state, ["orphaned"]
    ended = attempt.exit()
    if ended is not None:
        said = state_of({**ended, "at": state.at, "attempt": number})
        if said is not None:
            return said, []
    return _by_own_account(attempt, state.at) or _lost(state, number, owner), []


def worker_lives(attempt: AttemptDir) -> bool:
    """Tell whether an attempt's worker runs on this host."""
    found = attempt.worker()
    if found is None:  # the supervisor died before it could write whom it started
        return bool(tagged(attempt.run.path.resolve()))
    worker = Identity.from_json(found)
    return worker is not None and worker.alive()


def _by_own_account(attempt: AttemptDir, at: str) -> State | None:
    done: dict[str, Any] = attempt.done() or {}
    outcome, number = done.get("outcome"), attempt.number
    if outcome == "finished":
        return Finished(at, number)
    if outcome == "stopped":
        return Stopped(at, number, "it saved and ended while its supervisor was gone")
    return Failed(at, number, None, done.get("message")) if outcome == "failed" else None


def _lost(state: State, number: int, owner: Identity) -> Lost:
    restarted = "the machine was restarted"
    return Lost(state.at, number, restarted if owner.rebooted else "nobody saw it end")


def request(run: RunDir, what: str) -> None:
    """Ask a run to "stop" (save, then end) or to be "kill"ed. Raises RunError where there is nothing to ask."""
    if what not in (STOP, KILL):
        raise UsageError(f"{what!r} is no request; {STOP!r} and {KILL!r} are.")
    refuse_copy(run.experiment_dir, what, f"{run.experiment_dir.name}/{run.name}")
    now = status(run)
    if now.state.terminal and not (what == KILL and "evaluating" in now.notes):
        raise RunError(f"The run has ended already: {now.state.word}.", where=str(run.path))
    check_owner(run)
    if "orphaned" in now.notes:
        return _ask_worker(run, now.attempt or 1, what)
    put(run, what)
    return None


def check_owner(run: RunDir) -> None:
    """Raise RunError where the run is another user's, who alone may ask something of it."""
    owner = run.path.stat().st_uid
    if os.getuid() not in (0, owner):
        hint = f"ask {user_name(owner)} to do it"
        raise RunError(f"The run belongs to {user_name(owner)}.", where=str(run.path), hint=hint)


def put(run: RunDir, what: str) -> None:
    """Lay a request into the run's control/, where its supervisor, or the next one, finds it. Raises RunError."""
    by = {"by": f"{platform.node()}:{os.getpid()}", "uid": os.getuid()}
    write_json(run.control_dir / what, by)


def _ask_worker(run: RunDir, number: int, what: str) -> None:
    """Ask a worker without a supervisor directly."""
    worker = Identity.from_json(run.attempt(number).worker())
    if worker is None or not worker.signal(signal.SIGTERM if what == STOP else signal.SIGKILL):
        raise RunError("Its worker cannot be reached.", where=str(run.path), hint="detui ls shows its state")


def wait(
    runs: Sequence[RunDir],
    timeout: float | None = None,
    *,
    evaluated: bool = False,
    seen: Callable[[Sequence[RunStatus]], None] | None = None,
    period: float = 0.2,
) -> list[RunStatus]:
    """Wait until every run has ended, or `timeout` seconds; return what each does then.

    `evaluated`: wait for the last evaluation, too. `seen` is called after each look.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        found = [status(run) for run in runs]
        if seen is not None:
            seen(found)
        over = all(_over(run, one, evaluated) for run, one in zip(runs, found, strict=True))
        if over or (deadline is not None and time.monotonic() >= deadline):
            return found
        time.sleep(period)


def _over(run: RunDir, found: RunStatus, evaluated: bool) -> bool:
    if not found.state.terminal:
        return run.pulled() is not None  # nothing will come of it here
    return not evaluated or not supervised(run)


def supervised(run: RunDir) -> bool:
    """Tell whether a supervisor on this host is at work for the run, if only at its last evaluation."""
    owner = Identity.from_json(run.owner())
    return owner is not None and owner.alive() and run.pulled() is None


def runs_below(path: Path) -> list[RunDir]:
    """Return the runs of an experiment's directory, by name."""
    folder = path / "runs"
    return [RunDir(found) for found in sorted(folder.iterdir())] if folder.is_dir() else []
