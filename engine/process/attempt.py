"""A new attempt: its directory, where it starts from, and the process that trains."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from detui.engine.errors import RunError
from detui.engine.process.children import Reaper
from detui.engine.process.descendants import TAG
from detui.engine.process.identity import Identity
from detui.engine.process.lease import Lease
from detui.engine.run.directory import AttemptDir, RunDir
from detui.engine.run.files import write_error
from detui.engine.run.spec import RunSpec
from detui.engine.worker.ranks import KEEPER, LAUNCHER, MEETING, NODE

_DISTRIBUTED = frozenset({
    "RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK", "ROLE_NAME", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE",
    "ROLE_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT",
    "TORCHELASTIC_MAX_RESTARTS", "TORCHELASTIC_USE_AGENT_STORE", "TORCHELASTIC_ERROR_FILE", LAUNCHER,
    NODE, MEETING, KEEPER,
})  # fmt: skip
"""What torchrun or a batch system left in the environment: frameworks would wait for ranks that do not exist."""

ZERO = "DETUI_T0"
"""Environment variable of the worker with the CLOCK_MONOTONIC second from which `t` counts."""


@dataclass(slots=True)
class Worker:
    """A worker that was started here, or that a supervisor which died has left behind."""

    process: subprocess.Popen[bytes] | None
    """None for one that was adopted: how it ends can be seen, its exit code cannot."""
    identity: Identity | None
    """None if it ended before it could be looked at."""
    zero: float
    """CLOCK_MONOTONIC second from which `t` counts in all files of the attempt."""

    @property
    def pid(self) -> int | None:
        """Its pid, None if it was gone before it could be adopted."""
        if self.process is not None:
            return self.process.pid
        return self.identity.pid if self.identity else None

    def gone(self, reaper: Reaper) -> bool:
        """Whether it has ended; `code` is known then, if it can be."""
        if self.process is not None:
            return reaper.code(self.process) is not None
        return self.identity is None or not self.identity.alive()

    @property
    def code(self) -> int | None:
        """How one that is gone has ended: exit code, minus a signal; None where nobody could see it."""
        return None if self.process is None else self.process.returncode


def make_attempt(run: RunDir) -> AttemptDir:
    """Make the directory of the next attempt: who makes it owns it. Raises RunError."""
    latest = run.latest()
    attempt = run.attempt(latest.number + 1 if latest else 1)
    try:
        run.attempts_dir.mkdir(exist_ok=True)
        attempt.path.mkdir()
    except FileExistsError as error:
        raise RunError("Another host started this run just now.", where=str(attempt.path)) from error
    except OSError as error:
        raise write_error(attempt.path, error) from error
    return attempt


def start_worker(
    attempt: AttemptDir,
    spec: RunSpec,
    leases: Sequence[Lease],
    place: Mapping[str, str] | None = None,
    console: Path | None = None,
) -> Worker:
    """Start the worker in a session of its own, holding its devices' leases. Raises RunError.

    `place`: what says of a run on several nodes which one this is; `console`: where its output goes instead.
    """
    zero = time.monotonic()
    # One process trains by itself; several are ranks, and the main process of the run is what starts them.
    module = "detui.engine.worker" if spec.ranks == 1 else "detui.engine.worker.launch"
    command = [spec.python, "-m", module, str(attempt.path)]
    try:
        with (console or attempt.console_path).open("ab") as output:
            process = subprocess.Popen(
                command,
                cwd=attempt.path,
                env={
                    **worker_environment(attempt.run, spec, [lease.resource for lease in leases], zero),
                    **(place or {}),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=[lease.descriptor for lease in leases],
            )
    except OSError as error:
        hint = "`detui doctor` checks the environments"
        raise RunError(f"Cannot start {spec.python}: {error.strerror}.", hint=hint) from error
    return Worker(process, Identity.of(process.pid), zero)


def worker_environment(
    run: RunDir, spec: RunSpec, devices: Sequence[str], zero: float, inherited: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the worker's environment: what is inherited, what the spec sets, and what the run is tagged by."""
    path = [*spec.pythonpath, *filter(None, [inherited.get("PYTHONPATH")])]
    visible = ",".join(devices) if spec.device.kind == "cuda" else ""
    kept = {name: value for name, value in inherited.items() if name not in _DISTRIBUTED}
    return {
        **kept,
        **spec.environ,
        "OMP_NUM_THREADS": str(spec.threads),
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": visible,
        "PYTHONUNBUFFERED": "1",
        ZERO: repr(zero),
        TAG: str(run.path),
        **({"PYTHONPATH": os.pathsep.join(path)} if path else {}),
    }
