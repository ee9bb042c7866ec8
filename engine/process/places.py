"""Looking at, and asking for, places in the queue: for people and for whatever shows them the runs."""

from __future__ import annotations

import os
from itertools import pairwise

from detui.engine.errors import RunError
from detui.engine.process.queue import Queue, before, move, run_mark, ticket_name
from detui.engine.run.directory import RunDir
from detui.engine.run.files import read_json_if_there, write_json

HOLD = "hold"
"""File in a run's control/ that makes it let others pass."""

REASON = "waiting.json"
"""File of a waiting run that says what strangers do to its wait; absent where nothing is to be said."""

_reading = Queue()


def position(run: RunDir) -> int | None:
    """Return how many stand before a waiting run, among those that want a device that it wants; None: it is not there.

    Tickets of dead supervisors are removed on the way.
    """
    mark = run_mark(run)
    waiters = _reading.recent()
    own = next((one for one in waiters if one.key.startswith(mark)), None)
    return None if own is None else len(before(own.key, waiters))


def queue_notes(run: RunDir) -> list[str]:
    """Return what is to be known of a waiting run: that it is held, why it waits, and its place."""
    if (run.control_dir / HOLD).exists():
        return ["held"]  # it keeps its place and lets others pass: it stands in no order until it is released
    notes = []
    reason = (read_json_if_there(run.path / REASON) or {}).get("reason")
    notes += [f"waiting: {reason}"] if reason else []
    ahead = position(run)
    return notes + ([f"{_ordinal(ahead + 1)} in the queue"] if ahead else [])


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def hold(run: RunDir) -> bool:
    """Let a waiting run keep its place and others pass; return whether it was not held already.

    Raises RunError where the run does not wait.
    """
    if position(run) is None:
        raise _waits_not(run)
    path = run.control_dir / HOLD
    known = path.exists()
    write_json(path, {"uid": os.getuid()})
    return not known


def release(run: RunDir) -> bool:
    """Let a held run take part again; return whether it was held. Raises RunError where it does not wait."""
    if position(run) is None:
        raise _waits_not(run)
    path = run.control_dir / HOLD
    known = path.exists()
    path.unlink(missing_ok=True)
    return known


def _waits_not(run: RunDir) -> RunError:
    return RunError("The run does not wait in the queue of this machine.", where=str(run.path), hint="detui ls")


def front(run: RunDir) -> bool:
    """Move a waiting run before all others of its user; return whether it was not there already.

    The places stay the user's: each of the runs in between takes the next one's, so nobody else is overtaken.
    Raises RunError where the run does not wait, or is another user's.
    """
    waiters, mark = Queue().waiters(), run_mark(run)
    own = next((one for one in waiters if one.key.startswith(mark)), None)
    if own is None:
        raise _waits_not(run)
    mine = [one for one in waiters if one.want.user == own.want.user]
    moved = mine[: mine.index(own) + 1]
    # Backwards first: at no moment does one of them stand before a stranger without right.
    for one, to in [*pairwise(moved)][::-1]:
        move(one.name, ticket_name(to.place, one.key, one.held))
    move(own.name, ticket_name(moved[0].place, own.key, own.held))
    return len(moved) > 1
