"""The rows of the list of runs: experiments as headings, their runs below. Unchanged runs are not read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detui.engine.errors import DetuiError
from detui.engine.experiment import Experiment
from detui.engine.run.directory import RunDir
from detui.engine.workspace import Workspace
from detui.tui.columns import ordered
from detui.tui.filters import Fits
from detui.tui.glance import Glance, glance
from detui.tui.language import current


@dataclass(frozen=True, slots=True)
class Heading:
    """An experiment in the list."""

    id: str
    path: Path
    text: str
    """Name or title, profile, tags."""
    runs: tuple[str, ...]
    """Names of its runs."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Name, tags, title: what a filter looks at."""
    problem: str | None = None

    @property
    def ref(self) -> str:
        """What commands call it."""
        return self.id


Row = Heading | Glance


_FIRST = 60
"""Runs after which the first reading ends: more than a screen shows."""


class RowReader:
    """Reads the rows of a workspace; experiments never change, and runs that have ended seldom."""

    more = False
    """Whether the last reading left older experiments for the next: what is on the screen comes first."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._facts: dict[Path, Mapping[str, Any]] = {}
        self._ended: dict[Path, tuple[tuple[int, ...], Glance]] = {}
        self._begun = False

    def read(self) -> list[Row]:
        """Return headings and runs, newest experiment first."""
        rows: list[Row] = []
        first, self._begun, self.more = not self._begun, True, False
        for experiment in self._workspace.experiments():
            if first and len(rows) > _FIRST:
                self.more = True
                break
            try:
                facts = self._facts_of(experiment)
            except DetuiError as error:
                rows.append(Heading(experiment.id, experiment.path, "", (), problem=error.message.splitlines()[0]))
                continue
            names = tuple(map(str, facts.get("runs") or ()))
            rows.append(Heading(experiment.id, experiment.path, _text(facts), names, facts))
            rows += (self._glance(RunDir(experiment.path / "runs" / name), facts) for name in names)
        return rows

    def _facts_of(self, experiment: Experiment) -> Mapping[str, Any]:
        if experiment.path not in self._facts:
            facts = experiment.facts()
            kept = ("name", "tags", "title", "profile", "runs", "recipe", "created")
            self._facts[experiment.path] = {key: facts.get(key) for key in kept}
        return self._facts[experiment.path]

    def _glance(self, run: RunDir, facts: Mapping[str, Any]) -> Glance:
        known = self._ended.get(run.path)
        if known is not None and known[0] == _signature(known[1]):
            return known[1]
        found = glance(run, facts)
        if found.state is not None and found.state.terminal and (not found.notes or found.imported or found.host):
            self._ended[run.path] = (_signature(found), found)
        return found


def _signature(run: Glance) -> tuple[int, ...]:
    """Return what changes when a run that had ended goes on, or is evaluated."""
    attempts = run.path / "attempts"
    files = (run.path / "events.jsonl", attempts, attempts / str(run.attempt) / "evaluations.jsonl")
    return tuple(number for file in files for number in _stamp(file))


def _stamp(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)


def _text(facts: Mapping[str, Any]) -> str:
    title = facts.get("title")
    own = title.get(current()) or title.get("en") if isinstance(title, dict) else title
    name = facts.get("name") or own or ""
    tags = " ".join(f"#{tag}" for tag in facts.get("tags") or ())
    return "  ".join(part for part in (str(facts.get("profile") or ""), str(name), tags) if part)


def runs_of(row: Row) -> Sequence[RunDir]:
    """Return the run of a row, or all runs of a heading."""
    if isinstance(row, Heading):
        return [RunDir(row.path / "runs" / name) for name in row.runs]
    return [RunDir(row.path)]


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What of the rows is shown, and in which order."""

    fits: Fits | None = None
    """The filter; None shows all."""
    sort: str = "started"
    """One of `columns.SORTS`."""
    reverse: bool = False
    grouped: bool = True
    """Whether runs stand below the heading of their experiment."""

    def arrange(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows to show: headings without a run that fits are left out, unless nothing is filtered."""
        groups = _groups(rows)
        if self.fits is not None:
            fits = self.fits
            groups = [(head, [run for run in runs if fits(run, head.about)]) for head, runs in groups]
            groups = [(head, runs) for head, runs in groups if runs]
        if not self.grouped:
            return list(ordered([run for _, runs in groups for run in runs], self.sort, self.reverse))
        if self.sort == "started" and self.reverse:
            groups.reverse()
        else:
            groups = [(head, ordered(runs, self.sort, self.reverse)) for head, runs in groups]
        shown: list[Row] = []
        for head, runs in groups:
            shown += [head, *runs]
        return shown


def _groups(rows: Sequence[Row]) -> list[tuple[Heading, list[Glance]]]:
    groups: list[tuple[Heading, list[Glance]]] = []
    for row in rows:
        if isinstance(row, Heading):
            groups.append((row, []))
        else:
            groups[-1][1].append(row)
    return groups
