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
from detui.engine.workspace import Workspace

DETUI = str(Path(sys.executable).with_name("detui"))
RECIPE = """\
schema: 1
title: a sleeper
question: does it stop?
backend: command
data: {name: scenes, train: {split: train, images: 40}, val: {split: val, images: 10}, options: {size: 160}}
base: {command: [sleep, "30"], epochs: 1}
arms: {only: {}}
seeds: [0, 1]
"""


@pytest.mark.parametrize("after", [0.1, 0.5, 1.0, 2.0, 4.0])
def test_one_ctrl_c(hostile_path: Path, after: float) -> None:
    recipe = hostile_path / "sleeper.yaml"
    recipe.write_text(RECIPE)
    workspace = hostile_path / "logs"
    process = subprocess.Popen(
        [DETUI, "--workspace", str(workspace), "run", str(recipe), "--device", "cpu", "--yes"],
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
        found = wait(experiment.runs(), 40)
        assert all(one.state.terminal for one in found), found
        assert not any(one.state.word == "lost" for one in found), found
