"""Leases: locked files, one a device or run, in a directory of this node that all its users share.

A lease lasts as long as any process holds its descriptor. The worker inherits
the descriptors of its devices, so that a device frees exactly when the last
process of the run is gone. The directory is local to the node because locks
on NFS belong to a process, not to a descriptor.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from detui.engine.errors import RunError
from detui.engine.run.files import encode
from detui.engine.run.locks import taken

DEFAULT_DIRECTORY = Path("/var/tmp/detui-leases")
"""Not below /run or /dev/shm, which may be cleared when the user logs out."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A held lock. Ends when this descriptor and all that inherited it are closed."""

    resource: str
    """"cpu:0", a GPU's UUID, or "run:<hash>"."""
    path: Path
    descriptor: int

    def release(self) -> None:
        """Close this process's descriptor; others that inherited it keep the lease."""
        os.close(self.descriptor)

    def remove(self) -> None:
        """Give the lock up and remove its file: for locks that nobody will want again."""
        self.path.unlink(missing_ok=True)
        os.close(self.descriptor)


def lease_directory() -> Path:
    """Return the directory of this node's leases, made where it is absent. Raises RunError."""
    return shared_directory(named_directory())


def named_directory() -> Path:
    """Return where the leases of this node are, whether it is there or not."""
    return Path(os.environ.get("DETUI_LEASES") or DEFAULT_DIRECTORY)


def shared_directory(path: Path) -> Path:
    """Return a directory that all users of this node may write to, made where it is absent. Raises RunError."""
    try:
        path.mkdir(parents=True)
        path.chmod(0o1777)  # as /tmp: everybody may lock, nobody may remove what is another's
    except FileExistsError:
        pass
    except OSError as error:
        raise refused(path, error) from error
    return path


def run_resource(run: Path) -> str:
    """Return the name of the lock of a run: one path, however it is spelled, one lock."""
    return f"run:{hashlib.sha256(os.fsencode(run.resolve())).hexdigest()[:24]}"


def take(resource: str, holder: str) -> Lease | None:
    """Take the lease of one resource; None where somebody has it. Raises RunError where that cannot be known.

    `holder` is written into the file for people who wonder.
    """
    path = _path(lease_directory(), resource)
    for _ in range(20):
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if _is_still(path, descriptor):
            _write(descriptor, holder)
            return Lease(resource, path, descriptor)
        os.close(descriptor)  # its last holder removed the file between our opening and locking it
    raise RunError("The lock's file is replaced again and again.", where=str(path))


def held(resource: str) -> bool:
    """Tell whether somebody has the lease of a resource now, without waiting for it or leaving a trace."""
    path = _path(named_directory(), resource)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    return taken(descriptor)


def holder(resource: str) -> str | None:
    """Return who wrote himself into a lease as its holder, the last one where nobody has it; None: not known."""
    try:
        content = _path(named_directory(), resource).read_bytes()
        found = json.loads(content).get("holder")
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, str) else None


def take_some(count: int, candidates: Sequence[str], holder: str) -> list[Lease] | None:
    """Take `count` of the candidates, the first that are free; all of them or, with None, not one."""
    held: list[Lease] = []
    for resource in candidates:
        if len(held) == count:
            break
        lease = take(resource, holder)
        if lease is not None:
            held.append(lease)
    if len(held) == count:
        return held
    for lease in held:
        lease.release()
    return None


def _path(directory: Path, resource: str) -> Path:
    return directory / (re.sub(r"[^A-Za-z0-9_.-]", "_", resource) + ".lock")


def _open(path: Path) -> int:
    """Open a lock's file. Not with O_CREAT if it exists: sticky directories refuse that for another's file."""
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, os.O_RDWR | flags)
    except FileNotFoundError:
        return _create(path, flags)
    except PermissionError:
        return _open_readable(path, flags)
    except OSError as error:
        raise refused(path, error) from error


def _create(path: Path, flags: int) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | flags, 0o666)
    except FileExistsError:
        return _open(path)
    except OSError as error:
        raise refused(path, error) from error
    os.fchmod(descriptor, 0o666)  # whatever the umask: other users must be able to lock it
    return descriptor


def _open_readable(path: Path, flags: int) -> int:
    """Open another user's file that may only be read: that is enough to lock it."""
    try:
        return os.open(path, os.O_RDONLY | flags)
    except OSError as error:
        raise refused(path, error) from error


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        found = path.stat(follow_symlinks=False)
    except OSError:
        return False
    mine = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino)


def _write(descriptor: int, holder: str) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, encode({"holder": holder, "pid": os.getpid()}) + b"\n", 0)
    except OSError:  # a full disk, or only readable: the lock holds all the same
        return


def refused(path: Path, error: OSError) -> RunError:
    """Return the error for a file of the shared directory that cannot be opened or written."""
    return RunError(
        f"The lease cannot be opened: {error.strerror}.",
        where=str(path),
        hint="DETUI_LEASES names another directory on this machine; all its users must name the same",
    )
