"""Copies of Ultralytics' checkpoints under names of our own.

`last.pt` is overwritten in place and not atomically, so each epoch's is copied
whole to `s<stage>-e<epoch>.pt`: a line in metrics.jsonl that names a file
names those bytes for ever. The two newest are kept, and those of milestones.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from detui.engine.errors import RunError

KEPT = 2
"""One to resume from, and the one before in case that is torn."""
_NAME = re.compile(r"s(\d+)-e(\d+)\.pt")


def keep(source: Path, folder: Path, stage: int, epoch: int) -> Path:
    """Copy `source` whole or not at all, synced; drop what is older than the one before. Returns the copy."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"s{stage}-e{epoch:04}.pt"
    temporary = target.with_suffix(".tmp")
    shutil.copyfile(source, temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(target)
    for old in sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))[:-KEPT]:
        old.unlink(missing_ok=True)
    return target


def keep_for_good(checkpoint: Path, epoch: int) -> Path:
    """A second name for a milestone's checkpoint, which outlives the first. Returns it."""
    kept = checkpoint.with_name(f"epoch-{epoch:04}.pt")
    kept.unlink(missing_ok=True)
    try:
        os.link(checkpoint, kept)  # costs nothing: no file is written again under its name
    except OSError:  # a file system without hard links
        shutil.copyfile(checkpoint, kept)
    return kept


def readable(path: Path) -> Path:
    """The path, or a link to it where Ultralytics would not find it.

    It drops quotes and outer blanks from the path of a weight file, finds nothing, and looks for it on the network.
    """
    text = str(path)
    if "'" not in text and text == text.strip():
        return path
    folder = Path(tempfile.mkdtemp(prefix="detui-weights-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    link = folder / f"{hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()[:12]}.pt"
    link.symlink_to(path)
    return link


def stage_of(checkpoint: Path) -> int:
    """The stage that a checkpoint was saved in."""
    found = _NAME.fullmatch(checkpoint.name)
    return int(found.group(1)) if found else 0


def check_resumable(path: Path) -> None:
    """Raise RunError for a checkpoint that is torn or holds no optimizer.

    Ultralytics would otherwise start a new run on a data set of its own.
    """
    checkpoint = _load(path)
    if checkpoint.get("epoch", -1) < 0 or checkpoint.get("optimizer") is None:
        raise RunError("The checkpoint holds no optimizer state, so it cannot be resumed.", where=str(path))


def _load(path: Path) -> dict[str, Any]:
    from ultralytics.nn.tasks import torch_safe_load

    try:
        loaded: dict[str, Any] = torch_safe_load(str(readable(path)))[0]
    except (OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        message = f"The checkpoint cannot be read ({type(error).__name__}): it may be truncated."
        raise RunError(message, where=str(path), hint="start the run again") from error
    return loaded
