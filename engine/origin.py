"""Where a branch begins: a checkpoint of another run, which is kept with the branch."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detui.engine.errors import RunError
from detui.engine.run.files import write_error

FOLDER = "branch"
"""Of an experiment: where its origin's checkpoint is kept."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a branch begins."""

    experiment: str
    run: str
    attempt: int
    checkpoint: Path
    step: int
    epoch: int
    """Complete epochs, over all stages."""
    stage: int
    overrides: tuple[str, ...]
    """The `--set` values of the branch, beyond the origin's own."""
    changed: Mapping[str, tuple[Any, Any]]
    """`train.epochs` → (the origin's value, the branch's)."""
    data: str | None
    """The fingerprint of the origin's data."""
    stage_data: tuple[str | None, ...] = ()
    """Those of the data that each of its stages trains on; None: the run's own."""

    def facts(self) -> dict[str, Any]:
        """The lineage as experiment.json keeps it."""
        changed = [{"field": name, "before": old, "after": new} for name, (old, new) in self.changed.items()]
        return {**self.start(self.checkpoint), "changed": changed}

    def words(self) -> list[str]:
        """The beginning of the command line that does the same."""
        words = ["detui", "branch", f"{self.experiment}/{self.run}", "--at", str(self.epoch)]
        return words + [word for override in self.overrides for word in ("--set", override)]

    def start(self, checkpoint: object) -> dict[str, Any]:
        """The object `branch` of a run's spec."""
        counts = {"step": self.step, "epoch": self.epoch, "stage": self.stage}
        where = {"experiment": self.experiment, "run": self.run, "attempt": self.attempt}
        return {**where, "checkpoint": str(checkpoint), **counts}

    def keep(self, experiment: Path) -> dict[str, Any]:
        """Keep the checkpoint with the new experiment. Returns the object `branch` of its run's spec.

        A second name where the file system has them, else a copy. Raises RunError when it cannot be written.
        """
        folder = experiment / FOLDER
        kept = folder / self.checkpoint.name
        try:
            folder.mkdir()
            try:
                os.link(self.checkpoint, kept)
            except OSError:
                shutil.copyfile(self.checkpoint, kept)
        except OSError as error:
            raise write_error(kept, error) from error
        return self.start(Path("..") / ".." / FOLDER / kept.name)

    def check_data(self, fingerprint: str | None, stages: Sequence[str | None] = ()) -> None:
        """Raise RunError when the data is not what the origin trained on, in any of its stages."""
        for found, known in [(fingerprint, self.data), *zip(stages, self.stage_data, strict=False)]:
            if found == known:
                continue
            message = f"The data is not what {self.run} trained on: its fingerprint was {known}."
            raise RunError(message, where="data", hint="start a new run with these weights: --set model.weights=…")
