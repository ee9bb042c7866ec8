"""The keys that ask something of runs: stop, kill, resume, and the queue. Shared by the screens that show runs."""

from __future__ import annotations

from collections.abc import Sequence

from detui.engine.process.places import HOLD
from detui.engine.run.directory import RunDir
from detui.tui.control import not_resumable
from detui.tui.glance import read_status
from detui.tui.language import tr
from detui.tui.screens.base import ReadingScreen, question


class RunRequests(ReadingScreen):
    """A screen whose keys ask something of the runs that `chosen_runs` names."""

    def chosen_runs(self) -> tuple[str, Sequence[RunDir]]:
        """Return what a person would call the choice, and its runs; none where nothing is chosen."""
        raise NotImplementedError

    def action_stop(self) -> None:
        """Stop with a checkpoint."""
        self._ask("stop")

    def action_kill(self) -> None:
        """Kill at once."""
        self._ask("kill")

    def action_resume(self) -> None:
        """Resume from the last checkpoint."""
        self._ask("resume")

    def action_hold(self) -> None:
        """Hold what waits; where all of it is held, release it."""
        waiting = self._waiting()
        held = all((run.control_dir / HOLD).exists() for run in waiting)
        if waiting:
            self.put(waiting, "release" if held else "hold")

    def action_front(self) -> None:
        """Move what waits to the front."""
        self._reorder("front")

    def action_earlier(self) -> None:
        """Move what waits one place forward."""
        self._reorder("earlier")

    def action_later(self) -> None:
        """Move what waits one place back."""
        self._reorder("later")

    def _reorder(self, what: str) -> None:
        if waiting := self._waiting():
            self.put(waiting, what)

    def _waiting(self) -> list[RunDir]:
        """Return the runs of the choice that wait in the queue; say so where none does."""
        name, runs = self.chosen_runs()
        waiting = [run for run in runs if read_status(run)[0].word == "queued"]
        if runs and not waiting:
            self.detui.tell(tr("{name} does not wait in the queue.", name=name))
        return waiting

    def _ask(self, what: str) -> None:
        name, runs = self.chosen_runs()
        if not runs:
            return
        if what == "resume":
            asked = [run for run in runs if not_resumable(run) is None]
        else:
            asked = [run for run in runs if not read_status(run)[0].terminal]
        if asked:
            self.ask_runs(asked, what, question(asked, what))
        elif what == "resume":
            self.detui.tell(tr("{name} has nothing to resume.", name=name))
        else:
            self.detui.tell(tr("{name} has ended.", name=name))
