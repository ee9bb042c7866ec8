"""The queue of this node: one ticket a waiting run, in a directory that all users share.

A ticket is a file that its supervisor holds locked, so that one whose supervisor
died counts no more. Its name says the place and whether the run is held back;
its content, which never changes, says what the run needs. Places are moments of
the clock that all processes of a node share, so nobody has to give them out.

First come, first served: going through the tickets in order, each takes what it
would be given out of what is free, and a later one may only have what is left.
A run that needs several devices so gathers them, however many small ones follow.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detui.engine.devices.processes import process_stat
from detui.engine.errors import RunError
from detui.engine.process.lease import lease_directory, named_directory, refused, run_resource, shared_directory
from detui.engine.run.directory import RunDir
from detui.engine.run.files import encode
from detui.engine.run.locks import taken
from detui.engine.run.spec import DeviceRequest

_WAITS, _HELD = ".ticket", ".held"
_CLOCK = time.CLOCK_BOOTTIME

_GRAIN = 20_000_000
"""Nanoseconds that the time stamps of a file system may lag behind."""


@dataclass(frozen=True, slots=True)
class Want:
    """What a ticket asks for."""

    run: str
    """The run's directory."""
    user: int
    """The uid that owns the ticket's file."""
    pid: int
    request: DeviceRequest


@dataclass(frozen=True, slots=True)
class Waiter:
    """A waiting run, as everybody sees it."""

    place: int
    """Earlier is smaller; a moment in nanoseconds since the boot."""
    key: str
    """Names the ticket, wherever it moves."""
    held: bool
    """Whether it keeps its place and reserves nothing."""
    want: Want

    @property
    def name(self) -> str:
        """Name of the ticket's file."""
        return ticket_name(self.place, self.key, self.held)


@dataclass(slots=True)
class Ticket:
    """The place of this process's run; ends with `leave`, or with the process."""

    key: str
    descriptor: int

    def set_held(self, held: bool) -> None:
        """Hold the run back, or let it take part again. Its place stays."""
        found = self._find()
        if found is not None and found.endswith(_HELD) is not held:
            place, _ = _parts(found)
            move(found, ticket_name(place, self.key, held))

    def gone(self) -> bool:
        """Whether somebody removed the file: then nobody sees that the run waits."""
        return self._find() is None

    def leave(self) -> None:
        """Give the place up."""
        found = self._find()
        if found is not None:
            (_directory() / found).unlink(missing_ok=True)
        os.close(self.descriptor)

    def _find(self) -> str | None:
        """The name that the file has now: moving to the front renames it."""
        return next((name for name in _names() if _parts(name)[1] == self.key), None)


def enter(run: RunDir, request: DeviceRequest) -> Ticket:
    """Take the last place in the queue for a run of this process. Raises RunError where that cannot be written."""
    folder = shared_directory(lease_directory() / "queue")
    place, mark = time.clock_gettime_ns(_CLOCK), run_mark(run)
    for name in _names():  # one of this run is dead: a run has one supervisor, and that is this process
        if _parts(name)[1].startswith(mark):
            _discard(folder / name)
    key = f"{mark}-{place:x}"
    content = {
        "schema": 1,
        "run": str(run.path),
        "pid": os.getpid(),
        "time": time.time(),
        "count": request.count,
        "candidates": request.candidates,
        "named": request.named,
        "min_free_memory": request.min_free_memory,
    }
    made = folder / f".{key}"
    try:
        descriptor = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        os.fchmod(descriptor, 0o644)  # whatever the umask: other users must be able to read it
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(descriptor, encode(content))
        made.rename(folder / ticket_name(place, key, False))  # only now do others see it, whole and locked
    except OSError as error:
        raise refused(made, error) from error
    return Ticket(key, descriptor)


class Queue:
    """The tickets, read as seldom as possible: one `stat` tells whether anybody came, went or moved."""

    def __init__(self) -> None:
        self._wants: dict[str, Want | None] = {}
        self._dead: set[str] = set()
        self._frozen: set[str] = set()
        self._looked: dict[str, float] = {}
        self._seen = 0
        self._recent: tuple[float, list[Waiter]] = (-1.0, [])

    def changed(self) -> bool:
        """Tell whether somebody came, went or moved since the last look."""
        return _changed_at() != self._seen

    def waiters(self, last: str | None = None, *, patience: float = 1.0) -> list[Waiter]:
        """Return who waits, in order, as far as the ticket `last`.

        Whether one still lives is looked up once in `patience` seconds.
        """
        self._seen = _changed_at()
        if time.time_ns() - self._seen < _GRAIN:  # what changes within the same tick of its clock would not be seen
            self._seen = 0
        found = []
        for name in _names():
            waiter = self._waiter(name, patience)
            if waiter is not None:
                found.append(waiter)
                if waiter.key == last:
                    break
        return found

    def recent(self) -> list[Waiter]:
        """Return who waits, as of half a second ago if nothing changed: for readers of many runs at once."""
        at, found = self._recent
        if self.changed() or time.monotonic() - at > 0.5:
            found = self.waiters()
            self._recent = (time.monotonic(), found)
        return found

    def _waiter(self, name: str, patience: float) -> Waiter | None:
        place, key = _parts(name)
        if key in self._dead:
            return None
        try:
            if key not in self._wants:
                self._wants[key] = _read(_directory() / name)
            want = self._wants[key]
            if want is None or not self._lives(name, key, want, patience):
                return None
        except FileNotFoundError:  # it went, or moved, between the two looks: the directory has changed again
            return None
        return Waiter(place, key, name.endswith(_HELD) or key in self._frozen, want)

    def _lives(self, name: str, key: str, want: Want, patience: float) -> bool:
        now = time.monotonic()
        if now - self._looked.get(key, -patience) < patience:
            return True
        path = _directory() / name
        if not _locked(path):
            self._dead.add(key)
            _discard(path)
            return False
        self._looked[key] = now
        (self._frozen.add if _is_frozen(want) else self._frozen.discard)(key)
        return True


Suits = Callable[[str, DeviceRequest], bool]
"""Whether a device that no run of detui has may be given to a request."""


def allot(key: str, waiters: Iterable[Waiter], free: Collection[str], suits: Suits) -> list[str]:
    """Return what a ticket may have now, in the order of its candidates: what those before it leave.

    `free`: devices that nobody has a lease of. Less than it asked for means that it waits.
    """
    left = set(free)
    for waiter in waiters:
        request = waiter.want.request
        if waiter.key == key:
            return [device for device in request.candidates if device in left and suits(device, request)]
        if not waiter.held:
            found = [device for device in request.candidates if device in left and suits(device, request)]
            left.difference_update(found[: request.count])
    return []


def before(key: str, waiters: Sequence[Waiter]) -> list[Waiter]:
    """Return those that stand before a ticket, are not held, and want a device that it wants, too."""
    own = next((one for one in waiters if one.key == key), None)
    if own is None:
        return []
    wanted = set(own.want.request.candidates)
    ahead = waiters[: waiters.index(own)]
    return [one for one in ahead if not one.held and wanted.intersection(one.want.request.candidates)]


def move(name: str, to: str) -> None:
    """Give a ticket's file another name; one that is gone meanwhile is left alone. Raises RunError."""
    folder = _directory()
    try:
        (folder / name).rename(folder / to)
    except FileNotFoundError:  # it got its device, or moved, meanwhile
        return
    except OSError as error:
        raise RunError(f"The ticket cannot be moved: {error.strerror}.", where=str(folder / name)) from error


def _directory() -> Path:
    return named_directory() / "queue"


def _names() -> list[str]:
    try:
        found = os.listdir(_directory())  # noqa: PTH208 - often
    except FileNotFoundError:
        return []
    return sorted(name for name in found if name.endswith((_WAITS, _HELD)))


def _changed_at() -> int:
    try:
        return _directory().stat().st_mtime_ns
    except OSError:
        return 0


def ticket_name(place: int, key: str, held: bool) -> str:
    """Return the name of a ticket's file."""
    return f"{place:020d}.{key}{_HELD if held else _WAITS}"


def _parts(name: str) -> tuple[int, str]:
    place, _, key = name.rsplit(".", 1)[0].partition(".")
    return (int(place) if place.isdecimal() else 0), key


def run_mark(run: RunDir) -> str:
    """Return what the keys of all tickets of a run begin with."""
    return run_resource(run.path).partition(":")[2]


def _read(path: Path) -> Want | None:
    """Read a ticket; None for one that makes no sense: it counts for nothing. Raises FileNotFoundError."""
    try:
        with path.open("rb") as file:
            obj: dict[str, Any] = json.loads(file.read(1 << 20))
            owner = os.fstat(file.fileno()).st_uid
        count, candidates = int(obj["count"]), tuple(map(str, obj["candidates"]))
        free, named = int(obj["min_free_memory"]), bool(obj["named"])
        request = DeviceRequest(kind="", count=count, candidates=candidates, named=named, min_free_memory=free)
        return Want(str(obj["run"]), owner, int(obj["pid"]), request)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _locked(path: Path) -> bool:
    """Whether the supervisor of a ticket lives. Raises FileNotFoundError."""
    return taken(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))


def _is_frozen(want: Want) -> bool:
    """Whether its supervisor is stopped: it would not take what is reserved for it."""
    stat = process_stat(want.pid)
    return stat is not None and stat.state in "Tt"


def _discard(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except PermissionError:  # another user's: it is not counted, and stays until its owner's next run
        return
