"""`python -m detui.engine.worker.launch ATTEMPT_DIR`: torchrun as the main process of a run on several devices.

It starts one worker a device (a rank) and ends with them. Two things are otherwise than in torchrun by itself. A stop
(SIGTERM) goes on to the ranks, each once, and to nobody else: torchrun would end them after its own time and exit with
an error, whatever they had saved. And when a rank fails, `ranks.json` says which one failed first and how: those that
are left say only that they have lost another.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from threading import Event, Thread
from typing import Any

from detui.engine.errors import DetuiError, MissingError, UsageError
from detui.engine.run.directory import AttemptDir
from detui.engine.run.files import write_json
from detui.engine.run.lines import LineReader
from detui.engine.worker.ranks import LAUNCHER

_LOOK = 0.05
"""Seconds between two looks for ranks that a stop has not reached yet."""


def main(arguments: list[str]) -> int:
    """Start the ranks of an attempt, wait for their end, and return the exit code."""
    # Before anything else, so that no thread of PyTorch's takes it: `_pass_on` does.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m detui.engine.worker.launch ATTEMPT_DIR\n")
        return UsageError.exit_code
    attempt = AttemptDir(Path(arguments[0]).absolute())
    try:
        return _launch(attempt, attempt.run.spec().ranks)
    except DetuiError as error:
        sys.stderr.write(f"{error}\n")
        if not (attempt.path / "done.json").exists():
            said = {"message": str(error), "error": type(error).__name__}
            write_json(attempt.path / "done.json", {"outcome": "failed", "step": 0, "epoch": 0, **said})
        return error.exit_code


def _launch(attempt: AttemptDir, ranks: int) -> int:
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")  # pytorch#135712
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all ranks are on this machine, whose name nobody may know
    os.environ[LAUNCHER] = str(os.getpid())
    try:
        from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
        from torch.distributed.run import parse_args, run
    except ModuleNotFoundError as error:
        hint = f"this is the interpreter {sys.executable}; `detui doctor` checks its packages"
        raise MissingError(f"Several devices are trained on through torchrun: {error}.", hint=hint) from error
    stopping = Event()
    Thread(target=_pass_on, args=(ranks, stopping), name="detui-stop", daemon=True).start()
    words = ["--standalone", "--nproc-per-node", str(ranks), "--local-addr", "127.0.0.1", "--max-restarts", "0"]
    try:
        run(parse_args([*words, "-m", "detui.engine.worker", str(attempt.path)]))
    except ChildFailedError as error:
        if stopping.is_set() and not _begun(attempt):
            return _stopped(attempt)
        return _failed(attempt, error.failures, ranks)
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


def _failed(attempt: AttemptDir, failures: dict[int, Any], ranks: int) -> int:
    """Say which rank failed first, and return its exit code, or 128 and the number of its signal as a shell would."""
    rank, failure = first_failure(failures)
    code = int(failure.exitcode)
    write_json(attempt.path / "ranks.json", {"rank": rank, "code": code})
    how = f"was ended by {failure.signal_name()}" if code < 0 else f"exited with code {code}"
    sys.stderr.write(f"rank {rank} of {ranks} {how}\n")
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
