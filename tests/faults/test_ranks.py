"""Runs on several devices: whatever ends one of their processes, none is left, and the state says what it was."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from toy_runs import MakeRun, steps_made, until

from detui.engine.devices.processes import descendants
from detui.engine.process.control import request, status, supervised, wait
from detui.engine.process.descendants import tagged
from detui.engine.process.identity import Identity
from detui.engine.process.launch import adopt, launch
from detui.engine.process.lease import take
from detui.engine.run.directory import RunDir
from detui.engine.run.history import load_history
from detui.engine.run.lines import read_lines
from detui.engine.run.spec import DeviceRequest
from detui.engine.run.state import State

pytest.importorskip("torch", reason="needs PyTorch for torchrun")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DEVICES = ("cpu:0", "cpu:1")
TWO: dict[str, Any] = {
    "trainer": "ranked:RankedTrainer",
    "ranks": 2,
    "device": DeviceRequest(kind="cpu", count=2, candidates=DEVICES),
    "milestones": (),
    "grace": 10.0,
}


def training(run: RunDir, step: int = 6) -> tuple[Identity, list[int]]:
    """Wait until it trains; returns the process that starts the ranks, and the pids of those."""
    launch(run)
    until(lambda: (steps_made(run) >= step and status(run).state.word == "running") or status(run).state.terminal, 120)
    assert status(run).state.word == "running", status(run).state
    launcher = Identity.from_json(run.attempt(1).worker())
    assert launcher is not None
    ranks = [int((run.attempt(1).path / f"rank-{rank}").read_text()) for rank in range(2)]
    assert set(ranks) <= set(descendants(launcher.pid))
    return launcher, ranks


def ended(run: RunDir) -> State:
    """Wait for the end: no process is left, every step is told once and by one rank, both devices are free."""
    state = wait([run], 120)[0].state
    assert state.terminal, state
    until(lambda: not supervised(run))
    assert tagged(run.path.resolve()) == []
    history = load_history(run)
    steps = history.series("train/loss_toy")[0]
    assert history.damaged == 0 and steps == list(range(1, len(steps) + 1))
    for device in DEVICES:
        free = take(device, "test")
        assert free is not None, f"{device} is free again"
        free.release()
    return state


def reason(state: State) -> str:
    return str(getattr(state, "reason", None))


def done(run: RunDir) -> dict[str, Any]:
    return run.attempt(1).done() or {}


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.fault("kill -9 of a rank of a run on several devices", "`crashed`, naming the rank; no rank is left")
def test_kill_9_of_a_rank(make_run: MakeRun, rank: int) -> None:
    run = make_run({"seconds": 0.05, "steps": 2000}, **TWO)
    _, ranks = training(run)
    os.kill(ranks[rank], signal.SIGKILL)
    state = ended(run)
    assert state.word == "crashed" and getattr(state, "signal", None) == "SIGKILL"
    assert reason(state) == f"rank {rank} of 2 was ended by SIGKILL, and the others with it"
    launch(run, resume=True)
    until(lambda: len(run.attempts()) == 2 and steps_made(run) > 6, 60)
    assert (run.attempt(2).info() or {})["resume"]["step"] >= 5
    request(run, "stop")
    assert ended(run).word == "stopped"


@pytest.mark.fault("kill -9 of the process that starts the ranks", "`crashed`; no rank is left")
def test_kill_9_of_the_launcher(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.05, "steps": 2000}, **TWO)
    launcher, ranks = training(run)
    assert launcher.signal(signal.SIGKILL)
    state = ended(run)
    assert state.word == "crashed" and "starts its 2 ranks was ended by SIGKILL" in reason(state)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in ranks))


@pytest.mark.fault("kill -9 of the supervisor and of what starts the ranks", "`lost`; no rank trains on alone")
def test_kill_9_of_supervisor_and_launcher(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.05, "steps": 2000}, **TWO)
    launcher, ranks = training(run)
    owner = Identity.from_json(run.owner())
    assert owner is not None and owner.signal(signal.SIGKILL) and launcher.signal(signal.SIGKILL)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in ranks))
    assert status(run).state.word == "lost"


@pytest.mark.parametrize("adopted", [False, True])
def test_a_stop_saves_once_and_is_resumed(make_run: MakeRun, adopted: bool) -> None:
    run = make_run({"seconds": 0.05, "steps": 60}, **TWO)
    training(run)
    if adopted:
        owner = Identity.from_json(run.owner())
        assert owner is not None and owner.signal(signal.SIGKILL)
        until(lambda: not owner.alive())
        assert adopt(run)
    request(run, "stop")
    state = ended(run)
    assert state.word == "stopped" and done(run)["outcome"] == "stopped", state
    saved = [line for line in read_lines(run.attempt(1).metrics_path) if line["kind"] == "checkpoint"]
    assert saved[-1]["step"] == done(run)["step"] == steps_made(run)
    assert (run.attempt(1).exit() or {})["stragglers_killed"] == 0
    launch(run, resume=True)
    assert ended(run).word == "finished" and steps_made(run) == 60


def test_the_telemetry_is_of_all_ranks_and_the_events_name_all_devices(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.1, "steps": 50}, **TWO)
    training(run)
    assert ended(run).word == "finished"
    running = next(line for line in read_lines(run.events_path) if line["state"] == "running")
    assert running["device"] == list(DEVICES)
    resident = max(line["rss"] for line in read_lines(run.attempt(1).telemetry_path))
    assert resident > 3 * (100 << 20), "PyTorch, three times"


def test_a_stop_that_comes_before_the_ranks_have_met(make_run: MakeRun) -> None:
    """Nothing was trained, nothing is lost, and nobody waits for ranks that will never come."""
    run = make_run({"seconds": 0.05, "steps": 2000}, **TWO)
    launch(run)
    until(lambda: status(run).state.word == "starting")
    time.sleep(0.5)  # the interpreter is there, PyTorch is not
    request(run, "stop")
    state = ended(run)
    assert state.word == "stopped" and steps_made(run) == 0 and done(run)["outcome"] == "stopped", state
    launch(run, resume=True)
    until(lambda: steps_made(run) > 2, 60)
    request(run, "kill")
    ended(run)


@pytest.mark.parametrize("before", [False, True])
def test_an_error_of_one_rank_is_the_reason(make_run: MakeRun, before: bool) -> None:
    run = make_run({"seconds": 0.02, "at": "data-error", "when": 7, "rank": 1, "before": before}, **TWO)
    launch(run)
    state = ended(run)
    assert state.word == "failed" and reason(state).startswith("rank 1: labels/7.txt:3: A label lies outside"), state
    assert done(run)["error"] == "DataError" and getattr(state, "code", None) == 1


def test_a_rank_that_leaves_without_a_word(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.02, "at": "exit-3", "when": 7, "rank": 1}, **TWO)
    launch(run)
    state = ended(run)
    assert state.word == "failed" and getattr(state, "code", None) == 3


@pytest.mark.fault("SIGSTOP of a rank, then a stop", "killed after the grace, the frozen rank included")
def test_a_frozen_rank(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.05, "steps": 2000}, **{**TWO, "grace": 2.0})
    _, ranks = training(run)
    os.kill(ranks[1], signal.SIGSTOP)
    request(run, "stop")
    assert ended(run).word == "killed"
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in ranks))


def test_a_kill(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.05, "steps": 2000}, **TWO)
    training(run)
    request(run, "kill")
    assert ended(run).word == "killed"
