"""The other nodes of a run's job, as its supervisor has them, which runs on the first one.

One srun starts `in_node` on each of them. Each connects to the supervisor, and that connection is all that ties them:
through it a node says what it got and how its ranks ended, and when it breaks, the node ends all that it started. srun
is needed no longer then, and is ended: at the SIGTERM that Slurm sends to everything in a job that is to end, it would
have the ranks killed before they could save.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from detui.engine.devices.processes import descendants
from detui.engine.errors import DetuiError, MissingError, RunError
from detui.engine.process.children import Reaper
from detui.engine.process.descendants import TAG
from detui.engine.process.identity import Identity
from detui.engine.process.ledger import log
from detui.engine.process.node_link import TOKEN, Node, keep_alive, listening
from detui.engine.process.slurm import call
from detui.engine.run.directory import AttemptDir
from detui.engine.run.files import write_error
from detui.engine.run.spec import RunSpec
from detui.engine.worker.ranks import KEEPER, MEETING, NODE

PATIENCE = 120.0
"""Seconds until all other nodes must have connected."""

SETTLE = 20.0
"""Seconds that nodes have to say how their ranks ended, once those of the first node have."""

ALONE = 30.0
"""Seconds that the ranks of the first node have to notice that those of another have failed: NCCL may wait for ever."""

_LEAVE = 15.0
"""Seconds that nodes have to end everything, before Slurm is asked to."""

_APART = 2.0
"""Failures on several nodes that lie so many seconds apart count as one."""


class OtherNodes:
    """Starts the other nodes of an attempt, hears what becomes of them, and ends them."""

    def __init__(self, attempt: AttemptDir, spec: RunSpec, reaper: Reaper) -> None:
        """Raises RunError where no port can be listened on."""
        self._attempt = attempt
        self._count = spec.nodes - 1
        self._reaper = reaper
        self._token = secrets.token_hex(16)
        self._nodes: list[Node] = []
        self._srun: subprocess.Popen[bytes] | None = None
        self._began = time.monotonic()
        self._failed_at: float | None = None
        self._handed_over = self._closing = False
        self.trouble: str | None = None
        """Why the run cannot go on without a node that is missing."""
        self.lost: str | None = None
        """The node that was there and is gone without a word."""
        try:
            self._door = listening()
            with listening() as free:
                self._meeting = int(free.getsockname()[1])
        except OSError as error:
            raise RunError(f"No port can be listened on for the other nodes: {error.strerror}.") from error

    @property
    def first(self) -> dict[str, str]:
        """The environment of what starts the ranks of the first node. Without a supervisor no node goes on."""
        return {NODE: "0", MEETING: f"127.0.0.1:{self._meeting}", KEEPER: str(os.getpid())}

    @property
    def devices(self) -> dict[str, list[str]]:
        """What each node that is there has, by its name."""
        return {node.name: list(node.devices) for node in self._known()}

    @property
    def hopeless(self) -> bool:
        """Whether the ranks of the first node are to be ended: others are missing, and they do not notice."""
        if self.trouble is not None:
            return True
        return self._failed_at is not None and time.monotonic() - self._failed_at > ALONE

    def start(self) -> None:
        """Have Slurm start the nodes. Raises RunError, or MissingError without srun."""
        port = self._door.getsockname()[1]
        own = [sys.executable, "-m", "detui.engine.process.in_node", str(self._attempt.path), str(port)]
        cpus = os.environ.get("SLURM_CPUS_PER_TASK")
        words = [
            "srun", f"--nodes={self._count}", f"--ntasks={self._count}", "--ntasks-per-node=1", "--relative=1",
            *([f"--cpus-per-task={cpus}"] if cpus else []), "--mpi=none", "--input=none", "--export=ALL", "--chdir=/",
            *own, str(self._meeting),
        ]  # fmt: skip
        environ = {**os.environ, TOKEN: self._token, TAG: str(self._attempt.run.path)}
        try:
            with self._log_path.open("ab") as output:
                self._srun = subprocess.Popen(
                    words, cwd="/", env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                    start_new_session=True,
                )  # fmt: skip
        except FileNotFoundError:
            hint = "the nodes of the cluster need Slurm's programs for runs of several nodes"
            raise MissingError("There is no program srun here.", hint=hint) from None
        except OSError as error:
            raise write_error(self._log_path, error) from error
        self._reaper.expect(self._srun)

    @property
    def _log_path(self) -> Path:
        """What srun says, and a node as long as it has no console of its own."""
        return self._attempt.path / "nodes.log"

    def tick(self) -> None:
        """Hear what is new of the nodes."""
        self._let_in()
        for node in [node for node in self._nodes if not node.gone]:
            for line in node.lines():
                self._hear(node, line)
            if node.gone:
                self._miss(node)
        if not self._handed_over and not self._closing:
            self._see_to_the_start()

    def _known(self) -> list[Node]:
        return [node for node in self._nodes if node.name]

    def _let_in(self) -> None:
        with suppress(BlockingIOError):
            while True:
                connection, _ = self._door.accept()
                connection.setblocking(False)
                keep_alive(connection)
                self._nodes.append(Node(connection))

    def _hear(self, node: Node, line: dict[str, Any]) -> None:
        if not node.name:
            if not secrets.compare_digest(str(line.get("token")).encode(), self._token.encode()):
                log("a stranger connected to the port for the other nodes, and was sent away")
                node.gone = True
                return
            node.name, node.behind = str(line.get("node") or "?"), time.time() - float(line.get("time") or 0.0)
        node.devices = tuple(map(str, line.get("devices") or node.devices))
        if isinstance(line.get("end"), dict):
            node.end = line["end"]
            if node.end.get("code") and self._failed_at is None:
                # Where no rank was started, none of the first node can notice that one is gone.
                self._failed_at = time.monotonic() - (0.0 if "rank" in node.end else ALONE)

    def _miss(self, node: Node) -> None:
        """A connection has ended."""
        node.connection.close()
        if not node.name:
            self._nodes.remove(node)
        elif node.end is None and self.lost is None and not self._closing:
            self.lost = node.name
            self.trouble = f"the node {node.name} was lost, or what started its ranks was killed"

    def _see_to_the_start(self) -> None:
        assert self._srun is not None
        code, late = self._reaper.code(self._srun), time.monotonic() - self._began > PATIENCE
        if len(self._known()) == self._count:
            self._hand_over()
        elif (code is not None or late) and self.trouble is None:
            said = f"srun ended with {code}" if code is not None else f"not all were there after {PATIENCE:g} s"
            self.trouble = f"the other nodes could not be started: {self._last_word() or said}"

    def _hand_over(self) -> None:
        """End srun. It has a second process, which would end the step when the first one is gone."""
        self._handed_over = True
        assert self._srun is not None
        for pid in (*descendants(self._srun.pid), self._srun.pid):
            if (process := Identity.of(pid)) is not None:
                process.signal(signal.SIGKILL)

    def _last_word(self) -> str:
        with suppress(OSError):
            lines = self._log_path.read_text(encoding="utf-8", errors="replace").split("\n")
            said = [line.strip()[:300] for line in lines if line.strip()]
            # Of a node that could say why it failed, srun says last that it failed.
            return next((line for line in reversed(said) if not line.startswith("srun:")), said[-1] if said else "")
        return ""

    def settle(self) -> None:
        """Wait until all nodes have said how their ranks ended, SETTLE seconds at most."""
        self._until(lambda: self.trouble is not None or all(one.gone or one.end for one in self._nodes), SETTLE)

    def _until(self, done: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        self.tick()
        while not done() and time.monotonic() < deadline:
            time.sleep(0.05)
            self.tick()

    def first_failure(self, own: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return which rank of all nodes failed first, and how; None where none did. `own`: that of the first node.

        A rank that lost another ends a moment later by itself. So of those that failed together one that a signal ended
        is the cause. SIGTERM is what torchrun sends to those that are left.
        """
        ends = [(node, node.end) for node in self._known() if node.end and node.end.get("rank") is not None]
        found = [{**end, "time": float(end.get("time") or 0.0) + node.behind, "elsewhere": True} for node, end in ends]
        found += [own] if own is not None else []
        if not found:
            return None
        earliest = min(float(one.get("time") or 0.0) for one in found)
        together = [one for one in found if float(one.get("time") or 0.0) - earliest <= _APART]
        by_signal = [one for one in together if one["code"] < 0 and one["code"] != -signal.SIGTERM]
        return min(by_signal or together, key=lambda one: (float(one.get("time") or 0.0), one["rank"]))

    def said(self) -> str | None:
        """What a node says that could not start its ranks; None where each could."""
        texts = (node.end.get("message") for node in self._known() if node.end and node.end.get("code"))
        return next((str(text) for text in texts if text), None)

    def close(self) -> None:
        """End everything on the other nodes, and return when nothing is left there, as far as Slurm can say."""
        self._closing = True
        for node in self._nodes:
            if not node.gone:
                with suppress(OSError):  # it left meanwhile
                    node.connection.shutdown(socket.SHUT_WR)
        self._until(lambda: all(node.gone for node in self._nodes), _LEAVE)
        if self.trouble or not self._handed_over or not all(node.gone for node in self._nodes):
            _end_steps()
        for node in self._nodes:
            node.connection.close()
        self._door.close()


def _end_steps() -> None:
    """Have Slurm kill the steps of this job, but for the script's own."""
    job = os.environ.get("SLURM_JOB_ID", "")
    deadline = time.monotonic() + _LEAVE
    try:
        while time.monotonic() < deadline:
            listed = call("squeue", "--steps", "--noheader", f"--jobs={job}", "--format=%i").split()
            steps = [step for step in listed if step.rpartition(".")[2].isdecimal()]
            if not steps:
                return
            call("scancel", "--signal=KILL", *steps)
            time.sleep(0.3)
    except DetuiError as error:
        log(f"the steps of the job could not be ended: {error.message}")
