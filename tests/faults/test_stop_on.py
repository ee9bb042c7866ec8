"""Runs that stop by themselves at an alarm, with real processes."""

from __future__ import annotations

import os

import pytest
from toy_runs import MakeRun, until

from detui.engine.process.control import supervised, wait
from detui.engine.process.launch import launch
from detui.engine.run.alarms import marked
from detui.engine.run.directory import RunDir
from detui.engine.run.history import load_history
from detui.engine.run.lines import read_lines
from detui.tui.glance import glance


def ended(run: RunDir) -> tuple[str, str]:
    state = wait([run], 60)[0].state
    until(lambda: not supervised(run))
    return state.word, str(getattr(state, "reason", None))


def test_a_run_stops_at_nan_with_a_checkpoint_and_goes_on_when_resumed(make_run: MakeRun) -> None:
    run = make_run({"at": "nan", "when": 7, "seconds": 0.05, "checkpoint_every": 1000}, stop_on=("nan", "no_step"))
    launch(run)
    word, reason = ended(run)
    assert word == "stopped" and reason.startswith("stop_on: nan: train/loss_toy is nan after step 7")
    done = run.attempt(1).done() or {}
    assert (done["outcome"], done["step"], done["reason"]) == ("stopped", 7, reason)
    assert load_history(run).checkpoints[-1]["step"] == 7
    assert marked(run.attempt(1).path) == ["nan"]
    assert "! nan" in glance(run, {}).notes and glance(run, {}).to_json()["state"] == "stopped"
    launch(run, resume=True)
    assert ended(run) == ("finished", "None"), "the alarm of the attempt before does not stop this one"


def test_an_alarm_that_is_not_named_stops_nothing(make_run: MakeRun) -> None:
    run = make_run({"at": "nan", "when": 7, "seconds": 0.01}, stop_on=("divergence",))
    launch(run)
    assert ended(run)[0] == "finished"


def test_an_alarm_of_the_machine_stops_the_run(make_run: MakeRun) -> None:
    """A checkpoint so large, sparse, that no disk has room for two more."""
    run = make_run({"seconds": 0.1, "steps": 300}, stop_on=("disk_low",), grace=10.0)
    launch(run)
    checkpoints = run.attempt(1).checkpoints
    until(checkpoints.is_dir)
    try:
        with (checkpoints / "huge.pt").open("wb") as file:
            file.truncate(1 << 43)
        os.utime(checkpoints / "huge.pt", (1 << 32, 1 << 32))
    except OSError:
        pytest.fail("the file system of the tests takes no sparse file of 8 TiB")
    word, reason = ended(run)
    assert word == "stopped" and reason.startswith("stop_on: disk_low: The disk has ")
    (line,) = (line for line in read_lines(run.attempt(1).telemetry_path) if line.get("kind") == "alarm")
    assert [alarm["name"] for alarm in load_history(run).alarms] == ["disk_low"] and line["text"] in reason
    assert all("kind" not in sample for sample in load_history(run).telemetry)
