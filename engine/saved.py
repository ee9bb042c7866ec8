"""The saved checkpoints of a run: the last, the best by its rule, or that of an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from detui.engine.analysis.choice import chosen
from detui.engine.errors import MissingError, RunError, UsageError
from detui.engine.process.checkpoints import damage
from detui.engine.run.directory import RunDir
from detui.engine.run.history import History

NAMES = ("last", "best")
"""Checkpoints that have a name; any other is called by its epoch."""


def saved(run: RunDir, history: History, which: str, *, option: str, staged: bool = False) -> dict[str, Any]:
    """The line of the checkpoint called `which`, with its file there and whole.

    `which`: "last", "best" by the run's checkpoint rule, or an epoch. `option`: where it was asked for, for the
    messages. `staged`: only those that say in which stage they were made. Raises MissingError where there is no such
    checkpoint, RunError where it is damaged, UsageError for a word that is none of those.
    """
    lines = _lines(run, history, staged)
    found = {int(line["epoch"]): line for line in lines if file_of(run, line).is_file()}
    epoch = _epoch(run, history, found, which, option)
    if epoch not in found:
        there = ", ".join(map(str, sorted(found))) or "none"
        hint = f"{option} one of the epochs {there}" if found else "detui ls shows whether it has saved one"
        none = "no evaluated checkpoint yet, and so no best one" if found else "no checkpoint yet"
        text = none if epoch is None else f"no checkpoint of epoch {epoch}"
        raise MissingError(f"{run.name} has {text}.", where=option, hint=hint)
    line = found[epoch]
    why = damage(file_of(run, line), line.get("bytes"))
    if why is not None:
        raise RunError(f"The checkpoint {why}.", where=str(file_of(run, line)), hint=f"{option} an earlier epoch")
    return line


def file_of(run: RunDir, line: Mapping[str, Any]) -> Path:
    """Where the checkpoint of a line lies."""
    return run.attempt(int(line.get("attempt") or 1)).path / str(line["path"])


def epoch_of(run: RunDir, history: History, checkpoint: Path) -> int | None:
    """After which epoch of the run a file was saved; None for one that is not among its checkpoints."""
    wanted = checkpoint.resolve()
    lines = _lines(run, history, staged=False)
    return next((int(line["epoch"]) for line in lines if file_of(run, line).resolve() == wanted), None)


def _lines(run: RunDir, history: History, staged: bool) -> list[dict[str, Any]]:
    """Lines of checkpoints; of an epoch the one that can be resumed exactly comes last.

    A file that was overwritten since is what its last line says.
    """
    copies = not staged or len(run.spec().stages) == 1  # a milestone's copy does not say in which stage it was made
    lines = [*(_milestones(history) if copies else ()), *history.checkpoints]
    return list({file_of(run, line): line for line in lines}.values())


def _milestones(history: History) -> Iterator[dict[str, Any]]:
    for line in history.dumps:
        if line.get("checkpoint"):
            yield {**line, "path": line["checkpoint"]}


def _epoch(run: RunDir, history: History, found: Mapping[int, Any], which: str, option: str) -> int | None:
    if which == "last":
        return max(found, default=None)
    if which == "best":
        best = chosen(history, run.spec().checkpoint_rule)
        return None if best is None else int(best["epoch"])
    if not which.isdigit():
        hint = f"{', '.join(NAMES)} or the number of an epoch"
        raise UsageError(f"{which!r} is no checkpoint.", where=option, hint=hint)
    return int(which)
