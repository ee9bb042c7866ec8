"""What Slurm starts of a run on each node of its job but the first: it has the ranks of this node started.

    python -m detui.engine.process.in_node ATTEMPT_DIR PORT MEETING

It connects to the supervisor's PORT, says what it got and how its ranks ended, and when that connection breaks ends all
that it started. MEETING is the port of the first node where the ranks meet.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from detui.engine.errors import DetuiError, RunError
from detui.engine.process.attempt import Worker, start_worker
from detui.engine.process.children import Reaper, become_subreaper
from detui.engine.process.descendants import sweep
from detui.engine.process.granted import Granted
from detui.engine.process.ledger import log
from detui.engine.process.node_link import TOKEN, keep_alive, line
from detui.engine.process.slurm import Job
from detui.engine.run.directory import AttemptDir
from detui.engine.run.files import write_error
from detui.engine.worker.ranks import KEEPER, MEETING, NODE, node_name

_TICK = 0.2
"""Seconds between two looks at the ranks; that the supervisor is gone is seen at once."""

_FAREWELL = 60.0
"""Seconds that the supervisor has to take note of the end."""


class Node:
    """One node of a run, as long as its ranks train."""

    def __init__(self, attempt: AttemptDir, number: int, connection: socket.socket, meeting: str) -> None:
        """`number`: which node this is, from 1; `meeting`: where the ranks of all nodes meet."""
        self._attempt = attempt
        self._console = attempt.path / f"console-node{number}.log"
        self._number = number
        self._connection = connection
        self._meeting = meeting
        self._reaper = Reaper()

    def run(self, job: Job) -> int:
        """Have the ranks started, say how they ended, and return the exit code of what started them."""
        try:
            self._log_to(self._console)  # srun, which has what this process prints, is not there for long
            code = self._train(job)
        except DetuiError as error:
            code = error.exit_code
            self._say(end={"code": code, "message": f"{node_name()}: {error}"})
        self._clear()
        self._heard(_FAREWELL)
        return code

    @staticmethod
    def _log_to(path: Path) -> None:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise write_error(path, error) from error
        for stream in (1, 2):
            os.dup2(descriptor, stream)
        os.close(descriptor)

    def _train(self, job: Job) -> int:
        spec = self._attempt.run.spec()
        leases = Granted(
            self._attempt.run.path, spec.device, job, lambda: self._heard(0.0), node=self._number
        ).until_taken()
        if leases is None:
            return 1
        self._say(devices=[lease.resource for lease in leases])
        place = {NODE: str(self._number), MEETING: self._meeting, KEEPER: str(os.getpid())}
        worker = start_worker(self._attempt, spec, leases, place, self._console)
        assert worker.process is not None
        self._reaper.expect(worker.process)
        if not self._watch(worker):
            return 1
        self._say(end=self._end(int(worker.code or 0)))
        return int(worker.code or 0)

    def _watch(self, worker: Worker) -> bool:
        """Wait for the end of the ranks; False where the supervisor wants it, or is gone."""
        while not worker.gone(self._reaper):
            if self._heard(_TICK):
                return False
        return True

    def _end(self, code: int) -> dict[str, Any]:
        first = self._attempt.first_failure(self._number) or {}
        done = self._attempt.done() if first else None
        return {"code": code, **first, **({"done": done} if done else {})}

    def _say(self, **said: Any) -> None:
        try:
            self._connection.sendall(line(**said))
        except OSError as error:  # the supervisor is gone, which is heard next
            log(f"the supervisor does not hear: {error}")

    def _heard(self, seconds: float) -> bool:
        """Whether the connection broke, or was ended, within so many seconds: it says nothing else."""
        ready, _, _ = select.select([self._connection], [], [], seconds)
        return bool(ready)

    def _clear(self) -> None:
        """Kill what is left of the ranks here."""
        killed = sweep(None, (), self._reaper.collect)
        if killed:
            log(f"{node_name()}: killed {killed} processes")


def connected(port: int) -> socket.socket:
    """Connect to the supervisor, and say who this is. Raises RunError where it cannot be reached."""
    host = os.environ.get("SLURM_LAUNCH_NODE_IPADDR", "")
    try:
        connection = socket.create_connection((host, port), timeout=30)
        keep_alive(connection)
        connection.settimeout(None)
        connection.sendall(line(token=os.environ.get(TOKEN), node=node_name(), time=time.time()))
    except OSError as error:
        hint = "the nodes of a job must reach each other over TCP"
        raise RunError(f"{node_name()} does not reach the first node at {host}:{port}: {error}.", hint=hint) from error
    return connection


def main(arguments: list[str]) -> int:
    """Be a node of a run; see the module's text. Returns the exit code of what started the ranks."""
    os.umask(0o077)
    # Slurm signals every process of a job that is to end: the ranks heed it, and the supervisor.
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _pass)
    become_subreaper()
    attempt, port, meeting = AttemptDir(Path(arguments[0])), int(arguments[1]), arguments[2]
    try:
        job = Job.of(os.environ)
        if job is None:
            raise RunError("This is no job of Slurm: SLURM_JOB_ID is not set.", hint="detui run … --executor slurm")
        node = int(os.environ.get("SLURM_NODEID") or 0) + 1  # the step leaves out the first one
        connection = connected(port)
    except DetuiError as error:
        sys.stderr.write(f"{error.message}\n")
        return error.exit_code
    place = f"{os.environ['SLURM_LAUNCH_NODE_IPADDR']}:{meeting}"
    with connection:
        return Node(attempt, node, connection, place).run(job)


def _pass(_number: int, _frame: FrameType | None) -> None:
    """Do nothing. Ignored, the signal would be ignored by what is started here, too."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
