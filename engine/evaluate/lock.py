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


@contextmanager
def node_lock(purpose: str, path: Path) -> Iterator[None]:
    """Hold the lock for `purpose` on `path` (any file or folder); waits for whoever holds it.

    Freed by the kernel when the process ends, however it ends.
    """
    name = hashlib.sha256(f"{purpose}\0{path.resolve()}".encode("utf-8", "surrogateescape")).hexdigest()
    descriptor = os.open(_folder() / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"detui-{os.getuid()}" / "locks"
    for level in (folder.parent, folder):
        level.mkdir(mode=0o700, exist_ok=True)
        if level.is_symlink() or level.stat().st_uid != os.getuid():
            # In a shared /tmp somebody else could have made it first, to lead our files elsewhere.
            raise RunError(
                "This folder for locks belongs to another user.",
                where=str(level),
                hint="set TMPDIR to a folder of your own on this machine",
            )
    return folder
