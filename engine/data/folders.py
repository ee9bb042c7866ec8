"""Folders that are whole or absent, whoever builds them at the same time."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from detui.engine.run.files import sync_directory, write_error

_STALE = 24 * 3600.0
"""A half-made folder that nobody has touched for so many seconds belongs to a process that was killed."""


def appear_whole(folder: Path, fill: Callable[[Path], None]) -> bool:
    """Make `folder` by filling a temporary sibling and renaming it; True if this call made it.

    Of several processes the first one's folder stays, and the others use that. Raises RunError when the
    place cannot be written; nothing is left behind when `fill` raises.
    """
    if folder.is_dir():
        return False
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        new = folder.with_name(f".{folder.name}-{os.getpid()}-{secrets.token_hex(4)}")
        new.mkdir()
    except OSError as error:
        raise write_error(folder, error) from error
    try:
        fill(new)
        return _rename(new, folder)
    except OSError as error:
        raise write_error(folder, error) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _rename(new: Path, folder: Path) -> bool:
    try:
        new.rename(folder)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    sync_directory(folder.parent)
    return True


def _sweep(folder: Path) -> None:
    """Remove what a process that was killed left behind a day ago or earlier."""
    for left in folder.parent.iterdir():
        if not left.name.startswith(f".{folder.name}-"):
            continue
        with suppress(FileNotFoundError):  # its process is alive after all and has just renamed it
            if time.time() - left.stat().st_mtime > _STALE:
                shutil.rmtree(left, ignore_errors=True)
