"""Asking something of a run that was given to Slurm: that it stops, ends at once, or goes on in another job."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import fields
from datetime import datetime, timedelta

from detui.engine.errors import DetuiError, RunError, UsageError
from detui.engine.executor.slurm.queue import OVER, WAITING, on, reading
from detui.engine.executor.slurm.submit import submit
from detui.engine.process.control import RunStatus, check_owner, put
from detui.engine.process.requests import KILL, STOP
from detui.engine.process.slurm import call
from detui.engine.run.directory import RunDir
from detui.engine.run.slurm import SlurmJob
from detui.engine.run.state import Finished, State, read_state
from detui.engine.slurm_options import SlurmOptions

_APART = 3
"""Seconds from such a try to the start that it asks for."""

_SOON = timedelta(seconds=15)
"""So near a start is left as it is."""

NUDGE = 5.0
"""Seconds between two tries to have a requeued job started at once."""

_CANCEL = 5.0
"""Seconds to wait until a job that was cancelled in the queue is over."""

_SERVED = 3.0
"""Seconds that a supervisor has to serve a kill before its job is cancelled."""

_nudged: dict[str, float] = {}


def ask(run: RunDir, job: SlurmJob, now: RunStatus, what: str) -> None:
    """Ask a run to "stop" or to be "kill"ed. Raises RunError where it has ended, or is another user's.

    One that waits in Slurm's queue is taken out of it. One that trains is asked through its control/; a kill that is
    not served soon cancels the job, which reaches a node whose file system shows the request late. Where Slurm does not
    answer, the request lies there all the same, and whoever starts the run finds it.
    """
    if now.state.terminal:
        raise RunError(f"The run has ended already: {now.state.word}.", where=str(run.path))
    check_owner(run)
    put(run, what)
    # A job that is preempted while it stops must not come back.
    with suppress(DetuiError):
        call("scontrol", *on(job.cluster), "update", f"JobId={job.name}", "Requeue=0")
    listed = reading(job.cluster, fresh=True).jobs.get(job.name)
    if listed is not None and listed.state in WAITING:
        _take_out(run, job, what)
    elif listed is not None and what == KILL and not _ends(run):
        _cancel(job)


def _ends(run: RunDir) -> bool:
    """Give the supervisor a moment to serve a kill: to cancel its job could cut off what it writes of the end."""
    deadline = time.monotonic() + _SERVED
    while time.monotonic() < deadline:
        if read_state(run).terminal:
            return True
        time.sleep(0.1)
    return False


def _take_out(run: RunDir, job: SlurmJob, what: str) -> None:
    """Cancel a job unless it starts just now, and say that the run has ended."""
    _cancel(job, "--state=PENDING")
    deadline = time.monotonic() + _CANCEL
    while time.monotonic() < deadline:
        listed = reading(job.cluster, fresh=True).jobs.get(job.name)
        if listed is None or listed.state in OVER:
            state = read_state(run)
            if not state.terminal:
                word, again = ("killed" if what == KILL else "stopped"), run.latest() is not None
                reason = (
                    f"on request, before it {'went on' if again else 'started'}: Slurm's job {job.name} is cancelled"
                )
                run.append_event(word, attempt=None, reason=reason)
            for name in (STOP, KILL):
                (run.control_dir / name).unlink(missing_ok=True)
            return
        if listed.state not in WAITING:  # its supervisor finds the request
            return
        time.sleep(0.1)


def _cancel(job: SlurmJob, *words: str) -> None:
    with suppress(DetuiError):  # what lies in control/ holds all the same
        call("scancel", *on(job.cluster), *words, job.name)


def resubmit(
    run: RunDir, job: SlurmJob, now: RunStatus, options: SlurmOptions | None = None, *, fresh: bool = False
) -> SlurmJob:
    """Give a run that has ended to Slurm again, with the options that it had, `options` over them.

    It goes on from its last checkpoint, or with `fresh` from the beginning. Raises RunError where it may not, or where
    Slurm refuses it, and UsageError for another number of nodes: then it is what it was.
    """
    if not now.state.terminal:
        hint = f"detui tail {run.name} shows what it does, detui stop {run.name} ends it"
        raise RunError(f"The run has not ended: {now.state.word}.", where=str(run.path), hint=hint)
    if isinstance(now.state, Finished):
        raise RunError("The run has finished: there is nothing to resume.", where=str(run.path))
    check_owner(run)
    kept = SlurmOptions.from_json(job.options)
    asked = options.over(kept) if options else kept
    _check_nodes(run, asked)
    for name in (STOP, KILL):
        (run.control_dir / name).unlink(missing_ok=True)
    if not read_state(run).terminal:  # nobody was left to write it
        _write_down(run, now.state)
    run.append_event("queued")
    try:
        # The job before may still evaluate, and has the run as long as it does.
        listed = reading(job.cluster, fresh=True).jobs.get(job.name)
        before = job if listed is not None and listed.state not in OVER else None
        (made,) = submit([run], asked, fresh=fresh, after=before)
    except DetuiError:
        _write_down(run, now.state)
        raise
    reading(made.cluster, fresh=True)
    return made


def _check_nodes(run: RunDir, options: SlurmOptions) -> None:
    """Raise UsageError for a number of nodes that the run does not have: it goes on with as many devices as before."""
    began, asked = run.spec().nodes, options.nodes or 1
    if began != asked:
        text = f"The run has {began} node{'s' if began > 1 else ''}, and goes on with as many: {asked} were asked for."
        hint = f"detui branch {run.name} goes on from its checkpoint with others"
        raise UsageError(text, where="--slurm nodes", hint=hint)


def _write_down(run: RunDir, state: State) -> None:
    run.append_event(state.word, **{one.name: getattr(state, one.name) for one in fields(state) if one.name != "at"})


def hasten(job: SlurmJob, starts: datetime | None) -> None:
    """Have a job that was requeued started as soon as there is room: Slurm makes such a job wait two minutes.

    Not at once. A node that has just ended the job's former start refuses a new one within the same second ("Job
    credential revoked"), and then Slurm gives the job up. `starts`: when Slurm means to start it, by this machine's
    clock; where that is soon, asking again would only put it off.
    """
    if starts is not None and starts - datetime.now() < _SOON:
        return
    if time.monotonic() - _nudged.get(job.name, -NUDGE) < NUDGE:
        return
    _nudged[job.name] = time.monotonic()
    with suppress(DetuiError):  # then it waits
        call("scontrol", *on(job.cluster), "update", f"JobId={job.name}", f"StartTime=now+{_APART}")
