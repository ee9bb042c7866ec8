"""Asking runs to stop, to end at once, or to go on. For the commands and for the application."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from detui.engine.run.directory import RunDir
from detui.tui.glance import read_status


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking one run."""

    run: RunDir
    done: bool
    text: str
    """In words, without the run's name."""


def ask(runs: Iterable[RunDir], what: str) -> list[Answer]:
    """Put a request ("stop" or "kill") to every run that has not ended."""
    return [_ask(run, what) for run in runs]


def _ask(run: RunDir, what: str) -> Answer:
    from detui.engine.process.control import request

    state, _ = read_status(run)
    if state.terminal:
        return Answer(run, False, f"has ended already: {state.word}")
    request(run, what)
    return Answer(run, True, "will save a checkpoint and end" if what == "stop" else "is being killed")


def resume(runs: Iterable[RunDir]) -> list[Answer]:
    """Start a new attempt of every run that ended before it had finished."""
    return [_resume(run) for run in runs]


def _resume(run: RunDir) -> Answer:
    from detui.engine.errors import RunError
    from detui.engine.process.launch import launch

    if (refusal := not_resumable(run)) is not None:
        return Answer(run, False, refusal)
    try:
        launch(run, resume=True)
    except RunError as error:
        return Answer(run, False, error.message)
    return Answer(run, True, "goes on in a new attempt")


def not_resumable(run: RunDir) -> str | None:
    """Return why a run cannot be resumed, None where it can."""
    state, _ = read_status(run)
    if not state.terminal:
        return f"has not ended: {state.word}"
    return "is finished" if state.word == "finished" else None


def what_is_lost(run: RunDir) -> str:
    """Return what resuming a run repeats, in the words of its backend."""
    from detui.engine.backends import backend

    return backend(run.spec().backend).resume_grain
