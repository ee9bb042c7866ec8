"""What a finished model predicts: a checkpoint of a run, or another file, on one split of the run's data."""

from __future__ import annotations

import os
from pathlib import Path

from detui.engine.errors import MissingError, RunError
from detui.engine.process.borrow import borrow
from detui.engine.process.task import run_task
from detui.engine.run.directory import RunDir
from detui.engine.run.history import load_history
from detui.engine.run.spec import RunSpec
from detui.engine.saved import NAMES, epoch_of, file_of, saved

OPTION = "--checkpoint"
"""What the commands call the choice of a checkpoint."""


def find_checkpoint(run: RunDir, which: str) -> tuple[Path, int | None]:
    """Where a checkpoint lies, and after which epoch of the run it was saved; None for a file that is not the run's.

    `which`: "best" by the run's checkpoint rule, "last", an epoch, or a path. Raises MissingError where there is none,
    RunError where it is damaged.
    """
    history = load_history(run)
    if which in NAMES or which.isdigit():
        line = saved(run, history, which, option=OPTION)
        return file_of(run, line), int(line["epoch"])
    path = Path(which).expanduser().absolute()
    if not path.is_file():
        hint = f"{OPTION} {', '.join(NAMES)}, an epoch, or the path of a file"
        raise MissingError("There is no such checkpoint.", where=str(path), hint=hint)
    return path, epoch_of(run, history, path)


def predict(run: RunDir, checkpoint: Path, split: str, out: Path, *, device: str = "cpu", trust: bool = False) -> None:
    """Write what `checkpoint` predicts on a split of the run's data to `out`: COCO results in original pixels.

    Runs in the backend's environment and predicts as the run did at its milestones. `split`: "val", "test" or "train",
    as far as the run's data has it. `device`: "cpu", or a GPU by index or UUID; the GPU is leased meanwhile. `trust`:
    load a file that this user's runs did not write. Raises MissingError for a split, a file or a device that is not
    there, UsageError for a backend that cannot predict, RunError where the checkpoint may not or cannot be loaded, or
    the device is in use.
    """
    spec = run.spec()
    check_trust(run, checkpoint, trust)
    check_split(spec, split)
    arguments = {"checkpoint": str(checkpoint.absolute()), "split": split, "out": str(out.absolute())}
    with borrow(device, f"detui evaluate, {run.experiment_dir.name}/{run.name}") as on:
        run_task(run, "predict", arguments, on)


def check_trust(run: RunDir, checkpoint: Path, trust: bool) -> None:
    """Raise RunError for a file that no run of this user's in the workspace has written, unless it is trusted.

    A checkpoint is a pickle: who loads it runs what it says.
    """
    path = checkpoint.resolve()
    if trust or (_in_a_run(path, run.experiment_dir.resolve().parent) and path.stat().st_uid == os.getuid()):
        return
    message = "Loading a checkpoint runs code that stands in it, and this one was not written by a run of yours here."
    raise RunError(message, where=str(checkpoint), hint="add --trust if you know where the file comes from")


def _in_a_run(path: Path, workspace: Path) -> bool:
    """Whether a path is <workspace>/EXPERIMENT/runs/RUN/attempts/N/checkpoints/FILE."""
    parts = path.relative_to(workspace).parts if path.is_relative_to(workspace) else ()
    return len(parts) == 7 and parts[1::2] == ("runs", "attempts", "checkpoints")


def check_split(spec: RunSpec, split: str) -> None:
    """Raise MissingError for a split that the run's data was not prepared with, or that is gone."""
    data = spec.data or {}
    splits = data.get("splits") or {}
    if split not in splits:
        there = ", ".join(splits) or "none"
        hint = f"one of {there}" if splits else "detui show RECIPE shows the data of a recipe"
        if split == "test":
            hint = "name a `test: {split: …}` under `data:` of the recipe and run it again"
        raise MissingError(f"The run's data has no split {split!r}: {there}.", where="--split", hint=hint)
    folder = Path(data["prepared"])
    if not (folder / f"{split}.json").is_file():
        hint = "start a run of the same recipe: that prepares the data again"
        raise MissingError("The prepared data is gone.", where=str(folder), hint=hint)
