"""Starting a run's supervisor, so that it outlives whoever starts it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from detui.engine.devices.logind import outliving
from detui.engine.errors import RunError
from detui.engine.process.adoption import orphan
from detui.engine.process.control import settled, status, supervised
from detui.engine.run.directory import RunDir
from detui.engine.run.files import write_error
from detui.engine.run.state import read_state

READY_SECONDS = 60.0
"""How long a supervisor may take to say that it owns its run, on a machine under load."""

LEAVE_SECONDS = 3.0
"""How long to wait for the supervisor of a run that has just ended."""


def launch(run: RunDir, *, resume: bool = False, fresh: bool = False) -> None:
    """Start the run's supervisor and return once it owns the run.

    `resume`: a new attempt of a run that has ended, from its last checkpoint, or with `fresh` from the beginning.

    Raises RunError: the run is being supervised, has ended, or has finished.
    """
    run = RunDir(run.path.resolve())
    run.spec()
    _refuse(run, resume)
    _own(run, [*(["--resume"] if resume else []), *(["--fresh"] if fresh else [])])


def adopt(run: RunDir) -> bool:
    """Start a supervisor for a run whose own died while its worker trains on; return once it owns the run.

    False where somebody else did just that, or the worker has ended meanwhile. Raises RunError where it cannot be done.
    """
    run = RunDir(run.path.resolve())
    try:
        orphan(run)
        _own(run, ["--adopt"])
    except RunError:
        if "orphaned" in status(run).notes:
            raise
        return False
    return True


def _own(run: RunDir, flags: list[str]) -> None:
    """Start a supervisor and wait for its word that it owns the run. Raises RunError with its reason."""
    read_end, write_end = os.pipe()
    try:
        _start(run, flags, write_end)
    finally:
        os.close(write_end)
    try:
        answer = _await(run, read_end)
    finally:
        os.close(read_end)
    if answer["problem"] is not None:
        problem = answer["problem"]
        raise RunError(problem["message"], where=problem["where"], hint=problem["hint"])


def _refuse(run: RunDir, resume: bool) -> None:
    """Refuse early what the supervisor would refuse, in the words of the present state."""
    if supervised(run):
        if read_state(run).terminal:
            if _leaves(run):
                return _refuse(run, resume)
            hint = "wait a moment and try again"
            raise RunError("Its results are still being evaluated, or its hooks run.", where=str(run.path), hint=hint)
        hint = f"detui tail {run.name} shows what it does, detui stop {run.name} ends it"
        raise RunError("The run is being supervised already.", where=str(run.path), hint=hint)
    state = settled(run)
    if state.terminal and not resume:
        hint = f"detui resume {run.name}"
        raise RunError(f"The run has ended already: {state.word}.", where=str(run.path), hint=hint)
    return None


def _leaves(run: RunDir) -> bool:
    """Give the supervisor of an ended run a moment to leave. Returns whether it did."""
    deadline = time.monotonic() + LEAVE_SECONDS
    while time.monotonic() < deadline:
        if not supervised(run):
            return True
        time.sleep(0.05)
    return False


def _start(run: RunDir, flags: list[str], ready: int) -> None:
    """Start the process, which detaches itself; what is started here ends at once and is waited for."""
    command = [sys.executable, "-m", "detui.engine.process.supervisor", str(run.path), "--ready", str(ready)]
    scope = outliving()
    if scope and _begin(run, [*scope, *command, *flags], ready) == 0:
        return
    _begin(run, [*command, *flags], ready)  # also where the user's manager does not answer: it says so in the log


def _begin(run: RunDir, command: list[str], ready: int) -> int:
    """Run a command that detaches what it starts, and return its exit code. Raises RunError."""
    try:
        with run.supervisor_log.open("ab") as log:
            started = subprocess.Popen(
                command,
                cwd="/",  # the supervisor must not keep a file system busy that somebody wants to unmount
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[ready],
            )
    except FileNotFoundError as error:
        if command[0] != sys.executable:
            return 127
        raise write_error(run.supervisor_log, error) from error
    except OSError as error:
        raise write_error(run.supervisor_log, error) from error
    return started.wait()


def _await(run: RunDir, descriptor: int) -> dict[str, Any]:
    content = b""
    while select.select([descriptor], [], [], READY_SECONDS)[0]:
        block = os.read(descriptor, 65536)
        if not block:
            break
        content += block
    if not content:
        hint = f"read {run.supervisor_log}: {_last_words(run.supervisor_log)}"
        raise RunError("The supervisor did not start.", where=str(run.path), hint=hint)
    answer: dict[str, Any] = json.loads(content)
    return answer


def _last_words(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").split("\n")
    except OSError:
        return "it is empty"
    return next((line for line in reversed(lines) if line.strip()), "it is empty")
