"""`detui run` with real processes: a toy program on the command backend, from the recipe to the record."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from detui.engine.process.control import request, status, supervised
from detui.engine.process.control import wait as wait_for
from detui.engine.process.lease import take
from detui.engine.workspace import Workspace

DETUI = Path(sys.executable).with_name("detui")
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(workspace: Path, tmp_path: Path) -> Iterator[Start]:
    """Start `detui` in the background; whatever runs at the end of the test is killed."""
    home = {**os.environ, "HOME": str(tmp_path), "DETUI_LEASES": str(tmp_path / "leases"), "PYTHONUNBUFFERED": "1"}

    def begin(*arguments: str) -> subprocess.Popen[str]:
        command = [str(DETUI), "--workspace", str(workspace), *arguments]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=home, cwd=tmp_path
        )

    yield begin
    for experiment in Workspace.open(str(workspace)).experiments():
        for run in experiment.runs():
            if not status(run).state.terminal:
                request(run, "kill")
        wait_for(experiment.runs(), 30, evaluated=True)


def until(true: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)


def states(workspace: Path) -> list[str]:
    return [status(run).state.word for one in Workspace.open(str(workspace)).experiments() for run in one.runs()]


def test_a_recipe_becomes_a_record(start: Start, workspace: Path, toy_recipe: Callable[..., Path]) -> None:
    command = start("run", str(toy_recipe()), "--name", "first", "--tag", "toy", "--seeds", "0")
    out, err = command.communicate(timeout=120)
    assert command.returncode == 0, err
    assert out.startswith(("#", "<!--"))
    assert "A toy program" in out
    experiment = Workspace.open(str(workspace)).experiment("first")
    for part in ("baseline-s0", "finished", "epoch 3/3", f"record      {experiment.record_path()}"):
        assert part in err
    assert states(workspace) == ["finished", "finished"]
    assert not any(supervised(run) for run in experiment.runs())


def test_a_detached_run_goes_on_and_can_be_stopped_and_resumed(
    start: Start, workspace: Path, toy_recipe: Callable[..., Path]
) -> None:
    began = start("run", str(toy_recipe(epochs=400)), "--arm", "baseline", "--detach")
    out, err = began.communicate(timeout=60)
    assert began.returncode == 0, err
    name = out.strip()
    assert f"detui stop {name}" in err
    until(lambda: states(workspace) == ["running"])
    follower = start("tail", "baseline-s0", "--follow", "--json")
    until(lambda: (workspace / name / "runs/baseline-s0/attempts/1/checkpoints").is_dir())
    time.sleep(1)
    _, said = start("stop", name).communicate(timeout=30)
    assert "will save a checkpoint and end; on resume what the program did" in said
    until(lambda: states(workspace) == ["stopped"])
    lines = [json.loads(line) for line in follower.communicate(timeout=30)[0].splitlines()]
    assert {"begin", "step", "epoch"} <= {line["kind"] for line in lines}
    until(lambda: not supervised(Workspace.open(str(workspace)).run("baseline-s0")))
    resumed = start("resume", name)
    assert resumed.wait(30) == 0, resumed.stderr
    assert resumed.stderr is not None
    assert "is repeated" in resumed.stderr.read()
    until(lambda: states(workspace) == ["running"])
    assert start("kill", "baseline-s0", "--yes").wait(30) == 0
    until(lambda: states(workspace) == ["killed"])


def test_ctrl_c_stops_with_a_checkpoint_and_waits(
    start: Start, workspace: Path, toy_recipe: Callable[..., Path]
) -> None:
    command = start("run", str(toy_recipe(epochs=400)), "--arm", "baseline")
    until(lambda: "running" in states(workspace))
    time.sleep(1)
    command.send_signal(signal.SIGINT)
    _, err = command.communicate(timeout=60)
    assert command.returncode == 130
    assert "Stopping with a checkpoint" in err
    assert "on resume what the program did since its last checkpoint is repeated" in err
    assert "detui resume" in err
    assert states(workspace) == ["stopped"]


def test_ctrl_c_twice_leaves_the_run(start: Start, workspace: Path, toy_recipe: Callable[..., Path]) -> None:
    # Its epochs are long, so that the stop takes longer than the second Ctrl-C.
    command = start("run", str(toy_recipe(epochs=4, pause=20)), "--arm", "baseline")
    until(lambda: "running" in states(workspace))
    time.sleep(1)
    command.send_signal(signal.SIGINT)
    time.sleep(1.5)
    command.send_signal(signal.SIGINT)
    _, err = command.communicate(timeout=30)
    assert command.returncode == 130
    assert "detui ls" in err
    assert states(workspace) in (["stopping"], ["running"])


@pytest.mark.slow
def test_ctrl_c_while_the_speed_waits_keeps_the_record(
    start: Start, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETUI_CPU_SLOTS", "2")
    monkeypatch.setenv("DETUI_LEASES", str(tmp_path / "leases"))
    somebody = take("cpu:1", "somebody else")  # the trainings take the other slot, one after the other
    assert somebody is not None
    command = start("run", "parity/training", "--profile", "smoke", "--arm", "torch", "--arm", "torch-jitter", "--yes")
    assert command.stderr is not None
    said = ""
    while "to measure it alone" not in said:
        line = command.stderr.readline()
        assert line, f"it ended before it waited:\n{said}"
        said += line
    assert "cpu:1 is leased to somebody else" in said
    command.send_signal(signal.SIGINT)
    out, err = command.communicate(timeout=60)
    somebody.release()
    assert "the speed was not measured: interrupted" in err and "detui speed" in err
    assert command.returncode == 0, err  # both are trained and evaluated, and their record is whole but for the speed
    assert "PyTorch, weights" in out
    assert set(states(workspace)) == {"finished"}


def test_a_run_that_fails_shows_its_last_words(start: Start, toy_recipe: Callable[..., Path]) -> None:
    recipe = toy_recipe()
    recipe.write_text(recipe.read_text().replace('"0.1"', '"never"'))
    command = start("run", str(recipe), "--arm", "baseline", "--json")
    out, err = command.communicate(timeout=60)
    assert command.returncode == 1
    assert json.loads(out)["runs"][0]["state"] == "failed"
    assert "could not convert string to float: 'never'" in err
    assert "Traceback" not in err.split("baseline-s0 failed")[0]


def test_predictions_that_nobody_evaluated_are_a_failure(start: Start, toy_recipe: Callable[..., Path]) -> None:
    """The toy's recipe names no data: nothing says what is right, and that must not look like success."""
    recipe = toy_recipe()
    toy = Path(__file__).with_name("toy.py").read_text()
    program = recipe.with_name("dumper.py")
    said = 'say(kind="evaluation", epoch=EPOCHS, step=EPOCHS * STEPS, split="val", path="predictions/val.json")'
    program.write_text(f'{toy}\nPath("predictions").mkdir(exist_ok=True)\n'
                       f'Path("predictions/val.json").write_text("[]")\n{said}\n')  # fmt: skip
    recipe.write_text(recipe.read_text().replace(str(Path(__file__).with_name("toy.py")), str(program)))
    command = start("run", str(recipe), "--arm", "baseline", "--json")
    out, err = command.communicate(timeout=60)
    found = json.loads(out)
    assert [run["state"] for run in found["runs"]] == ["finished"], err
    assert command.returncode == 1, err
    assert found["not_evaluated"] == {"baseline-s0": ["1/predictions/val.json", "evaluation failed: see after.log"]}
    assert "baseline-s0: not evaluated: 1/predictions/val.json" in err
    assert "detui record fill" in err
