"""What a path holds that another tool left: the first reader that knows it says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from detui.engine.errors import MissingError, RunError, UsageError
from detui.engine.importing import openmmlab_left, ultralytics_left
from detui.engine.importing.left import Left

KNOWN = (
    "a text log of mmcv 1.x (with or without printed AQR blocks), a scalars.json of mmengine, a work directory of "
    "either, or a run directory of Ultralytics (results.csv)"
)


def left(paths: Sequence[Path]) -> Left:
    """Find out what was left of one training. Several paths are the parts of one log, in order.

    Raises MissingError where a path is absent, UsageError where it holds nothing that is known.
    """
    for path in paths:
        if not path.exists():
            raise MissingError("There is no such file or folder.", where=str(path))
    first = paths[0]
    try:
        if len(paths) == 1 and (found := ultralytics_left.read(first) or openmmlab_left.read_folder(first)):
            return found
        if all(path.is_file() for path in paths) and (found := openmmlab_left.read_files(paths)):
            return found
    except OSError as error:
        raise RunError(f"Cannot read: {error.strerror}.", where=str(error.filename or first)) from error
    raise UsageError("Nothing here is known.", where=str(first), hint=f"what can be imported is {KNOWN}")
