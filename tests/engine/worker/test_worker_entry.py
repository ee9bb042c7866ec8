"""The worker process: how it ends, and what it says of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from toy_runs import WORKERS, toy_spec

from detui.engine.run.directory import AttemptDir, RunDir
from detui.engine.run.files import write_json
from detui.engine.run.lines import read_lines


def work(folder: Path, **changes: Any) -> tuple[subprocess.CompletedProcess[str], AttemptDir]:
    run = RunDir.create(folder / "runs" / "baseline-s0", toy_spec(**changes))
    attempt = run.attempt(1)
    attempt.path.mkdir()
    write_json(attempt.path / "attempt.json", {"number": 1, "resume": None})
    return start(attempt), attempt


def start(attempt: AttemptDir) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "detui.engine.worker", str(attempt.path)]
    environment = {**os.environ, "PYTHONPATH": str(WORKERS)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def outcome(attempt: AttemptDir) -> dict[str, Any]:
    done = attempt.done()
    assert done is not None
    return done


def test_it_finishes(hostile_path: Path) -> None:
    ended, attempt = work(hostile_path, config={"seconds": 0})
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert outcome(attempt) == {
        "schema": 1, "outcome": "finished", "step": 20, "epoch": 4, "message": None, "error": None,
    }  # fmt: skip
    lines = read_lines(attempt.metrics_path)
    assert [line["kind"] for line in lines[:2]] == ["begin", "stage"] and lines[-1]["outcome"] == "finished"


def test_an_error_of_ours_is_said_in_two_lines(hostile_path: Path) -> None:
    ended, attempt = work(hostile_path, config={"seconds": 0, "at": "data-error", "when": 3})
    expected = "labels/7.txt:3: A label lies outside its picture.\n  try: detui data check toy"
    assert (ended.returncode, ended.stderr) == (1, expected + "\n")
    done = outcome(attempt)
    assert (done["outcome"], done["message"], done["error"], done["step"]) == ("failed", expected, "DataError", 3)


def test_a_bug_leaves_its_traceback_in_a_file(hostile_path: Path) -> None:
    ended, attempt = work(hostile_path, config={"seconds": 0, "at": "bug", "when": 3})
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert ended.stderr.startswith("ValueError: the loss is not a loss\n  at ")
    assert len(ended.stderr.splitlines()) == 3
    assert "raise ValueError" in (attempt.path / "traceback.txt").read_text()
    assert outcome(attempt)["error"] == "ValueError"


def test_leaving_by_sys_exit_is_no_finish(hostile_path: Path) -> None:
    ended, attempt = work(hostile_path, config={"seconds": 0, "at": "sys-exit", "when": 3})
    assert ended.returncode == 1 and outcome(attempt)["outcome"] == "failed"


@pytest.mark.parametrize(
    ("trainer", "code", "text"),
    [
        ("no_such_module:Trainer", 3, "Cannot import 'no_such_module:Trainer'"),
        ("toy:NoSuchTrainer", 2, "has no trainer 'NoSuchTrainer'"),
    ],
)
def test_a_trainer_that_is_not_there(hostile_path: Path, trainer: str, code: int, text: str) -> None:
    ended, attempt = work(hostile_path, trainer=trainer)
    assert ended.returncode == code and text in ended.stderr and "Traceback" not in ended.stderr
    assert text in outcome(attempt)["message"]


def test_a_spec_of_a_newer_version(hostile_path: Path) -> None:
    run = RunDir.create(hostile_path / "runs" / "baseline-s0", toy_spec())
    attempt = run.attempt(1)
    attempt.path.mkdir()
    write_json(attempt.path / "attempt.json", {"resume": None})
    run.spec_path.write_text('{"schema": 5}')
    ended = start(attempt)
    assert ended.returncode == 2 and "format 5" in ended.stderr and "Traceback" not in ended.stderr


def test_an_attempt_that_is_none(tmp_path: Path) -> None:
    ended = start(AttemptDir(tmp_path / "1"))
    assert ended.returncode == 1 and "no attempt.json" in ended.stderr and "Traceback" not in ended.stderr
    usage = subprocess.run([sys.executable, "-m", "detui.engine.worker"], capture_output=True, text=True)
    assert usage.returncode == 2 and usage.stderr.startswith("usage:")


def test_a_forked_loader_dies_of_sigterm(hostile_path: Path) -> None:
    ended, attempt = work(hostile_path, config={"seconds": 0, "at": "loader", "when": 3})
    assert ended.returncode == 0
    lines = read_lines(attempt.metrics_path)
    assert [line["values"] for line in lines if line["kind"] == "statistic"] == [{"loader/signal": -15}]
    assert not [line for line in lines if line.get("step") == 999], "a forked child must not write"
