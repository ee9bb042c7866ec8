"""One process at a time, on this node: a locked file outside the workspace.

Not in the workspace, which may be an NFS home where locks are slow, emulated,
or lost. Two nodes that evaluate the same run are kept apart by looking again
at what is written just before writing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detui.engine.errors import RunError
from detui.engine.run.files import write_error


@contextmanager
def node_lock(purpose: str, path: Path) -> Iterator[None]:
    """Hold the lock for `purpose` on `path` (any file or folder); waits for whoever holds it.

    Freed by the kernel when the process ends, however it ends.
    """
    name = hashlib.sha256(f"{purpose}\0{path.resolve()}".encode("utf-8", "surrogateescape")).hexdigest()
    folder = Path(tempfile.gettempdir()) / f"detui-{os.getuid()}" / "locks"
    try:
        descriptor = os.open(_safe(folder) / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise write_error(folder, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _safe(folder: Path) -> Path:
    for level in (folder.parent, folder):
        level.mkdir(mode=0o700, exist_ok=True)
        if level.is_symlink() or level.stat().st_uid != os.getuid():
            # In a shared /tmp somebody else could have made it first, to lead our files elsewhere.
            hint = "set TMPDIR to a folder of your own on this machine"
            raise RunError("This folder for locks belongs to another user.", where=str(level), hint=hint)
    return folder
