"""A task in the backend's environment: prediction, a speed, the description of a model, the check of weights."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from detui.engine import errors
from detui.engine.errors import DetuiError, MissingError, RunError
from detui.engine.process.attempt import worker_environment
from detui.engine.process.borrow import Borrowed
from detui.engine.process.descendants import TAG
from detui.engine.run.directory import RunDir
from detui.engine.run.files import read_json, write_json
from detui.engine.run.spec import RunSpec
from detui.engine.worker.task import RESULT, TASK


def run_task(
    run: RunDir, kind: str, arguments: Mapping[str, Any], on: Borrowed, *, threads: int | None = None
) -> dict[str, Any]:
    """Do a task with a checkpoint of a run and return its result.

    `kind`, `arguments`: what goes into the task.json of `detui.engine.worker.task`. `threads`: of the CPU, those of
    the run by default. Raises the error that the backend raised; after a crash its output is kept in the folder that
    the message names.
    """
    spec = run.spec()
    spec = replace(spec, threads=threads or spec.threads)
    return _run({**arguments, "kind": kind, "run": str(run.path.absolute())}, run, spec, on)


def spec_task(spec: RunSpec, kind: str, wanted: Mapping[str, Any], on: Borrowed, *, nice: int = 0) -> dict[str, Any]:
    """Do a task that needs no run: `describe` the model that a run of `spec` would build, or check its `weights`.

    `wanted`: as `detui.engine.worker.task` hands it on. `nice`: how much others go before it. Returns what the backend
    says. Raises as `run_task`.
    """
    nowhere = RunDir(Path(tempfile.gettempdir()) / "no-run")  # its path is a tag of the process, which is not set here
    task = {"wanted": dict(wanted), "kind": kind, "spec": spec.to_json(), "nice": nice}
    return _run(task, nowhere, spec, on)


def _run(task: Mapping[str, Any], run: RunDir, spec: RunSpec, on: Borrowed) -> dict[str, Any]:
    spec = replace(spec, device=replace(spec.device, kind=on.kind))
    folder = Path(tempfile.mkdtemp(prefix=f"detui-{task['kind']}-"))
    write_json(folder / TASK, {**task, "device": on.kind, "owner": os.getpid()})
    crashed = False
    try:
        code = _start(folder, run, spec, on)
        crashed = (folder / "traceback.txt").exists() or not (folder / RESULT).exists()
        return _result(folder, code)
    finally:
        if not crashed:
            shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path, run: RunDir, spec: RunSpec, on: Borrowed) -> int:
    """Run the process to its end and return its code, minus a signal."""
    environment = worker_environment(run, spec, on.devices, time.monotonic())
    del environment[TAG]  # it is not part of what a stop of the run ends
    command = [spec.python, "-m", "detui.engine.worker.task", str(folder)]
    try:
        with (folder / "console.log").open("wb") as console:
            return subprocess.run(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                pass_fds=[lease.descriptor for lease in on.leases],
                check=False,
            ).returncode
    except OSError as error:
        hint = "`detui doctor` checks the environments"
        raise MissingError(f"Cannot start {spec.python}: {error.strerror}.", hint=hint) from error


def _result(folder: Path, code: int) -> dict[str, Any]:
    console = folder / "console.log"
    try:
        said = read_json(folder / RESULT)
    except MissingError:
        end = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise RunError(f"The process ended with {end} and said nothing.", hint=f"read {console}") from None
    if "error" in said:
        raise _error(said["error"])
    result: dict[str, Any] = said["result"]
    return result


def _error(said: Mapping[str, Any]) -> DetuiError:
    """The error that the process raised; one of a class of the backend's own comes as what exits alike."""
    kind = getattr(errors, str(said["kind"]), RunError)
    found: DetuiError = kind(str(said["message"]), where=said.get("where"), hint=said.get("hint"))
    return found
