"""Asking runs to stop, to end at once, or to go on. For the commands and for the application."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from detui.engine.errors import DetuiError, RunError
from detui.engine.run.directory import RunDir
from detui.tui.glance import read_status
from detui.tui.language import tr

if TYPE_CHECKING:
    from detui.engine.slurm_options import SlurmOptions


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking one run."""

    run: RunDir
    done: bool
    text: str
    """In words, without the run's name."""


def ask(runs: Iterable[RunDir], what: str) -> list[Answer]:
    """Put a request ("stop" or "kill") to every run that has not ended. One that cannot be asked stops no other."""
    return [_guarded(_ask, run, what) for run in runs]


def _guarded(action: Callable[..., Answer], run: RunDir, *arguments: str) -> Answer:
    try:
        return action(run, *arguments)
    except DetuiError as error:
        return Answer(run, False, tr("was not asked: {problem}", problem=error.message))


def _ask(run: RunDir, what: str) -> Answer:
    from detui.engine.executor.runs import request

    if (refusal := elsewhere(run, what)) is not None:
        return Answer(run, False, refusal)
    state, _ = read_status(run)
    if state.terminal:
        return Answer(run, False, tr("has ended already: {state}", state=tr(state.word)))
    lost = _words(run)  # before the request, which may be served at once
    request(run, what)
    if what == "kill":
        return Answer(run, True, tr("is being killed"))
    if run.attempts():
        return Answer(run, True, tr("will save a checkpoint and end; {lost}", lost=lost))
    return Answer(run, True, tr("will not start; {lost}", lost=lost))


def elsewhere(run: RunDir, what: str) -> str | None:
    """Return where the command `what` is to be given for a copy of another host's run; None of a run of this host."""
    copy = run.pulled()
    if copy is None:
        return None
    command = copy.command(what, f"{run.experiment_dir.name}/{run.name}")
    return tr("is a copy of a run on {host}; work there: {command}", host=copy.host, command=command)


def resume(runs: Iterable[RunDir], slurm: SlurmOptions | None = None) -> list[Answer]:
    """Start a new attempt of every run that ended before it had finished. `slurm`: other options for its job."""
    return [_guarded(partial(_resume, slurm=slurm), run) for run in runs]


def retry(runs: Iterable[RunDir], *, fresh: bool = False, slurm: SlurmOptions | None = None) -> list[Answer]:
    """Start a new attempt of every run that ended by an accident; what finished or was ended on request stays.

    `fresh`: from the beginning, not from the last checkpoint. `slurm`: other options for its job.
    """
    return [_guarded(partial(_retry_fresh if fresh else _retry, slurm=slurm), run) for run in runs]


def _retry(run: RunDir, slurm: SlurmOptions | None) -> Answer:
    refusal = not_retried(run)
    return Answer(run, False, refusal) if refusal is not None else _resume(run, slurm)


def _retry_fresh(run: RunDir, slurm: SlurmOptions | None) -> Answer:
    from detui.engine.executor.runs import go_on

    if (refusal := not_retried(run)) is not None:
        return Answer(run, False, refusal)
    go_on(run, fresh=True, slurm=slurm)
    return Answer(run, True, tr("begins again in a new attempt"))


ACCIDENTS = ("failed", "crashed", "oom", "lost")
"""The states that nobody asked for."""


def not_retried(run: RunDir) -> str | None:
    """Return why a run is not to be repeated, None where it ended by an accident."""
    if (refusal := elsewhere(run, "retry")) is not None:
        return refusal
    state, _ = read_status(run)
    if not state.terminal:
        return tr("has not ended: {state}", state=tr(state.word))
    if run.imported() is not None:
        return tr("was imported: only the tool that trained it can go on")
    if state.word == "finished":
        return tr("is finished")
    if state.word in ACCIDENTS:
        return None
    return tr("was ended on request: {state}; detui resume continues it", state=tr(state.word))


def _resume(run: RunDir, slurm: SlurmOptions | None) -> Answer:
    from detui.engine.executor.runs import go_on
    from detui.engine.process.checkpoints import find_start

    if (refusal := not_resumable(run)) is not None:
        return Answer(run, False, refusal)
    warnings = [find_start(run).warning]
    if read_status(run)[0].word == "oom":
        warnings.append(
            tr("and may run out of memory again: in an experiment of its own a smaller batch would need less")
        )
    try:
        go_on(run, slurm=slurm)
    except RunError as error:
        return Answer(run, False, error.message)
    return Answer(run, True, ", ".join([tr("goes on in a new attempt"), *filter(None, warnings)]))


def not_resumable(run: RunDir) -> str | None:
    """Return why a run cannot be resumed, None where it can."""
    if (refusal := elsewhere(run, "resume")) is not None:
        return refusal
    state, _ = read_status(run)
    if not state.terminal:
        return tr("has not ended: {state}", state=tr(state.word))
    if run.imported() is not None:
        return tr("was imported: only the tool that trained it can go on")
    return tr("is finished") if state.word == "finished" else None


def what_is_lost(run: RunDir) -> str:
    """Return what resuming a run repeats: what its backend says, or all of it where it has no checkpoint."""
    from detui.engine.backends import backend
    from detui.engine.process.checkpoints import find_start

    ended = read_status(run)[0].terminal
    if find_start(run).resume is not None:
        repeated = tr(backend(run.spec().backend).resume_grain)
        return repeated if ended else tr("on resume {repeated}", repeated=repeated)
    if not run.attempts():
        return tr("it has not started, and nothing is lost")
    if ended:
        return tr("it has no checkpoint: a resume begins again")
    return tr("it has no checkpoint yet: unless it saves one now, a resume begins again")


def _words(run: RunDir) -> str:
    try:
        return what_is_lost(run)
    except DetuiError as error:  # what cannot be told must not hinder what is asked
        return error.message


def losses(runs: Sequence[RunDir]) -> str:
    """Return what resuming each of several runs repeats, as one line for each thing that is to be said."""
    names: dict[str, list[str]] = {}
    for run in runs:
        names.setdefault(_words(run), []).append(run.name)
    if len(names) == 1:
        return _sentence(next(iter(names)))
    return "\n".join(f"{', '.join(found)}: {tr('{text}.', text=text)}" for text, found in names.items())


def _sentence(text: str) -> str:
    return tr("{text}.", text=f"{text[:1].upper()}{text[1:]}")
