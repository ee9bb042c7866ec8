"""Looking at, and asking for, places in the queue: for people and for whatever shows them the runs."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from detui.engine.errors import DetuiError, RunError
from detui.engine.process.queue import Queue, Waiter, before, move, run_mark, ticket_name
from detui.engine.run.directory import RunDir
from detui.engine.run.files import read_json_if_there, write_json

HOLD = "hold"
"""File in a run's control/ that makes it let others pass."""

REASON = "waiting.json"
"""File of a waiting run that says what strangers do to its wait; absent where nothing is to be said."""

_reading = Queue()


@dataclass(frozen=True, slots=True)
class Standing:
    """A waiting run, as the queue is shown to people."""

    waiter: Waiter
    ahead: int
    """How many stand before it that are not held and want a device that it wants."""
    held: bool
    """Whether it lets others pass, or was asked to a moment ago."""
    seconds: float
    """How long it waits, wherever it was moved since."""
    reason: str
    """What strangers do to its wait; "" where nothing is to be said."""


def standings(queue: Queue) -> list[Standing]:
    """Return who waits on this machine, of all users, in order. `queue`: the reader's own, one for each thread."""
    waiters = queue.recent()
    return [_standing(one, waiters) for one in waiters]


def _standing(one: Waiter, waiters: list[Waiter]) -> Standing:
    run = RunDir(Path(one.want.run))
    try:
        held = one.held or (run.control_dir / HOLD).exists()
        reason = str((read_json_if_there(run.path / REASON) or {}).get("reason") or "")
    except (OSError, DetuiError):  # another user's, where only the ticket is to be read
        held, reason = one.held, ""
    seconds = max(0.0, (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - _entered(one)) / 1e9)
    return Standing(one, len(before(one.key, waiters)), held, seconds, reason)


def _entered(one: Waiter) -> int:
    """Return the moment at which a ticket was made: its key keeps it, while its place changes when it is moved."""
    try:
        return int(one.key.rpartition("-")[2], 16)
    except ValueError:  # another program's, or another version's
        return one.place


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
    mine, at = _mine(run)
    moved = mine[: at + 1]
    # Backwards first: at no moment does one of them stand before a stranger without right.
    for one, to in [*pairwise(moved)][::-1]:
        _put(one, to.place)
    _put(moved[-1], moved[0].place)
    return len(moved) > 1


def earlier(run: RunDir, fixed: Collection[RunDir] = ()) -> bool:
    """Move a waiting run one place forward among the waiting runs of its user; return whether one stood before it.

    The two exchange places, so nobody else is overtaken. `fixed`: runs that it does not pass. Raises RunError where
    the run does not wait, or is another user's.
    """
    return _exchange(run, -1, fixed)


def later(run: RunDir, fixed: Collection[RunDir] = ()) -> bool:
    """Move a waiting run one place back among the waiting runs of its user; return whether one stood behind it.

    `fixed`: runs that it does not pass. Raises RunError as `earlier` does.
    """
    return _exchange(run, 1, fixed)


def in_order(runs: Iterable[RunDir]) -> list[RunDir]:
    """Return runs in the order in which they wait; those that do not wait come last."""
    marks = [one.key.rpartition("-")[0] for one in Queue().waiters()]
    places = {mark: index for index, mark in enumerate(marks)}
    return sorted(runs, key=lambda run: places.get(run_mark(run), len(places)))


def _exchange(run: RunDir, by: int, fixed: Collection[RunDir]) -> bool:
    mine, at = _mine(run)
    if not 0 <= at + by < len(mine) or mine[at + by].key.startswith(tuple(map(run_mark, fixed))):
        return False
    first, second = mine[min(at, at + by)], mine[max(at, at + by)]
    _put(first, second.place)
    _put(second, first.place)
    return True


def _mine(run: RunDir) -> tuple[list[Waiter], int]:
    """Return the waiting runs of a run's user in order, and the index of this one. Raises RunError."""
    waiters, mark = Queue().waiters(), run_mark(run)
    own = next((one for one in waiters if one.key.startswith(mark)), None)
    if own is None:
        raise _waits_not(run)
    mine = [one for one in waiters if one.want.user == own.want.user]
    return mine, mine.index(own)


def _put(waiter: Waiter, place: int) -> None:
    """Give a ticket another place, whatever its file is called: one that is frozen counts as held and is not."""
    for held in (waiter.held, not waiter.held):
        move(ticket_name(waiter.place, waiter.key, held), ticket_name(place, waiter.key, held))
