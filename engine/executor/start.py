"""Starting all runs of an experiment, here or in Slurm: afterwards each has a supervisor or a job, or says why not."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from detui.engine.errors import MissingError, RunError
from detui.engine.executor.runs import request
from detui.engine.process.control import supervised
from detui.engine.run.directory import RunDir
from detui.engine.run.slurm import slurm_job
from detui.engine.slurm_options import SlurmOptions


def check_slurm() -> None:
    """Raise MissingError where Slurm's programs are not here: before anything is made."""
    if shutil.which("sbatch") is None:
        hint = "launch from a machine of the cluster that has them, or leave out --executor slurm"
        raise MissingError("Slurm's programs are not here: there is no sbatch.", where="--executor", hint=hint)


def start(runs: Sequence[RunDir], interrupted: Callable[[], bool], slurm: SlurmOptions | None) -> None:
    """Start the supervisors of new runs, or submit their jobs where `slurm` says how, unless `interrupted` by then.

    When one cannot be started, the events of every run that has none say so. Raises RunError or MissingError then.
    """
    if slurm is not None:
        from detui.engine.executor.slurm.submit import submit as submit_jobs

        if not interrupted():
            _start_or_say(runs, lambda: submit_jobs(runs, slurm))
        return
    from detui.engine.executor.local import submit

    for index, run in enumerate(runs):
        if interrupted():
            return
        _start_or_say(runs[index:], partial(submit, [run]))


def _start_or_say(left: Sequence[RunDir], begin: Callable[[], object]) -> None:
    """Begin; when that fails, say in the events of all runs that are left that they never had a supervisor."""
    try:
        begin()
    except (RunError, MissingError) as error:
        for run in left:
            run.append_event("failed", attempt=None, code=None, reason=f"not started: {error.message}")
        raise


def call_off(runs: Sequence[RunDir]) -> None:
    """Stop the runs that have a supervisor or a job, and say of the others that they never got one."""
    for run in runs:
        if supervised(run) or slurm_job(run) is not None:
            with suppress(RunError):  # it has ended meanwhile
                request(run, "stop")
        elif run.owner() is None:  # otherwise it had one, and has ended
            run.append_event("failed", attempt=None, code=None, reason="not started: interrupted")
