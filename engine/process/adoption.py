"""Workers that outlived their supervisor: found by what was written of them, and supervised again.

A supervisor may be killed while its run trains on. Whoever of its user looks at the run next starts another in its
place, which serves requests, samples, evaluates and writes down the end. The worker is not its child: when it ends, its
own account (done.json) is believed, and without one its end is `lost`, because nobody saw it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from detui.engine.devices.processes import process_stat
from detui.engine.errors import RunError
from detui.engine.process.attempt import ZERO, Worker
from detui.engine.process.control import status
from detui.engine.process.descendants import tagged
from detui.engine.process.identity import Identity
from detui.engine.run.directory import AttemptDir, RunDir
from detui.engine.run.lines import read_lines


def orphan(run: RunDir) -> AttemptDir:
    """Return the attempt whose worker has no supervisor. Raises RunError where there is nothing to adopt."""
    now = status(run)
    latest = run.latest()
    if "orphaned" not in now.notes or latest is None:
        raise RunError(f"There is no worker to adopt: the run is {now.state.word}.", where=str(run.path))
    return latest


def adoptable(run: RunDir) -> bool:
    """Whether the run is this user's: another's worker could be neither looked at nor signalled."""
    return run.path.stat().st_uid == os.getuid()


def orphaned_worker(attempt: AttemptDir) -> Worker:
    """Return the worker of an attempt as one to be watched; it may end at any moment, or be gone already."""
    identity = Identity.from_json(attempt.worker()) or _leader(tagged(attempt.run.path.resolve()))
    zero = _zero(identity.pid) if identity else None
    return Worker(None, identity, time.monotonic() if zero is None else zero)


def _leader(pids: Sequence[int]) -> Identity | None:
    """The worker among the processes of a run whose supervisor died before it wrote whom it had started.

    A worker leads a session of its own, and is the first of its run to do so.
    """
    leaders = [stat for pid in pids if (stat := process_stat(pid)) is not None and _leads(pid)]
    return Identity.of(min(leaders, key=lambda stat: stat.start).pid) if leaders else None


def _leads(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


def _zero(pid: int) -> float | None:
    """What `t` counts from in the files of the attempt, which the worker carries in its environment."""
    try:
        content = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    mark = f"{ZERO}=".encode()
    found = next((word[len(mark) :] for word in content.split(b"\0") if word.startswith(mark)), None)
    try:
        return None if found is None else float(found)
    except ValueError:
        return None


def known_devices(attempt: AttemptDir) -> list[str] | None:
    """Return the devices that the events name for an attempt, None where it was not seen to train yet."""
    for line in reversed(read_lines(attempt.run.events_path)):
        if line.get("state") == "running" and line.get("attempt") == attempt.number:
            return [str(name) for name in line.get("device") or ()]
    return None
