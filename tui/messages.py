"""What reading threads tell the screens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from detui.engine.planning import Plan
    from detui.tui.markdown import Piece
    from detui.tui.rows import Row
    from detui.tui.snapshot import Snapshot


class Latest(Message):
    """A message of which only the newest counts: a queued older one is replaced."""

    def can_replace(self, message: Message) -> bool:
        """Replace an older message of the same kind."""
        return type(message) is type(self)


class RunsRead(Latest):
    """The runs of the workspace were read."""

    def __init__(self, rows: Sequence[Row], *, more: bool = False) -> None:
        """`more`: whether the oldest experiments are still to be read."""
        super().__init__()
        self.rows = rows
        """Headings and runs, newest experiment first."""
        self.more = more


class PreviewRead(Message):
    """The run beside the list was read. Not replaceable: each carries new lines of the log."""

    def __init__(self, ref: str, snapshot: Snapshot) -> None:
        super().__init__()
        self.ref = ref
        """"EXPERIMENT/RUN"."""
        self.snapshot = snapshot
        self.more = snapshot.more


class RunRead(Message):
    """One run was read. Not replaceable: each carries new lines of the log."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot
        self.more = snapshot.more


class PlanRead(Message):
    """A recipe was planned with a profile, or could not be."""

    def __init__(self, profile: str, plan: Plan | None, problem: str | None) -> None:
        super().__init__()
        self.profile = profile
        self.plan = plan
        self.problem = problem
        """Why there is no plan."""


class ModelsBuilding(Latest):
    """The models of a recipe are being built."""

    def __init__(self, done: int, count: int) -> None:
        super().__init__()
        self.done = done
        self.count = count


class ModelsBuilt(Message):
    """The models of a recipe were built, or could not be."""

    def __init__(self, profile: str, plan: Plan | None, problem: str | None) -> None:
        super().__init__()
        self.profile = profile
        self.plan = plan
        """With what they are made of."""
        self.problem = problem


class Preparing(Latest):
    """A launch is being prepared."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class Started(Message):
    """A launch ended: the runs are up, or there is a problem."""

    def __init__(self, experiment: Path | None, problem: str | None) -> None:
        super().__init__()
        self.experiment = experiment
        self.problem = problem


class RecordRead(Latest):
    """A record was read."""

    def __init__(self, path: Path, lines: Sequence[Sequence[Piece]] | None) -> None:
        super().__init__()
        self.path = path
        self.lines = lines
        """As they stand on the screen; None where there is no such file yet."""


class Told(Message):
    """Something that was asked in a thread has an answer for the person."""

    def __init__(self, text: str, failed: bool = False) -> None:
        super().__init__()
        self.text = text
        self.failed = failed


class ReadFailed(Latest):
    """Reading failed; it is tried again."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
