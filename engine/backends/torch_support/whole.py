"""Files that a framework writes itself, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from detui.engine.errors import RunError
from detui.engine.run.files import write_error


def whole(write: Callable[[Path], object], target: Path) -> None:
    """Let `write` make the file under another name, sync it, and rename it to `target`.

    Raises RunError when it cannot be written: a full disk, say.
    """
    temporary = target.with_suffix(".tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except (OSError, RuntimeError) as error:  # torch turns a full disk into a RuntimeError of its archive writer
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise write_error(target, error) from error
        raise RunError(f"The checkpoint could not be written: {error}", where=str(target), hint="df -h") from error
