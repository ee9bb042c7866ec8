"""`python -m detui.engine.worker.launch ATTEMPT_DIR`: torchrun as the main process of a run on several devices.

It starts one worker a device (a rank) and ends with them. Two things are otherwise than in torchrun by itself. A stop
(SIGTERM) goes on to the ranks, each once, and to nobody else: torchrun would end them after its own time and exit with
an error, whatever they had saved. And when a rank fails, `ranks.json` says which one failed first and how: those that
are left say only that they have lost another.

A run on several nodes has this process on each. A stop comes to that of the first node alone: its ranks tell those of
the other nodes, because all of them agree on a stop before they heed it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

from detui.engine.errors import DetuiError, MissingError, RunError, UsageError
from detui.engine.run.directory import AttemptDir
from detui.engine.run.files import write_json
from detui.engine.run.lines import LineReader
from detui.engine.run.spec import RunSpec
from detui.engine.worker.ranks import KEEPER, LAUNCHER, MEETING, NODE, end_with_parent, node_name

_LOOK = 0.05
"""Seconds between two looks for ranks that a stop has not reached yet."""


@dataclass(frozen=True, slots=True)
class Place:
    """Which of a run's processes are started here."""

    ranks: int
    """Of the whole run."""
    nodes: int
    node: int
    """Which of the nodes this is, from 0."""
    meeting: str
    """Where the ranks of all nodes meet, "address:port"; "" with one node."""

    @classmethod
    def of(cls, spec: RunSpec) -> Place:
        """Return the place that the environment says."""
        return cls(spec.ranks, spec.nodes, int(os.environ.get(NODE) or 0), os.environ.get(MEETING, ""))

    @property
    def own_ranks(self) -> int:
        """How many ranks are started here."""
        return self.ranks // self.nodes

    def words(self) -> list[str]:
        """The words of torchrun."""
        own = ["--nproc-per-node", str(self.own_ranks), "--max-restarts", "0"]
        if self.nodes == 1:
            return ["--standalone", "--local-addr", "127.0.0.1", *own]
        address, _, port = self.meeting.rpartition(":")
        meeting = ["--master-addr", address, "--master-port", port]
        return ["--nnodes", str(self.nodes), "--node-rank", str(self.node), *meeting, *own]


def main(arguments: list[str]) -> int:
    """Start the ranks of an attempt, wait for their end, and return the exit code."""
    # Before anything else, so that no thread of PyTorch's takes it: `_pass_on` does.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m detui.engine.worker.launch ATTEMPT_DIR\n")
        return UsageError.exit_code
    attempt = AttemptDir(Path(arguments[0]).absolute())
    try:
        if KEEPER in os.environ:
            end_with_parent(int(os.environ[KEEPER]))
        return _launch(attempt, Place.of(attempt.run.spec()))
    except DetuiError as error:
        sys.stderr.write(f"{error}\n")
        if not (attempt.path / "done.json").exists():
            said = {"message": str(error), "error": type(error).__name__}
            write_json(attempt.path / "done.json", {"outcome": "failed", "step": 0, "epoch": 0, **said})
        return error.exit_code


def _launch(attempt: AttemptDir, place: Place) -> int:
    if place.nodes == 1:
        os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")  # pytorch#135712
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all ranks are on this machine, whose name nobody may know
    os.environ[LAUNCHER] = str(os.getpid())
    try:
        from torch.distributed import DistError
        from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
        from torch.distributed.run import parse_args, run
    except ModuleNotFoundError as error:
        hint = f"this is the interpreter {sys.executable}; `detui doctor` checks its packages"
        raise MissingError(f"Several devices are trained on through torchrun: {error}.", hint=hint) from error
    stopping = Event()
    Thread(target=_pass_on, args=(place.own_ranks, stopping), name="detui-stop", daemon=True).start()
    try:
        run(parse_args([*place.words(), "-m", "detui.engine.worker", str(attempt.path)]))
    except ChildFailedError as error:
        if stopping.is_set() and not _begun(attempt):
            return _stopped(attempt) if place.node == 0 else 0
        return _failed(attempt, error.failures, place)
    except DistError as error:
        said = " ".join(str(error).split())[:300]
        hint = "detui resume takes another port; the nodes must reach each other over TCP"
        raise RunError(f"The ranks cannot meet at {place.meeting}: {said}", where=node_name(), hint=hint) from error
    return 0


def _begun(attempt: AttemptDir) -> bool:
    """Whether the ranks have met and begun. Before that a stop ends them, some perhaps a moment after the others."""
    return bool(LineReader(attempt.metrics_path, containing=('"begin"',)).poll())


def _stopped(attempt: AttemptDir) -> int:
    """Say for ranks that a stop ended before they had met that they stopped where they would have begun."""
    start = (attempt.info() or {}).get("resume") or {}
    place = {name: int(start.get(name) or 0) for name in ("step", "epoch")}
    write_json(attempt.path / "done.json", {"outcome": "stopped", **place, "message": None, "error": None})
    return 0


def _failed(attempt: AttemptDir, failures: dict[int, Any], place: Place) -> int:
    """Say which rank failed first, and return its exit code, or 128 and the number of its signal as a shell would."""
    rank, failure = first_failure(failures)
    code = int(failure.exitcode)
    told = {"node": node_name(), "time": float(failure.timestamp)} if place.nodes > 1 else {}
    write_json(attempt.rank_failure_path(place.node), {"rank": rank, "code": code, **told})
    how = f"was ended by {failure.signal_name()}" if code < 0 else f"exited with code {code}"
    sys.stderr.write(f"rank {rank} of {place.ranks} {how}\n")
    return code if code > 0 else 128 - code


def first_failure(failures: dict[int, Any]) -> tuple[int, Any]:
    """Return the rank, and its failure, that all others follow from: the earliest.

    Several that were seen in one look have the same second; then one that a signal ended is the cause, because the
    others have ended by themselves. SIGTERM is what torchrun sends to those that are left.
    """
    earliest = min(failure.timestamp for failure in failures.values())
    together = {rank: one for rank, one in failures.items() if one.timestamp - earliest <= 1}
    own = {rank: one for rank, one in together.items() if one.exitcode != -signal.SIGTERM} or together
    by_signal = {rank: one for rank, one in own.items() if one.exitcode < 0}
    return min((by_signal or own).items(), key=lambda item: (item[1].timestamp, item[0]))


def _pass_on(ranks: int, stopping: Event) -> None:
    """Wait for a stop, then send it to each rank once, also to those that are not there yet."""
    signal.sigwait({signal.SIGTERM})
    stopping.set()
    told: set[int] = set()
    while len(told) < ranks:
        for pid in _ranks() - told:
            _send(pid)
            told.add(pid)
        time.sleep(_LOOK)


def _ranks() -> set[int]:
    """The pids of the children of this process that have begun as ranks."""
    return {int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit() and _is_rank(int(entry.name))}


def _is_rank(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        parent = int(stat[stat.rindex(b")") + 2 :].split()[1])
        return parent == os.getpid() and b"\0LOCAL_RANK=" in b"\0" + Path(f"/proc/{pid}/environ").read_bytes()
    except (OSError, ValueError):  # gone meanwhile, or somebody else's
        return False


def _send(pid: int) -> None:
    """Send SIGTERM to a child of this process. A pid that is no longer one is not signalled."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except (OSError, AttributeError):  # a kernel, a sandbox or a Python without them
        if _is_rank(pid):
            os.kill(pid, signal.SIGTERM)
        return
    try:
        if _is_rank(pid):
            signal.pidfd_send_signal(descriptor, signal.SIGTERM)
    except ProcessLookupError:  # it ended between the look and the signal
        return
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
