"""What happened to runs between two readings: what a person who looks elsewhere wants to be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from detui.tui.glance import Glance


@dataclass(frozen=True, slots=True)
class News:
    """One run that ended, or raised an alarm."""

    run: str
    """"EXPERIMENT/RUN"."""
    word: str
    """The state that it ended in; "alarm"."""
    alarms: tuple[str, ...] = ()
    """The names of the new alarms."""

    @property
    def bad(self) -> bool:
        """Whether it is something nobody asked for."""
        return self.word not in ("finished", "stopped", "killed")


class Watcher:
    """Remembers how each run was. The first look tells nothing: what ended before is no news."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[bool, frozenset[str]]] | None = None

    def look(self, runs: Sequence[Glance]) -> list[News]:
        """Return what is new since the last look."""
        found = []
        known = self._known or {}
        for run in runs:
            live, alarms = known.get(run.ref, (run.live, frozenset(run.alarms)))
            if live and run.state is not None and run.state.terminal:
                found.append(News(run.ref, run.word))
            if fresh := tuple(name for name in run.alarms if name not in alarms):
                found.append(News(run.ref, "alarm", fresh))
        first = self._known is None
        self._known = {run.ref: (run.live, frozenset(run.alarms)) for run in runs}
        return [] if first else found
