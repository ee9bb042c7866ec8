"""Replace a file that somebody may be editing, without ever losing what they saved."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path

from detui.engine.errors import RunError
from detui.engine.run.files import sync_directory, write_error

TRIES = 20
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)


def update(path: Path, change: Callable[[bytes | None], bytes | None]) -> bool:
    """Replace the content of `path` by `change(content)`; tell whether anything was written.

    `change` gets None for an absent file, and answers None for "leave it". It
    is called again whenever somebody else saved between reading and replacing.
    Raises RunError where the file cannot be written, or changes without end.
    """
    target = path.resolve()
    try:
        for _ in range(TRIES):
            content = _read(target)
            wanted = change(content)
            if wanted is None or wanted == content:
                return False
            if _replace(target, content, wanted):
                return True
    except OSError as error:
        raise write_error(path, error) from error
    raise RunError(
        "Something else rewrites this file all the time.", where=str(path), hint="detui record fill EXPERIMENT"
    )


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _replace(path: Path, expected: bytes | None, wanted: bytes) -> bool:
    """Put `wanted` in the place of `expected`; False when something else stands there by now."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _write(temporary, wanted, path if expected is not None else None)
        done = _create(temporary, path) if expected is None else _swap(temporary, path, expected)
        sync_directory(path.parent)
        return done
    finally:
        temporary.unlink(missing_ok=True)


def _write(temporary: Path, content: bytes, like: Path | None) -> None:
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if like is not None:
        temporary.chmod(like.stat().st_mode & 0o7777)


def _create(temporary: Path, path: Path) -> bool:
    try:
        os.link(temporary, path)  # unlike a rename, refuses to overwrite what came in between
    except FileExistsError:
        return False
    except OSError:  # no hard links on this file system
        if path.exists():
            return False
        temporary.replace(path)
    return True


def _swap(temporary: Path, path: Path, expected: bytes) -> bool:
    if _read(path) != expected:
        return False
    if not _exchange(temporary, path):
        temporary.replace(path)
        return True
    if _read(temporary) == expected:
        return True
    _exchange(temporary, path)  # they saved in the last moment: theirs goes back, and we merge again
    return False


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step, so that whatever was replaced is still in hand. False where impossible."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NO_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(other))
