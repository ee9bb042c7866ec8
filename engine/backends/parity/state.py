"""Checkpoints: arrays of numpy by name, in one .npz that is whole or absent. Nothing in it is run when it is read.

    weight/NAME           every tensor of the network
    optimiser/NAME        what the optimiser tells of itself
    average/NAME          the moving average of the weights, where there is one
    detui                 everything else, as JSON in bytes: format, schedule, progress, sums of the epoch

Both frameworks write the same, and read each other's.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from detui.engine.backends.parity.frameworks.framework import Array
from detui.engine.backends.torch_support.whole import whole
from detui.engine.errors import RunError

FORMAT = 1
KEPT = 2
"""Checkpoints to resume from that are kept: one, and the one before in case that is torn."""
KEY = "detui"
"""What the JSON lies under."""
_NAME = re.compile(r"s\d+-step\d+\.npz")


@dataclass(frozen=True, slots=True)
class Saved:
    """What a checkpoint holds."""

    weights: dict[str, Array]
    optimiser: dict[str, Array] = field(default_factory=dict)
    average: dict[str, Array] = field(default_factory=dict)
    """Empty where there is none."""
    told: dict[str, Any] = field(default_factory=dict)
    """Schedule, progress and sums."""

    @property
    def evaluated(self) -> dict[str, Array]:
        """The weights that are evaluated: the average, where there is one."""
        return {**self.weights, **self.average}


def checkpoint_path(folder: Path, stage: int, step: int) -> Path:
    """Where the checkpoint after a step of the run lies."""
    return folder / f"s{stage}-step{step:08}.npz"


def milestone_path(folder: Path, epoch: int) -> Path:
    """Where the checkpoint of a milestone lies, which no later one replaces."""
    return folder / f"epoch-{epoch:04}.npz"


def prune(folder: Path) -> None:
    """Remove all checkpoints but the newest ones and those of milestones."""
    for old in sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))[:-KEPT]:
        old.unlink(missing_ok=True)


def save(saved: Saved, target: Path) -> None:
    """Write a checkpoint, whole or not at all. Raises RunError when it cannot be written."""
    arrays: dict[str, Array] = {KEY: np.frombuffer(json.dumps({"format": FORMAT, **saved.told}).encode(), np.uint8)}
    for front, held in (("weight", saved.weights), ("optimiser", saved.optimiser), ("average", saved.average)):
        arrays |= {f"{front}/{name}": value for name, value in held.items()}

    def write(path: Path) -> None:
        with path.open("wb") as file:  # given a name, numpy would put .npz behind it
            np.savez(file, **arrays)  # type: ignore[arg-type, unused-ignore]

    whole(write, target)


def load(path: Path) -> Saved:
    """Read a checkpoint. Raises RunError for a file that is torn, foreign, or of a newer detui."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        message = f"The checkpoint cannot be read ({type(error).__name__}): it is torn, or of another format."
        raise RunError(message, where=str(path), hint="start the run again, or resume from an earlier one") from error
    if KEY not in arrays:
        raise RunError("The file is no checkpoint of this backend.", where=str(path))
    told = json.loads(arrays[KEY].tobytes())
    if told["format"] > FORMAT:
        message = f"The checkpoint has format {told['format']}; this detui reads up to {FORMAT}."
        raise RunError(message, where=str(path), hint="update detui to the version that wrote it")
    weights, optimiser, average = (_below(front, arrays) for front in ("weight", "optimiser", "average"))
    return Saved(weights, optimiser, average, told)


def is_own(path: Path) -> bool:
    """Whether a file is a checkpoint of this backend, told without reading its arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            return f"{KEY}.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def _below(front: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name.removeprefix(f"{front}/"): value for name, value in arrays.items() if name.startswith(f"{front}/")}
