"""Waiting for runs: progress on stderr, Ctrl-C once to stop them with a checkpoint, twice to leave them."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from detui.engine.run.directory import RunDir
from detui.tui.control import ask
from detui.tui.glance import Glance, glance, read_status
from detui.tui.output import duration, number, percent, say

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_EVERY = 0.5
_LINE_EVERY = 5.0


class Left(Exception):
    """The person pressed Ctrl-C a second time: the runs are left to themselves."""


class View(Protocol):
    """Shows runs while they are waited for."""

    def update(self, runs: Sequence[Glance]) -> None:
        """Show the present state of all runs."""

    def say(self, text: str) -> None:
        """Show a line of narration."""


def wait(
    runs: Sequence[RunDir], facts: Mapping[str, Any], view: View, presses: Presses, every: float = _EVERY
) -> tuple[list[Glance], bool]:
    """Wait until every run has ended and is evaluated. Returns the runs, and whether Ctrl-C asked them to stop.

    Raises Left at the second Ctrl-C.
    """
    asked = 0
    while True:
        over = not any(busy(run) for run in runs)
        found = [glance(run, facts) for run in runs]
        view.update(found)
        if over:
            return found, asked > 0
        if presses.count >= 2:
            raise Left
        if presses.count > asked:
            asked = presses.count
            view.say("Stopping with a checkpoint. Ctrl-C again leaves the runs to themselves.")
            for answer in ask(runs, "stop"):
                view.say(f"  {answer.run.name} {answer.text}")
        time.sleep(every)


def busy(run: RunDir) -> bool:
    """Whether something of a run is still going on: it trains, or its supervisor sees to the last evaluation."""
    from detui.engine.executor.runs import busy as goes_on

    return not read_status(run)[0].terminal or goes_on(run)


class Presses:
    """Counts Ctrl-C where `counting`, so that no run is left to itself by accident; raises KeyboardInterrupt before."""

    def __init__(self) -> None:
        self.count = 0
        self.counting = False
        """Set as soon as there are runs to stop."""

    def _press(self, signum: int, frame: FrameType | None) -> None:
        if not self.counting:
            raise KeyboardInterrupt
        self.count += 1

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Take Ctrl-C over while the block lasts."""
        before = signal.signal(signal.SIGINT, self._press)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


class PlainView:
    """Lines on stderr, for logs and pipes: at every change of state, and an epoch every few seconds at most."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._states: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._epochs: dict[str, tuple[int, float]] = {}

    def update(self, runs: Sequence[Glance]) -> None:
        """Print what is new."""
        for run in runs:
            state = (run.word, run.notes)
            epoch, said = self._epochs.get(run.name, (0, -_LINE_EVERY))
            now = self._clock()
            news = run.epoch != epoch and now - said >= _LINE_EVERY
            if self._states.get(run.name) != state or news:
                self._states[run.name] = state
                self._epochs[run.name] = (run.epoch, now)
                say(line(run))

    def say(self, text: str) -> None:
        """Print a line."""
        say(text)


def line(run: Glance) -> str:
    """Return a run in one line."""
    parts = [f"{run.name:<20} {run.word:<9} epoch {run.epoch}/{run.epochs or '?'}"]
    parts += [f"loss {number(run.loss)}"] if run.loss is not None else []
    parts += [f"{run.metric_name} {percent(run.metric)}"] if run.metric is not None else []
    return "  ".join([*parts, *run.notes, *([run.problem] if run.problem else [])])


_COLOURS = {"running": "green", "finished": "green", "stopping": "yellow", "starting": "cyan", "queued": "cyan"}


class BarView:
    """One bar a run on a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._began = time.monotonic()

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[BarView]:
        """Show bars on stderr until the block is left."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        columns = (
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            TextColumn("[{task.fields[colour]}]{task.fields[state]:<9}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=6)),
            TextColumn("{task.fields[text]}", markup=False, table_column=Column(no_wrap=True)),
        )
        with Progress(*columns, console=Console(stderr=True), refresh_per_second=2, expand=True) as progress:
            yield cls(progress)

    def update(self, runs: Sequence[Glance]) -> None:
        """Move the bars."""
        elapsed = duration(time.monotonic() - self._began)
        for run in runs:
            if run.name not in self._tasks:
                self._tasks[run.name] = self._progress.add_task(run.name, total=None, colour="cyan", state="", text="")
            evaluating = next((note for note in run.notes if note.startswith("evaluating")), None)
            self._progress.update(
                self._tasks[run.name],
                total=run.epochs,
                completed=run.epoch,
                state=evaluating.split(":")[0].split()[0][:9] if evaluating and not run.live else run.word,
                colour=_COLOURS.get(run.word, "red"),
                text="; ".join(run.notes) if run.word == "queued" else _text(run, elapsed if run.live else ""),
            )

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(text, markup=False, highlight=False)


def _text(run: Glance, elapsed: str) -> str:
    done = f"{run.epoch}/{run.epochs or '?'}"
    return f"{done:>7}  loss {number(run.loss):>6}  {run.metric_name} {percent(run.metric):>5}  {elapsed:>6}"
