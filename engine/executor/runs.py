"""What a run does, and asking something of it, wherever its supervisor is: here, or in a job of Slurm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detui.engine.process import control
from detui.engine.process.control import RunStatus
from detui.engine.run.directory import RunDir
from detui.engine.run.slurm import slurm_job
from detui.engine.run.state import Queued, read_state

if TYPE_CHECKING:
    from detui.engine.slurm_options import SlurmOptions


def look(run: RunDir) -> RunStatus:
    """Return what a run does now; a job that Slurm requeued is hastened on the way."""
    found = control.status(run)
    job = slurm_job(run)
    if job is None or read_state(run).terminal:
        return found
    from detui.engine.executor.slurm.look import join
    from detui.engine.executor.slurm.queue import reading_with
    from detui.engine.executor.slurm.requests import hasten

    queue = reading_with(job)
    seen = join(run, found, job, queue)
    listed = queue.jobs.get(job.name)
    # Slurm's scheduler may not have looked at it yet: then no reason is given.
    if listed is None or listed.state != "PENDING" or listed.reason not in ("BeginTime", ""):
        return seen
    if isinstance(seen.state, Queued) and run.latest() is not None:
        hasten(job, listed.starts)
    return seen


def busy(run: RunDir) -> bool:
    """Whether something of a run still goes on: it trains, or its last evaluation or its hooks run."""
    if not look(run).state.terminal or control.supervised(run):
        return True
    job = slurm_job(run)
    if job is None:
        return False
    from detui.engine.executor.slurm.queue import OVER, reading_with

    listed = reading_with(job).jobs.get(job.name)
    return listed is not None and listed.state not in OVER


def request(run: RunDir, what: str) -> None:
    """Ask a run to "stop" or to be "kill"ed. Raises RunError where there is nothing to ask."""
    job = slurm_job(run)
    now = look(run)
    if job is None or "orphaned" in now.notes or read_state(run).terminal:
        control.request(run, what)
        return
    from detui.engine.executor.slurm.requests import ask

    ask(run, job, now, what)


def go_on(run: RunDir, *, fresh: bool = False, slurm: SlurmOptions | None = None) -> None:
    """Start a new attempt of a run that has ended, where it ran before: here, or in another job of Slurm.

    `fresh`: from the beginning instead of from its last checkpoint. `slurm`: other options for its job. Raises
    UsageError where a run of this machine is given such options, RunError where the run cannot go on.
    """
    job = slurm_job(run)
    if job is not None:
        from detui.engine.executor.slurm.requests import resubmit

        resubmit(run, job, look(run), slurm, fresh=fresh)
        return
    if slurm is not None:
        from detui.engine.errors import UsageError

        raise UsageError("The run was not given to Slurm.", where=str(run.path), hint="resume it without --slurm")
    from detui.engine.process.launch import launch

    launch(run, resume=True, fresh=fresh)
