"""The keys that ask something of runs: stop, kill, resume, and the queue. Shared by the screens that show runs.

What a question says is read from the disk, and so in a thread, as is the request itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.message import Message

from detui.engine.errors import DetuiError
from detui.engine.process.places import HOLD
from detui.engine.run.directory import RunDir
from detui.tui import control, queueing
from detui.tui.glance import read_status
from detui.tui.language import tr
from detui.tui.messages import Told
from detui.tui.reader import in_thread
from detui.tui.screens.base import ReadingScreen
from detui.tui.screens.confirm import ConfirmScreen

Work = Callable[[str, Sequence[RunDir], str], Message]
"""Called in a thread with the name of the choice, its runs, and what is asked of them."""


class Prepared(Message):
    """A question is ready to be asked."""

    def __init__(self, runs: Sequence[RunDir], what: str, text: str) -> None:
        super().__init__()
        self.runs = runs
        self.what = what
        """"stop", "kill" or "resume"."""
        self.text = text
        """The question."""


class RunRequests(ReadingScreen):
    """A screen whose keys ask something of the runs that `chosen_runs` names."""

    def chosen_runs(self) -> tuple[str, Sequence[RunDir]]:
        """Return what a person would call the choice, and its runs; none where nothing is chosen."""
        raise NotImplementedError

    def action_stop(self) -> None:
        """Stop with a checkpoint."""
        self._do(_prepare, "stop")

    def action_kill(self) -> None:
        """Kill at once."""
        self._do(_prepare, "kill")

    def action_resume(self) -> None:
        """Resume from the last checkpoint."""
        self._do(_prepare, "resume")

    def action_hold(self) -> None:
        """Hold what waits; where all of it is held, release it."""
        self._do(_queue, "hold")

    def action_front(self) -> None:
        """Move what waits to the front."""
        self._do(_queue, "front")

    def action_earlier(self) -> None:
        """Move what waits one place forward."""
        self._do(_queue, "earlier")

    def action_later(self) -> None:
        """Move what waits one place back."""
        self._do(_queue, "later")

    def _do(self, work: Work, what: str) -> None:
        name, runs = self.chosen_runs()
        if runs:
            in_thread(lambda: _guarded(work, name, runs, what), self)

    def on_prepared(self, message: Prepared) -> None:
        """Ask, unless the person has gone elsewhere meanwhile."""

        def answered(yes: bool | None) -> None:
            if yes:
                in_thread(lambda: _put(message.runs, message.what), self)

        if self.is_current:
            self.app.push_screen(ConfirmScreen(message.text), answered)


def _guarded(work: Work, name: str, runs: Sequence[RunDir], what: str) -> Message:
    try:
        return work(name, runs, what)
    except DetuiError as error:
        return Told(str(error), failed=True)


def _prepare(name: str, runs: Sequence[RunDir], what: str) -> Message:
    """Return the question, or why there is nothing to ask."""
    if (told := _all_elsewhere(name, runs, what)) is not None:
        return told
    if what == "resume":
        asked = [run for run in runs if control.not_resumable(run) is None]
        nothing = tr("{name} has nothing to resume.", name=name)
    else:
        asked = [run for run in runs if not read_status(run)[0].terminal and run.pulled() is None]
        nothing = tr("{name} has ended.", name=name)
    return Prepared(asked, what, question(asked, what)) if asked else Told(nothing)


def _all_elsewhere(name: str, runs: Sequence[RunDir], what: str) -> Told | None:
    """Return where the command `what` is to be given, if all of the runs are copies of another host's."""
    copies = [text for run in runs if (text := control.elsewhere(run, what))]
    return Told(f"{name} {copies[0]}") if copies and len(copies) == len(runs) else None


def _queue(name: str, runs: Sequence[RunDir], what: str) -> Message:
    """Do something with those of the runs that wait; a second "hold" releases."""
    if (told := _all_elsewhere(name, runs, what if what == "hold" else "front")) is not None:
        return told
    waiting = [run for run in runs if read_status(run)[0].word == "queued" and run.pulled() is None]
    if not waiting:
        return Told(tr("{name} does not wait in the queue.", name=name))
    if what == "hold" and all((run.control_dir / HOLD).exists() for run in waiting):
        what = "release"
    return _put(waiting, what)


_ACTIONS = {"resume": control.resume, **queueing.ACTIONS}


def _put(runs: Sequence[RunDir], what: str) -> Message:
    try:
        answers = _ACTIONS[what](runs) if what in _ACTIONS else control.ask(runs, what)
    except DetuiError as error:
        return Told(str(error), failed=True)
    return Told("\n".join(f"{a.run.name} {a.text}" for a in answers), not any(a.done for a in answers))


def question(runs: Sequence[RunDir], what: str) -> str:
    """Return what a person is asked before a request: the runs, their devices, and what is lost."""
    lines = "\n".join(f"  {run.experiment_dir.name}/{run.name}  {_device(run)}" for run in runs)
    lost = "" if what == "kill" else f"\n\n{control.losses(runs)}"
    return f"{_QUESTIONS[what]()}\n\n{lines}{lost}"


_QUESTIONS: dict[str, Callable[[], str]] = {
    "stop": lambda: tr("Stop with a checkpoint? It can be resumed."),
    "kill": lambda: tr("Kill at once? What was done since the last checkpoint is lost."),
    "resume": lambda: tr("Resume from the last checkpoint?"),
}


def _device(run: RunDir) -> str:
    try:
        device = run.spec().device
    except DetuiError:
        return ""
    return "CPU" if device.kind == "cpu" else f"{device.kind} {', '.join(device.candidates)}"
