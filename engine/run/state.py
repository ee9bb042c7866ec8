"""The states of a run. Each carries only what belongs to it; what is beside a state is a note, not a state.

queued → starting → running → stopping → finished | stopped | killed | failed | crashed | oom | lost
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from detui.engine.run.directory import RunDir
from detui.engine.run.lines import lines_from_end, read_lines


@dataclass(frozen=True, slots=True)
class Queued:
    """Waits for its devices."""

    word: ClassVar[str] = "queued"
    letter: ClassVar[str] = "q"
    terminal: ClassVar[bool] = False
    at: str = ""
    """Wall time at which it came into this state; "" where the file does not say."""
    reason: str | None = None
    """Why a run waits that has trained already: Slurm wanted its node back."""


@dataclass(frozen=True, slots=True)
class Starting:
    """The worker was started and has not begun to train."""

    word: ClassVar[str] = "starting"
    letter: ClassVar[str] = "s"
    terminal: ClassVar[bool] = False
    at: str = ""
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Running:
    """The worker trains."""

    word: ClassVar[str] = "running"
    letter: ClassVar[str] = "r"
    terminal: ClassVar[bool] = False
    at: str = ""
    attempt: int = 1
    device: tuple[str, ...] = ()
    """Names of the leased devices."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """The worker was asked to save and end."""

    word: ClassVar[str] = "stopping"
    letter: ClassVar[str] = "t"
    terminal: ClassVar[bool] = False
    at: str = ""
    attempt: int = 1
    request: str = "stop"
    """"stop" or "kill"."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Trained to the end."""

    word: ClassVar[str] = "finished"
    letter: ClassVar[str] = "F"
    terminal: ClassVar[bool] = True
    at: str = ""
    attempt: int = 1
    reason: str | None = None
    """What went wrong after the training was done, if anything did."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Ended because it was asked to stop."""

    word: ClassVar[str] = "stopped"
    letter: ClassVar[str] = "S"
    terminal: ClassVar[bool] = True
    at: str = ""
    attempt: int | None = None
    """None where it was still queued."""
    reason: str | None = None
    """What is to be known besides, such as work that a resume repeats."""


@dataclass(frozen=True, slots=True)
class Killed:
    """Ended by force, on request."""

    word: ClassVar[str] = "killed"
    letter: ClassVar[str] = "K"
    terminal: ClassVar[bool] = True
    at: str = ""
    attempt: int | None = None
    """None where it was still queued."""
    reason: str | None = None
    """Who asked, or that the grace period ran out."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker ended by itself with an error, or could not be started."""

    word: ClassVar[str] = "failed"
    letter: ClassVar[str] = "X"
    terminal: ClassVar[bool] = True
    at: str = ""
    attempt: int | None = None
    """None where no worker was started."""
    code: int | None = None
    """Exit code; None where nothing was started."""
    reason: str | None = None
    """The worker's own message, or the last thing it said."""


@dataclass(frozen=True, slots=True)
class Crashed:
    """Ended by a signal that nobody here sent."""

    word: ClassVar[str] = "crashed"
    letter: ClassVar[str] = "C"
    terminal: ClassVar[bool] = True
    at: str = ""
    attempt: int = 1
    signal: str = ""
    """"SIGSEGV"…"""
    reason: str | None = None
    """The last thing that it said."""


@dataclass(frozen=True, slots=True)
class Oom:
    """Ended for want of memory: the framework said so, or the kernel killed it."""

    word: ClassVar[str] = "oom"
    letter: ClassVar[str] = "O"
    terminal: ClassVar[bool] = True
    at: str = ""
    attempt: int = 1
    reason: str | None = None
    """How that is known; "probable" where it is a conclusion."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Nobody on this host saw it end."""

    word: ClassVar[str] = "lost"
    letter: ClassVar[str] = "L"
    terminal: ClassVar[bool] = True
    at: str = ""
    attempt: int | None = None
    """None where no worker was started."""
    reason: str | None = None
    """What is known of it."""


State = Queued | Starting | Running | Stopping | Finished | Stopped | Killed | Failed | Crashed | Oom | Lost
STATES: tuple[type[State], ...] = (
    Queued, Starting, Running, Stopping, Finished, Stopped, Killed, Failed, Crashed, Oom, Lost
)  # fmt: skip
_BY_WORD: dict[str, type[State]] = {kind.word: kind for kind in STATES}


def state_of(event: dict[str, Any]) -> State | None:
    """Return the state that one line of events.jsonl names, or None if it names none known here."""
    kind = _BY_WORD.get(str(event.get("state")))
    if kind is None:
        return None
    values = {field.name: event[field.name] for field in fields(kind) if field.name in event}
    if "device" in values:
        values["device"] = tuple(values["device"])
    return kind(**values)


def read_state(run: RunDir) -> State:
    """Fold events.jsonl into the state it ends with; looks at no process. No events yet: queued."""
    return _newest(lines_from_end(run.events_path)) or _newest(reversed(read_lines(run.events_path))) or Queued()


def _newest(events: Iterable[dict[str, Any]]) -> State | None:
    """Return the state of the first of these lines, newest first, that names one."""
    return next((state for event in events if (state := state_of(event)) is not None), None)
