"""Where a resume starts: the newest checkpoint that is whole.

A power failure, a full disk or a copy that was interrupted can leave the newest one torn. It is then skipped, which is
said, and the one before is taken. A checkpoint is never opened by a framework here: that would execute what it holds.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detui.engine.run.directory import AttemptDir, RunDir
from detui.engine.run.lines import LineReader

_ZIP = b"PK\x03\x04"
"""How an archive begins; `torch.save` has written those since 1.6."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where the next attempt of a run begins."""

    resume: dict[str, Any] | None
    """The object `resume` of attempt.json: attempt, checkpoint, step, epoch, stage. None: from the beginning."""
    skipped: tuple[dict[str, str], ...] = ()
    """Newer checkpoints that are not whole: {"checkpoint", "why"}, newest first."""

    @property
    def warning(self) -> str | None:
        """One sentence on what was skipped, None where nothing was."""
        if not self.skipped:
            return None
        names = ", ".join(f"{Path(one['checkpoint']).name} {one['why']}" for one in self.skipped)
        instead = f"epoch {self.resume['epoch']}" if self.resume else "the beginning"
        return f"not from the newest checkpoint ({names}), but from {instead}"


def find_start(run: RunDir) -> Start:
    """Return the newest resumable checkpoint of the newest attempt that has a whole one.

    A run that was ended before its first checkpoint has lost its steps, and begins again: the same spec, the same seed.
    """
    skipped: list[dict[str, str]] = []
    for attempt in reversed(run.attempts()):
        for line in _resumable(attempt):
            path = attempt.path / str(line["path"])
            why = damage(path, line.get("bytes"))
            if why is None:
                return Start(_resume(attempt, line, path), tuple(skipped))
            skipped.append({"checkpoint": str(path), "why": why})
    return Start(beginning(run).resume, tuple(skipped))


def beginning(run: RunDir) -> Start:
    """Return where the first attempt of a run begins: from nothing, or a branch at its origin's checkpoint."""
    branch = run.spec().branch
    if branch is None:
        return Start(None)
    return Start({**branch, "checkpoint": str((run.path / str(branch["checkpoint"])).resolve())})


def _resumable(attempt: AttemptDir) -> list[dict[str, Any]]:
    """The lines of an attempt's resumable checkpoints, newest first; of a file that was overwritten the last one.

    Files that a trainer has removed since, because it keeps the newest few, are no damage and are left out.
    """
    newest: dict[str, dict[str, Any]] = {}
    for line in LineReader(attempt.metrics_path, containing=('"checkpoint"',)).poll():
        if line.get("kind") == "checkpoint" and line.get("resumable"):
            path = str(line.get("path"))
            newest.pop(path, None)
            newest[path] = line
    found = list(reversed(newest.values()))
    return found[:1] + [line for line in found[1:] if (attempt.path / str(line["path"])).exists()]


def _resume(attempt: AttemptDir, line: dict[str, Any], path: Path) -> dict[str, Any]:
    counts = {name: int(line.get(name) or 0) for name in ("step", "epoch", "stage")}
    return {"attempt": attempt.number, "checkpoint": str(path), **counts}


def damage(path: Path, size: Any) -> str | None:
    """Say what is wrong with a checkpoint file, None where nothing is found.

    `size`: the bytes it had when it was reported, where that is known. An archive is checked by its own sums, anything
    else by its size.
    """
    try:
        with path.open("rb") as file:
            begins = file.read(len(_ZIP))
        found = path.stat().st_size
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if isinstance(size, int) and found < size:
        return f"is cut: {found} of {size} bytes"
    return _archive_damage(path) if begins == _ZIP else None


def _archive_damage(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError):
        return "is no whole archive"
    return None if broken is None else f"is damaged in {broken}"
