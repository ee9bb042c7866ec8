"""The application may be killed, frozen, or opened twice: it reads and asks, and nothing depends on it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from terminals import Terminal
from toy_runs import MakeRun, steps_made, until

from detui.engine.process.control import status, supervised, wait
from detui.engine.process.launch import launch
from detui.engine.run.directory import RunDir
from detui.engine.run.files import write_json
from detui.engine.run.history import load_history
from detui.engine.run.lines import read_lines

DETUI = str(Path(sys.executable).with_name("detui"))


@pytest.fixture
def application(leases: Path) -> Iterator[Callable[[RunDir], Terminal]]:
    """Opens the application on the workspace of a run, on a terminal of its own, and waits until it shows the run."""
    opened: list[Terminal] = []

    def start(run: RunDir) -> Terminal:
        command = [DETUI, "--workspace", str(run.experiment_dir.parent)]
        opened.append(Terminal(command, {**os.environ, "TERM": "xterm-256color"}, (120, 40)))
        opened[-1].until(run.name)
        opened[-1].until("running")
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def training(make_run: MakeRun, steps: int) -> RunDir:
    """A run that trains, in an experiment that can be listed."""
    run = make_run({"seconds": 0.05, "steps": steps})
    about = {"title": {"en": "toy"}, "question": {"en": "?"}, "profile": "quick", "arms": [], "seeds": [0]}
    write_json(
        run.experiment_dir / "experiment.json", {"id": "toy", "recipe": "toy/parabola", "runs": [run.name], **about}
    )
    launch(run)
    until(lambda: steps_made(run) >= 2 and status(run).state.word == "running")
    return run


@pytest.mark.fault("kill -9 of the application", "trains on")
def test_kill_9_of_the_application(make_run: MakeRun, application: Callable[[RunDir], Terminal]) -> None:
    run = training(make_run, 100)
    screen = application(run)
    screen.press("\r")
    screen.process.send_signal(signal.SIGKILL)
    screen.end()
    assert supervised(run)
    assert wait([run], 60)[0].state.word == "finished"
    assert load_history(run).series("train/loss_toy")[0] == list(range(1, 101))


@pytest.mark.fault("SIGSTOP of the application, then SIGCONT", "trains on; then shows what has become of it")
def test_a_frozen_application(make_run: MakeRun, application: Callable[[RunDir], Terminal]) -> None:
    run = training(make_run, 80)
    screen = application(run)
    screen.process.send_signal(signal.SIGSTOP)
    assert wait([run], 60)[0].state.word == "finished"
    screen.process.send_signal(signal.SIGCONT)
    screen.until("finished")
    screen.press("q")
    assert screen.end() == 0


@pytest.mark.fault("two applications that press stop at the same moment", "one effect; both go on")
def test_two_applications_press_stop(make_run: MakeRun, application: Callable[[RunDir], Terminal]) -> None:
    run = training(make_run, 4000)
    screens = [application(run) for _ in range(2)]
    for screen in screens:
        screen.press("\r")  # the page of the run
        screen.shows("step time")
        screen.press("x")
        screen.until("Stop with a checkpoint?")
    for screen in screens:
        screen.press("y")
    assert wait([run], 60)[0].state.word == "stopped"
    for screen in screens:
        screen.until("stopped")
        assert screen.process.poll() is None
    assert [line["state"] for line in read_lines(run.events_path)].count("stopping") == 1
    for screen in screens:
        screen.press("q")
        time.sleep(0.3)
        screen.press("q")
        assert screen.end() == 0
