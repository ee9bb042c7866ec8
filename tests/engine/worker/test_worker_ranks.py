"""Several ranks: who writes, who says how it ended, and which of them is the cause."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from toy_runs import WORKERS, toy_spec

from detui.engine.run.directory import AttemptDir, RunDir
from detui.engine.run.files import write_json
from detui.engine.run.spec import RunSpec
from detui.engine.worker.launch import first_failure
from detui.engine.worker.ranks import LAUNCHER, own_launcher, own_rank
from detui.engine.worker.reporter import Reporter


@dataclass
class Failure:
    """What is read of torch's ProcessFailure."""

    exitcode: int
    timestamp: int


@pytest.mark.parametrize(
    ("failures", "cause"),
    [
        ({0: (1, 10), 1: (-9, 10)}, 1),  # rank 0 has lost the one that was killed
        ({0: (-9, 10), 1: (1, 10)}, 0),
        ({0: (1, 11), 1: (-9, 10)}, 1),
        ({0: (-15, 10), 1: (3, 10)}, 1),  # torchrun ended the other
        ({0: (-9, 40), 1: (1, 10)}, 1),  # and killed it, because it did not end
        ({0: (1, 10), 1: (1, 10)}, 0),
        ({0: (-15, 10), 1: (-15, 10)}, 0),
    ],
)
def test_the_rank_that_the_others_follow(failures: dict[int, tuple[int, int]], cause: int) -> None:
    assert first_failure({rank: Failure(*told) for rank, told in failures.items()})[0] == cause


def test_ranks_of_others_are_not_ours() -> None:
    assert own_rank({"RANK": "3"}) == 0 and own_launcher({"RANK": "3"}) is None
    assert own_rank({"RANK": "3", LAUNCHER: "77"}) == 3 and own_launcher({LAUNCHER: "77"}) == 77


def test_a_silent_reporter_counts_and_writes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "1"
    folder.mkdir()
    report = Reporter(AttemptDir(folder), silent=True)
    report.begin(model={})
    report.step(7, 2, {"train/loss": float("nan")})
    report.epoch(2, 8, {"train/loss": 1.0})
    report.alarm("plateau", "It stands still.")
    report.end("finished")
    assert (report.last_step, report.last_epoch) == (8, 2) and list(folder.iterdir()) == []


def test_specs_of_before_have_one_rank() -> None:
    told = toy_spec().to_json()
    del told["ranks"]
    assert RunSpec.from_json(told).ranks == 1 and RunSpec.from_json(toy_spec(ranks=4).to_json()).ranks == 4


def worked(folder: Path, rank: int, **config: object) -> tuple[subprocess.CompletedProcess[str], AttemptDir]:
    """Run one rank of the toy worker, which waits for no other; this process is its launcher."""
    run = RunDir(folder)
    if not run.spec_path.exists():
        run = RunDir.create(folder, toy_spec(config={"seconds": 0, **config}))
        run.attempt(1).path.mkdir()
        write_json(run.attempt(1).path / "attempt.json", {"number": 1, "resume": None})
    command = [sys.executable, "-m", "detui.engine.worker", str(run.attempt(1).path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(WORKERS), os.environ.get("PYTHONPATH", "")]),
                   LAUNCHER: str(os.getpid()), "RANK": str(rank)}  # fmt: skip
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    ), run.attempt(1)


def test_the_first_rank_alone_says_that_it_finished(hostile_path: Path) -> None:
    ended, attempt = worked(hostile_path / "baseline-s0", 1)
    assert ended.returncode == 0 and attempt.done() is None and not attempt.metrics_path.exists()
    ended, attempt = worked(hostile_path / "baseline-s0", 0)
    assert ended.returncode == 0 and (attempt.done() or {})["outcome"] == "finished" and attempt.metrics_path.exists()


def test_whoever_fails_first_says_why(hostile_path: Path) -> None:
    """The rank that comes later has only lost the other."""
    for rank in (1, 0):
        ended, attempt = worked(hostile_path / "baseline-s0", rank, at="bug", when=3)
        assert ended.returncode == 1
        done = attempt.done() or {}
        assert done["outcome"] == "failed" and str(done["message"]).startswith("rank 1: ValueError: the loss is not")
    assert (attempt.path / "traceback-rank1.txt").exists() and (attempt.path / "traceback.txt").exists()


def test_a_rank_ends_with_its_launcher(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys, time\n"
        f"os.environ[{LAUNCHER!r}] = str(os.getpid())\n"
        "rank = 'from detui.engine.worker.ranks import end_with_launcher as e; e(); "
        "print(1, flush=True); import time; time.sleep(60)'\n"
        "child = subprocess.Popen([sys.executable, '-c', rank], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        rank = int(launcher.stdout.readline())
        launcher.send_signal(signal.SIGKILL)
    until = time.monotonic() + 10
    while Path(f"/proc/{rank}").exists() and b") Z " not in Path(f"/proc/{rank}/stat").read_bytes():
        assert time.monotonic() < until
        time.sleep(0.02)
