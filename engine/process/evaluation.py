"""The evaluation beside a run: a niced process in detui's environment whenever predictions wait."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from detui.engine.process.children import Reaper
from detui.engine.process.descendants import TAG
from detui.engine.process.identity import Identity
from detui.engine.process.ledger import log
from detui.engine.process.requests import Requests
from detui.engine.run.directory import RunDir
from detui.engine.run.files import write_json

NICENESS = 10
"""An evaluation gives way to the training beside it."""


class Evaluation:
    """Starts the command `after` of a spec, one process at a time."""

    def __init__(self, run: RunDir, command: Sequence[str], reaper: Reaper) -> None:
        self._run = run
        self._command = command
        self._reaper = reaper
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted = False

    @property
    def pids(self) -> list[int]:
        """The evaluating process, while there is one."""
        return [self._process.pid] if self._process else []

    def want(self) -> None:
        """Say that predictions wait; the next `tick` starts a process, or the one after the present ends."""
        self._wanted = bool(self._command)

    def tick(self) -> None:
        """Note the end of the process that runs, and start another where one is wanted."""
        if self._process is not None:
            code = self._reaper.code(self._process)
            if code is None:
                return
            self._ended(code)
        if self._wanted:
            self._wanted = False
            self._start()

    def finish(self, requests: Requests, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Evaluate and record what is left after the worker's end; a kill request ends that, too.

        `meanwhile` is called several times a second as long as it takes.
        """
        self.want()
        self.tick()
        while self._process is not None:
            requests.poll()
            if requests.kill_at is not None:
                self._process.kill()
            meanwhile()
            time.sleep(0.05)
            self.tick()

    def abandon(self) -> None:
        """End the process that runs: what it has not evaluated waits for another."""
        if self._process is not None:
            self._process.kill()
            self._process = None
            self._run.evaluating_path.unlink(missing_ok=True)

    def _start(self) -> None:
        latest = self._run.latest()
        folder = latest.path if latest else self._run.path
        # Without the run's tag: it is not part of what a stop or a sweep ends. Without the run's devices.
        environment = {name: value for name, value in os.environ.items() if name != TAG}
        environment["CUDA_VISIBLE_DEVICES"] = ""
        try:
            with (folder / "after.log").open("ab") as output:
                self._process = subprocess.Popen(
                    [*self._command, str(self._run.path)],
                    cwd=self._run.path,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            os.setpriority(os.PRIO_PROCESS, self._process.pid, NICENESS)
        except OSError as error:
            log(f"no evaluation: {error}")
            return
        self._reaper.expect(self._process)
        self._tell(self._process, folder / "after.log")

    def _tell(self, process: subprocess.Popen[bytes], output: Path) -> None:
        identity = Identity.of(process.pid)
        if identity is not None:
            write_json(self._run.evaluating_path, {"process": identity.to_json(), "log": str(output)})

    def _ended(self, code: int) -> None:
        self._process = None
        if code:
            log(f"the evaluation ended with {code}: see after.log")
            write_json(self._run.evaluating_path, {"failed": code})
        else:
            self._run.evaluating_path.unlink(missing_ok=True)
