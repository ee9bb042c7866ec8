"""Checkpoints: everything that the next step depends on, whole or absent, read without running a pickle.

model, average, optimizer     as PyTorch tells them
schedule                      total and warm-up steps, last factor: a resume must have the same ones
progress                      stage, epoch, step, and batches of the epoch that are done
sums                          of the epoch in progress, for its line
random                        the generators of each process
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detui.engine.backends.torch_support import own_checkpoints
from detui.engine.backends.torch_support.generators import random_state as random_state
from detui.engine.backends.torch_support.generators import random_state_kept as random_state_kept
from detui.engine.backends.torch_support.generators import seed_everything as seed_everything
from detui.engine.backends.torch_support.generators import set_random_state as set_random_state
from detui.engine.errors import RunError

FORMAT = 1
_NAMES = own_checkpoints.Names(".pt")
checkpoint_path, milestone_path, prune = _NAMES.checkpoint, _NAMES.milestone, _NAMES.prune


def stage_of(path: Path) -> int | None:
    """The stage that a checkpoint was saved in; None where it holds weights alone. Raises RunError as `load` does."""
    progress = load(path).get("progress")
    return int(progress["index"]) if progress else None


def save(state: Mapping[str, Any], target: Path) -> None:
    """Write a checkpoint. Raises RunError when it cannot be written."""
    own_checkpoints.write({"format": FORMAT, **state}, target)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU. Raises RunError for a file that is torn, foreign, or of a newer detui."""
    state = own_checkpoints.read(path)
    if not isinstance(state, dict) or "model" not in state or "format" not in state:
        raise RunError("The file is no checkpoint of this backend.", where=str(path))
    own_checkpoints.check_format(state["format"], FORMAT, path)
    return state
