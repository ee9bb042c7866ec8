"""One process at a time makes or removes an environment of a name: a locked file beside them.

The descriptor is handed to the installer, so that the lock holds until the
last process that writes into the folder is gone, however detui itself ended.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from detui.engine.run.files import write_error
from detui.engine.run.locks import taken

_NOT_OURS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


@contextmanager
def locked(root: Path, name: str, waiting: Callable[[], None] | None) -> Iterator[int]:
    """Hold the lock of the name; gives its descriptor. `waiting` is called once where somebody else has it.

    Without `waiting`, raises BlockingIOError instead of waiting. Raises RunError where `root` cannot be written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(_file(root, name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        found = write_error(root, error)
        if error.errno in _NOT_OURS:
            found.hint = "set DETUI_ENVIRONMENTS to a folder that you may write"
        raise found from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is None:
                raise
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def is_locked(root: Path, name: str) -> bool:
    """Whether somebody makes or removes an environment of the name at this moment."""
    try:
        return taken(os.open(_file(root, name), os.O_RDONLY | os.O_CLOEXEC))
    except OSError:
        return False


def _file(root: Path, name: str) -> Path:
    return root / f".{name}.lock"
