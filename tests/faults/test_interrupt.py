"""Ctrl-C at any moment of `detui run`: exit code 130, no traceback, and every run that was started is told to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from detui.engine.process.control import wait
from detui.engine.run.state import State
from detui.engine.workspace import Workspace

DETUI = str(Path(sys.executable).with_name("detui"))
RECIPE = """\
schema: 1
title: a sleeper
question: does it stop?
backend: command
data: {name: scenes, train: {split: train, images: 40}, val: {split: val, images: 10}, options: {size: 160}}
base: {command: [sleep, "60"], epochs: 1}
arms: {only: {}}
seeds: [0, 1]
"""


@pytest.mark.parametrize("after", [0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0])
def test_one_ctrl_c(hostile_path: Path, after: float) -> None:
    recipe = hostile_path / "sleeper.yaml"
    recipe.write_text(RECIPE)
    workspace = hostile_path / "logs"
    process = subprocess.Popen(
        [DETUI, "--workspace", str(workspace), "run", str(recipe), "--devices", "cpu", "--yes"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "HOME": str(hostile_path), "DETUI_LEASES": str(hostile_path / "leases")},
        start_new_session=True,
    )  # fmt: skip
    time.sleep(after)
    # To the whole foreground group, as a terminal does it.
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT), said
    assert "Traceback" not in said, said
    for experiment in Workspace.open(str(workspace)).experiments():
        found = wait(experiment.runs(), 15)
        assert all(_called_off(one.state) for one in found), found


def _called_off(state: State) -> bool:
    """Stopped or killed, or never started; a program that slept its whole minute would not have been."""
    reason = getattr(state, "reason", None)
    return state.word in ("stopped", "killed") or (state.word == "failed" and reason == "not started: interrupted")


PRESS = """\
import os, signal, sys
from detui.engine.executor import local
import detui.engine.record.fill
fill = sys.modules["detui.engine.record.fill"]
from detui.tui.commands import run
from detui.tui.main import main

def pressing(before):
    def then(*given, **named):
        result = before(*given, **named)
        os.kill(os.getpid(), signal.SIGINT)
        return result
    return then

MODULE.NAME = pressing(MODULE.NAME)
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("module", "name", "words"),
    [
        ("fill", "fill", {"failed"}),
        ("local", "submit", {"stopped", "failed"}),
        ("run", "_view", {"stopped"}),
        ("run._Preparing", "end", {"stopped"}),
    ],
)
def test_ctrl_c_between_the_first_supervisor_and_the_progress(
    tmp_path: Path, module: str, name: str, words: set[str]
) -> None:
    """Pressed at the very moment: no run is left without a supervisor, nor with one that nobody stops."""
    recipe = tmp_path / "sleeper.yaml"
    recipe.write_text(RECIPE)
    workspace = tmp_path / "logs"
    code = PRESS.replace("MODULE", module).replace("NAME", name)
    done = subprocess.run(
        [sys.executable, "-c", code, "--workspace", str(workspace), "run", str(recipe), "--devices", "cpu", "--yes"],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "HOME": str(tmp_path), "DETUI_LEASES": str(tmp_path / "leases")},
    )  # fmt: skip
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    (experiment,) = Workspace.open(str(workspace)).experiments()
    found = wait(experiment.runs(), 15)
    assert all(_called_off(one.state) for one in found), found
    assert {one.state.word for one in found} == words
