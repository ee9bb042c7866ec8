"""What another tool left of a training: the form that every reader gives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detui.engine.record.words import Words

if TYPE_CHECKING:
    from detui.engine.importing.replay import Replay

Play = Callable[["Replay"], None]
"""Reports one start of the training, line by line."""
FORMS = (
    "mmcv 1.x log", "mmengine log", "mmcv 1.x work directory", "mmengine work directory", "Ultralytics run directory",
)  # fmt: skip
"""What can be read. They are among the record's words, and the terminal's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """One start of the training: it becomes an attempt."""

    play: Play
    file: Path
    """The log that it is read from."""
    resume: dict[str, Any] | None = None
    """{"step", "epoch"} that it went on from; None: from the beginning."""


@dataclass(frozen=True, slots=True)
class Ending:
    """A sentence of the record's words, which are in two languages, about how a training ended."""

    key: str
    values: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """The sentence in English."""
        return Words("en")(self.key, *self.values)


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """What a tool left of one training."""

    form: str
    """One of FORMS."""
    framework: str
    """Whose own numbers these are: "mmdet3d", "mmdet", "ultralytics". Names of metrics begin with it."""
    files: tuple[Path, ...]
    """All that was read, in order."""
    starts: tuple[Start, ...]
    finished: bool
    """Whether the training got to its end, as far as can be told."""
    ending: Ending
    """How that is known, or what speaks against it."""
    epochs: int | None
    """Epochs that were planned; None where nothing says it."""
    headline: tuple[str, ...]
    """The framework's main metrics, 0–1 and the higher the better."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The settings, where the tool left them in a form that can be read without running it."""
    seed: int | None = None
    clock: tuple[str, str] | None = None
    """First and last time in the log, as they stand there; the zone is not known."""
    weights: tuple[Path, ...] = ()
    """Files of weights beside it."""


def lines_of(path: Path) -> list[str]:
    """The lines of a text file, without the space around them; bytes that are no UTF-8 are replaced."""
    return [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
