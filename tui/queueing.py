"""Asking things of the queue: hold, release, front, earlier, later. For the commands and for the application."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from detui.engine.errors import DetuiError
from detui.engine.run.directory import RunDir
from detui.tui.control import Answer, elsewhere
from detui.tui.language import tr


def hold(runs: Iterable[RunDir]) -> list[Answer]:
    """Let others pass the runs that wait. One that does not wait hinders no other."""
    from detui.engine.process import places

    return _each("hold", runs, places.hold, tr("is held: it keeps its place, and others pass"), tr("is held already"))


def release(runs: Iterable[RunDir]) -> list[Answer]:
    """Let held runs take part again."""
    from detui.engine.process import places

    return _each("release", runs, places.release, tr("takes part in the queue again"), tr("is not held"))


def front(runs: Iterable[RunDir]) -> list[Answer]:
    """Move runs before all others of their user that wait; several keep the order in which they are given."""
    from detui.engine.process import places

    moved = tr("stands before the other runs of its user")
    return _each("front", [*runs][::-1], places.front, moved, tr("stands before the others already"))[::-1]


def earlier(runs: Iterable[RunDir]) -> list[Answer]:
    """Move runs one place forward among the waiting runs of their user; several keep their order."""
    from detui.engine.process import places

    known = tr("stands before the others already")
    return _each("front", places.in_order(runs), _passing(places.earlier), tr("stands one place earlier"), known)


def later(runs: Iterable[RunDir]) -> list[Answer]:
    """Move runs one place back among the waiting runs of their user; several keep their order."""
    from detui.engine.process import places

    known, waiting = tr("stands behind the others already"), places.in_order(runs)[::-1]
    return _each("front", waiting, _passing(places.later), tr("stands one place later"), known)[::-1]


def _passing(step: Callable[[RunDir, Collection[RunDir]], bool]) -> Callable[[RunDir], bool]:
    """Return a step for several runs in turn: none passes one of them that could not go on."""
    stuck: list[RunDir] = []

    def move(run: RunDir) -> bool:
        moved = step(run, stuck)
        if not moved:
            stuck.append(run)
        return moved

    return move


def _each(
    command: str, runs: Iterable[RunDir], action: Callable[[RunDir], bool], done: str, known: str
) -> list[Answer]:
    """`command`: what to give instead on the host of a run that is a copy here."""
    found = []
    for run in runs:
        if copy := elsewhere(run, command):
            found.append(Answer(run, False, copy))
            continue
        try:
            changed = action(run)
        except DetuiError as error:
            found.append(Answer(run, False, tr("was not asked: {problem}", problem=error.message)))
        else:
            found.append(Answer(run, True, done if changed else known))
    return found


ACTIONS = {"hold": hold, "release": release, "front": front, "earlier": earlier, "later": later}
"""What may be asked of the queue, by the word for it."""
