"""Whole runs by the command line, and what they wrote: for tests that train."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from detui.engine.process.control import status, supervised
from detui.engine.run.directory import RunDir
from detui.engine.run.lines import read_lines
from detui.tui.main import application


class Line:
    """The command line, in one workspace."""

    def __init__(self, folder: Path, recipe: str) -> None:
        """`recipe`: its text."""
        self.workspace, self.recipe = folder / "logs", folder / "cut.yaml"
        folder.mkdir(exist_ok=True)
        self.recipe.write_text(recipe, encoding="utf-8")

    def __call__(self, *words: str) -> str:
        """Give a command that succeeds; returns what it prints."""
        done = CliRunner().invoke(application, ["--workspace", str(self.workspace), *words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    def start(self, arm: str, *words: str) -> RunDir:
        """Start a run without waiting for it."""
        return self.new("run", str(self.recipe), "--profile", "quick", "--arm", arm, "--devices", "cpu", "--yes",
                        "--detach", *words)  # fmt: skip

    def new(self, *words: str) -> RunDir:
        """The one run that a command makes."""
        before = set(self.workspace.glob("*/runs/*"))
        self(*words)
        (path,) = set(self.workspace.glob("*/runs/*")) - before
        return RunDir(path)


def name(run: RunDir) -> str:
    """What the command line calls a run."""
    return f"{run.experiment_dir.name}/{run.name}"


def ended(run: RunDir, word: str, seconds: float = 200) -> RunDir:
    """Wait until a run has ended, in the way that is expected."""
    until = time.monotonic() + seconds
    while not status(run).state.terminal or supervised(run):
        assert time.monotonic() < until, f"still {status(run).state}"
        time.sleep(0.05)
    latest = run.latest()
    assert status(run).state.word == word, latest.console_path.read_text()[-2000:] if latest else "never started"
    return run


def halted_at(run: RunDir, step: int, attempt: int, seconds: float = 120) -> int:
    """Hold the worker still once it has reported a step; returns its process id."""
    until, path = time.monotonic() + seconds, run.attempt(attempt).metrics_path
    while not path.exists() or not any(line["kind"] == "step" and line["step"] >= step for line in read_lines(path)):
        assert time.monotonic() < until and not status(run).state.terminal
        time.sleep(0.005)
    worker = int((run.attempt(attempt).worker() or {})["pid"])
    os.kill(worker, signal.SIGSTOP)  # its steps take less time than a request on its way
    return worker


def stopped_at(line: Line, run: RunDir, step: int, attempt: int, seconds: float = 120) -> None:
    """Ask a run to stop once it has reported a step, and wait until it has."""
    stopped_held(line, run, [halted_at(run, step, attempt, seconds)])


def stopped_held(line: Line, run: RunDir, pids: Sequence[int]) -> None:
    """Ask a run to stop while its processes are held still, let them go on, and wait until it has."""
    for pid in pids:  # their steps take less time than a request on its way
        os.kill(pid, signal.SIGSTOP)
    line("stop", name(run))
    until = time.monotonic() + 60
    while status(run).state.word != "stopping":
        assert time.monotonic() < until
        time.sleep(0.02)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    ended(run, "stopped")


def lines(run: RunDir, *kinds: str) -> list[dict[str, Any]]:
    """What a run's attempts reported, of some kinds."""
    return [line for one in run.attempts() for line in read_lines(one.metrics_path) if line["kind"] in kinds]


def values(run: RunDir, kind: str) -> dict[int, dict[str, float]]:
    """Step → its numbers; of what was done twice, the later."""
    return {line["step"]: line["values"] for line in lines(run, kind)}


def latest(run: RunDir) -> Path:
    """The folder of the newest attempt."""
    found = run.latest()
    assert found is not None
    return found.path
