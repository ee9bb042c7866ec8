"""Which of several processes this one is that train together: what torchrun says, and its tie to who started it."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Mapping

LAUNCHER = "DETUI_LAUNCHER"
"""Environment variable of a rank with the pid of the process that starts all of them on its node."""

NODE = "DETUI_NODE"
"""Environment variable of what starts the ranks of a run on several nodes: which of them this is, from 0."""

MEETING = "DETUI_MEETING"
"""Environment variable of the same: where all ranks meet, "address:port"."""

KEEPER = "DETUI_KEEPER"
"""Environment variable of the same: the pid of the process that started it, and that it is not to outlive."""

_PR_SET_PDEATHSIG = 1


def node_name(environ: Mapping[str, str] = os.environ) -> str:
    """Return what Slurm calls this node, or the name of this host where it is none of Slurm's."""
    return environ.get("SLURMD_NODENAME") or os.uname().nodename


def own_launcher(environ: Mapping[str, str] = os.environ) -> int | None:
    """Return the pid of the process that started this one as a rank; None for a worker that trains by itself."""
    return int(environ[LAUNCHER]) if LAUNCHER in environ else None


def own_rank(environ: Mapping[str, str] = os.environ) -> int:
    """Return the rank of this process, from 0; 0 for a worker that trains by itself.

    Only beside a launcher of detui's: what any other left in the environment is not meant.
    """
    return int(environ.get("RANK") or 0) if LAUNCHER in environ else 0


def end_with_launcher(environ: Mapping[str, str] = os.environ) -> None:
    """Let the kernel end this rank when the process that started it ends, whoever watches the run then.

    A rank without the others waits for them for ever, on a device of its own. SIGTERM, which that process holds back
    for itself and a rank inherits so, ends it again.
    """
    launcher = own_launcher(environ)
    if launcher is None:
        return
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    end_with_parent(launcher)


def end_with_parent(parent: int) -> None:
    """Let the kernel end this process when its parent, which has that pid, ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it has ended already
        os.kill(os.getpid(), signal.SIGKILL)
