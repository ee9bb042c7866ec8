"""Checkpoints of backends that write their own: what they are called, which are kept, and reading them back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detui.engine.backends.torch_support.whole import whole
from detui.engine.errors import RunError

KEPT = 2
"""Checkpoints to resume from that are kept: one, and the one before in case that is torn."""


@dataclass(frozen=True, slots=True)
class Names:
    """How the files are called."""

    suffix: str
    """With its dot."""

    def checkpoint(self, folder: Path, stage: int, step: int) -> Path:
        """Where the checkpoint after a step of the run lies."""
        return folder / f"s{stage}-step{step:08}{self.suffix}"

    def milestone(self, folder: Path, epoch: int) -> Path:
        """Where the checkpoint of a milestone lies, which no later one replaces."""
        return folder / f"epoch-{epoch:04}{self.suffix}"

    def prune(self, folder: Path) -> None:
        """Remove all checkpoints but the newest ones and those of milestones."""
        mine = re.compile(rf"s\d+-step\d+{re.escape(self.suffix)}")
        for old in sorted(path for path in folder.iterdir() if mine.fullmatch(path.name))[:-KEPT]:
            old.unlink(missing_ok=True)


def write(content: Mapping[str, Any], target: Path) -> None:
    """Write a checkpoint, whole or not at all. Raises RunError when it cannot be written."""
    import torch

    whole(lambda path: torch.save(dict(content), path), target)


def read(path: Path) -> Any:
    """What lies in a checkpoint, on the CPU. Raises RunError for a file that is torn, or of another format.

    Tensors and plain values alone are read: nothing that may stand in the file is run.
    """
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken pickle leads its reader into errors of any kind
        message = f"The checkpoint cannot be read ({type(error).__name__}): it is torn, or of another format."
        raise RunError(message, where=str(path), hint="start the run again, or resume from an earlier one") from error


def check_format(found: int, known: int, path: Path) -> None:
    """Raise RunError for a checkpoint of a newer detui."""
    if found > known:
        message = f"The checkpoint has format {found}; this detui reads up to {known}."
        raise RunError(message, where=str(path), hint="update detui to the version that wrote it")
