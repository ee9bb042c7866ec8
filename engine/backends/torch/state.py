"""Checkpoints: everything that the next step depends on, whole or absent, read without running a pickle.

model, average, optimizer     as PyTorch tells them
schedule                      total and warm-up steps, last factor: a resume must have the same ones
progress                      stage, epoch, step, and batches of the epoch that are done
sums                          of the epoch in progress, for its line
random                        the generators of each process
"""

from __future__ import annotations

import pickle
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detui.engine.backends.torch_support.generators import random_state as random_state
from detui.engine.backends.torch_support.generators import random_state_kept as random_state_kept
from detui.engine.backends.torch_support.generators import set_random_state as set_random_state
from detui.engine.backends.torch_support.whole import whole
from detui.engine.errors import RunError

FORMAT = 1
KEPT = 2
"""Checkpoints to resume from that are kept: one, and the one before in case that is torn."""
_NAME = re.compile(r"s\d+-step\d+\.pt")


def checkpoint_path(folder: Path, stage: int, step: int) -> Path:
    """Where the checkpoint after a step of the run lies."""
    return folder / f"s{stage}-step{step:08}.pt"


def milestone_path(folder: Path, epoch: int) -> Path:
    """Where the checkpoint of a milestone lies, which no later one replaces."""
    return folder / f"epoch-{epoch:04}.pt"


def stage_of(path: Path) -> int | None:
    """The stage that a checkpoint was saved in; None where it holds weights alone. Raises RunError as `load` does."""
    progress = load(path).get("progress")
    return int(progress["index"]) if progress else None


def save(state: Mapping[str, Any], target: Path) -> None:
    """Write a checkpoint. Raises RunError when it cannot be written."""
    import torch

    whole(lambda path: torch.save({"format": FORMAT, **state}, path), target)


def prune(folder: Path) -> None:
    """Remove all checkpoints but the newest ones and those of milestones."""
    for old in sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))[:-KEPT]:
        old.unlink(missing_ok=True)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU. Raises RunError for a file that is torn, foreign, or of a newer detui.

    Tensors and plain values alone are read: nothing that may stand in the file is run.
    """
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, LookupError, pickle.UnpicklingError) as error:
        message = f"The checkpoint cannot be read ({type(error).__name__}): it is torn, or of another format."
        raise RunError(message, where=str(path), hint="start the run again, or resume from an earlier one") from error
    if not isinstance(state, dict) or "model" not in state or "format" not in state:
        raise RunError("The file is no checkpoint of this backend.", where=str(path))
    if state["format"] > FORMAT:
        message = f"The checkpoint has format {state['format']}; this detui reads up to {FORMAT}."
        raise RunError(message, where=str(path), hint="update detui to the version that wrote it")
    return state


def seed_everything(seed: int, rank: int = 0) -> None:
    """Start the generators of a process; processes draw differently."""
    import numpy
    import torch

    random.seed(seed * 1000 + rank)
    numpy.random.seed((seed * 1000 + rank) % 2**32)
    torch.manual_seed(seed * 1000 + rank)
