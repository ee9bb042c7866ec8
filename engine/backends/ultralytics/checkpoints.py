"""Copies of Ultralytics' checkpoints under names of our own.

`last.pt` is overwritten in place and not atomically, so each epoch's is written
whole to `s<stage>-e<epoch>.pt`: a line in metrics.jsonl that names a file
names those bytes for ever. The two newest are kept, with what a resume needs,
and those of milestones with the weights that were evaluated.
"""

from __future__ import annotations

import atexit
import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from detui.engine.backends.torch_support.whole import whole
from detui.engine.errors import MissingError, RunError

KEPT = 2
"""One to resume from, and the one before in case that is torn."""
_NAME = re.compile(r"s(\d+)-e(\d+)\.pt")


def keep(write: Callable[[Path], None], folder: Path, stage: int, epoch: int) -> Path:
    """Let `write` make the checkpoint of an epoch, whole or not at all, synced; drop what is older than the one before.

    Returns where it lies. Raises RunError when it cannot be written: a full disk, say.
    """
    target = place(folder, stage, epoch)
    whole(write, target)
    for old in sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))[:-KEPT]:
        old.unlink(missing_ok=True)
    return target


def place(folder: Path, stage: int, epoch: int) -> Path:
    """Where `keep` puts an epoch's checkpoint."""
    return folder / f"s{stage}-e{epoch:04}.pt"


def keep_for_good(write: Callable[[Path], None], folder: Path, epoch: int) -> Path:
    """Let `write` make a milestone's checkpoint, which no later one replaces. Returns it. Raises RunError likewise."""
    target = folder / f"epoch-{epoch:04}.pt"
    whole(write, target)
    return target


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


def place_of(checkpoint: Path) -> tuple[int, int | None]:
    """The stage that a checkpoint was saved in, and after which epoch of the run; 0 and None for a foreign name."""
    found = _NAME.fullmatch(checkpoint.name)
    return (int(found.group(1)), int(found.group(2))) if found else (0, None)


def resumable(path: Path) -> dict[str, Any]:
    """The checkpoint's content. Raises RunError for one that is torn or holds no optimizer.

    Ultralytics would otherwise start a new run on a data set of its own.
    """
    checkpoint = load(path)
    if checkpoint.get("epoch", -1) < 0 or checkpoint.get("optimizer") is None:
        raise RunError("The checkpoint holds no optimizer state, so it cannot be resumed.", where=str(path))
    return checkpoint


def load(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, which runs what stands in it. Raises RunError for one that cannot be read,
    MissingError where a package of its model is absent.
    """
    from ultralytics.nn.tasks import torch_safe_load

    try:
        loaded: dict[str, Any] = torch_safe_load(str(readable(path)))[0]
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        message = f"The checkpoint holds a model of the package {package}, which is not installed here."
        hint = "pip install -c constraints.txt 'detui[ultralytics]'"
        raise MissingError(message, where=str(path), hint=hint) from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, TypeError, AssertionError, AttributeError) as error:
        what = "it is truncated, or of another format or version"
        message = f"The checkpoint cannot be read ({type(error).__name__}): {what}."
        raise RunError(message, where=str(path), hint="start the run again") from error
    return loaded
