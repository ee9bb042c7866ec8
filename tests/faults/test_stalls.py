"""A supervisor that does not move, and how soon the end of a worker is known."""

from __future__ import annotations

import signal
import time

import pytest
from toy_runs import MakeRun, steps_made, until

from detui.engine.process import control
from detui.engine.process.control import status, supervised, wait
from detui.engine.process.identity import Identity
from detui.engine.process.launch import launch
from detui.engine.process.lease import held, run_resource
from detui.engine.run.directory import RunDir
from detui.engine.run.state import read_state
from detui.tui import control as ask


def training(run: RunDir) -> tuple[Identity, Identity]:
    """Launch a run; its supervisor and its worker, once it trains."""
    launch(run)
    until(lambda: steps_made(run) >= 2 and status(run).state.word == "running" and run.attempt(1).worker())
    supervisor, worker = Identity.from_json(run.owner()), Identity.from_json(run.attempt(1).worker())
    assert supervisor is not None and worker is not None
    return supervisor, worker


@pytest.mark.fault("SIGSTOP of the supervisor", "shown as stalled; goes on with SIGCONT")
def test_a_supervisor_that_is_held_up_is_stalled_and_goes_on(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run({"seconds": 0.15, "steps": 60})
    supervisor, _ = training(run)
    until(lambda: run.attempt(1).beat_path.exists())
    monkeypatch.setattr(control, "STALL_SECONDS", 2.0)
    assert supervisor.signal(signal.SIGSTOP)
    try:
        notes = until(lambda: status(run).notes)
        assert notes[0].startswith("stalled: no beat for "), notes
        assert held(run_resource(run.path)), "nobody else can take it meanwhile"
        assert status(run).state.word == "running"
    finally:
        supervisor.signal(signal.SIGCONT)
    until(lambda: status(run).notes == ())
    assert wait([run], 30)[0].state.word == "finished"
    until(lambda: not supervised(run))


def test_the_end_of_a_worker_is_known_at_once(make_run: MakeRun) -> None:
    """The budget is half a second; the bound is loose, because a busy machine is no fault of the supervisor's."""
    run = make_run({"seconds": 0.2})
    _, worker = training(run)
    begun = time.monotonic()
    assert worker.signal(signal.SIGKILL)
    until(lambda: read_state(run).terminal)
    assert time.monotonic() - begun < 1.5
    assert read_state(run).word == "crashed"
    until(lambda: not supervised(run))


def test_who_resumes_after_running_out_of_memory_is_told(make_run: MakeRun) -> None:
    run = make_run({"at": "memory", "when": 7, "seconds": 0.002})
    launch(run)
    (found,) = wait([run], 30)
    until(lambda: not supervised(run))
    reason = str(getattr(found.state, "reason", ""))
    assert "no room for a batch of 64" in reason and "a smaller batch needs less memory" in reason
    (answer,) = ask.resume([run])
    assert answer.done and "may run out of memory again" in answer.text
    wait([run], 30)
    until(lambda: not supervised(run))
