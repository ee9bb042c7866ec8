"""What a run's files and the processes that are there amount to."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from toy_runs import MakeRun

from detui.engine.errors import RunError, UsageError
from detui.engine.process.control import request, status, wait
from detui.engine.process.identity import Identity
from detui.engine.run.directory import RunDir
from detui.engine.run.files import read_json, write_json
from detui.engine.run.state import Failed, Finished, Lost, Queued, Running, Stopped


@pytest.fixture
def someone() -> Iterator[Identity]:
    """A living process."""
    process = subprocess.Popen(["sleep", "60"])
    identity = Identity.of(process.pid)
    assert identity is not None
    yield identity
    process.kill()
    process.wait()


@pytest.fixture
def nobody() -> Identity:
    """A process that is gone."""
    me = Identity.of(os.getpid())
    assert me is not None
    return replace(me, start=1)


def running(run: RunDir, owner: Identity, worker: Identity) -> None:
    attempt = run.attempt(1)
    attempt.path.mkdir()
    write_json(run.path / "owner.json", owner.to_json())
    write_json(attempt.path / "worker.json", worker.to_json())
    attempt.beat_path.write_text("1\n")
    run.append_event("starting", attempt=1)
    run.append_event("running", attempt=1, device=["cpu:0"])


def test_a_run_that_nobody_started(make_run: MakeRun) -> None:
    found = status(make_run())
    assert isinstance(found.state, Queued) and (found.notes, found.attempt) == (("not started",), None)


def test_a_supervised_run(make_run: MakeRun, someone: Identity) -> None:
    run = make_run()
    running(run, someone, someone)
    assert isinstance(status(run).state, Running) and status(run).notes == ()
    os.utime(run.attempt(1).beat_path, (time.time() - 60, time.time() - 60))
    assert status(run).notes == ("stalled: no beat for 60 s",)


def test_the_wall_clock_makes_nothing_seem_stalled(make_run: MakeRun, someone: Identity) -> None:
    """A beat counts the seconds since the attempt's zero, by a clock that nobody sets."""
    run = make_run()
    running(run, someone, someone)
    zero = {**someone.to_json(), "zero": time.monotonic() - 100.0}
    write_json(run.attempt(1).path / "worker.json", zero)
    run.attempt(1).beat_path.write_text("100\n")
    os.utime(run.attempt(1).beat_path, (time.time() - 3600, time.time() - 3600))
    assert status(run).notes == (), "the clock was put forward by an hour"
    run.attempt(1).beat_path.write_text("70\n")
    os.utime(run.attempt(1).beat_path, (time.time() + 3600, time.time() + 3600))
    assert status(run).notes == ("stalled: no beat for 31 s",), "the clock was put back by an hour"


def test_an_orphan_can_be_asked(make_run: MakeRun, someone: Identity, nobody: Identity) -> None:
    run = make_run()
    running(run, nobody, someone)
    assert isinstance(status(run).state, Running) and status(run).notes == ("orphaned",)
    request(run, "stop")
    wait_until = time.monotonic() + 5
    while someone.alive() and time.monotonic() < wait_until:
        time.sleep(0.02)
    found = status(run).state
    assert isinstance(found, Lost) and found.reason == "nobody saw it end"


@pytest.mark.parametrize(
    ("files", "kind", "reason"),
    [
        ({"done": {"outcome": "finished"}}, Finished, None),
        ({"done": {"outcome": "stopped"}}, Stopped, "it saved and ended while its supervisor was gone"),
        ({"done": {"outcome": "failed", "message": "no labels"}}, Failed, "no labels"),
        ({"exit": {"state": "failed", "code": 3, "signal": None, "reason": "bye"}}, Failed, "bye"),
        ({"done": {"outcome": "finished"}, "exit": {"state": "finished", "reason": None}}, Finished, None),
        ({}, Lost, "nobody saw it end"),
    ],
)
def test_what_became_of_it_comes_from_what_was_written(
    make_run: MakeRun, nobody: Identity, files: dict[str, Any], kind: type, reason: str | None
) -> None:
    run = make_run()
    running(run, nobody, nobody)
    for name, content in files.items():
        write_json(run.attempt(1).path / f"{name}.json", content)
    state = status(run).state
    assert type(state) is kind and getattr(state, "reason", None) == reason
    assert getattr(state, "attempt", None) == 1


def test_a_restart_of_the_machine(make_run: MakeRun, nobody: Identity) -> None:
    run = make_run()
    rebooted = replace(nobody, boot="before")
    running(run, rebooted, rebooted)
    state = status(run).state
    assert isinstance(state, Lost) and state.reason == "the machine was restarted"


def test_a_supervisor_that_died_in_the_queue(make_run: MakeRun, nobody: Identity) -> None:
    run = make_run()
    write_json(run.path / "owner.json", nobody.to_json())
    state = status(run).state
    assert isinstance(state, Lost) and state.reason == "its supervisor was gone before it started"


def test_another_host_is_never_lost(make_run: MakeRun, nobody: Identity) -> None:
    run = make_run()
    far = replace(nobody, boot="other", host="gpu07")
    running(run, far, far)
    assert isinstance(status(run).state, Running) and status(run).notes == ("on gpu07",)
    os.utime(run.attempt(1).beat_path, (time.time() - 600, time.time() - 600))
    assert status(run).notes == ("unreachable: gpu07",)
    request(run, "stop")
    assert read_json(run.control_dir / "stop")["uid"] == os.getuid()


def test_what_cannot_be_asked(make_run: MakeRun) -> None:
    run = make_run()
    with pytest.raises(UsageError, match="'pause' is no request"):
        request(run, "pause")
    run.append_event("finished", attempt=1)
    with pytest.raises(RunError, match="ended already: finished"):
        request(run, "stop")


def test_twenty_states_are_known_quickly(make_run: MakeRun, someone: Identity) -> None:
    """The budget is 20 ms; the bound is loose, because a busy machine is no fault of the reader's."""
    runs = [make_run(seed=seed) for seed in range(20)]
    for run in runs:
        running(run, someone, someone)
    status(runs[0])
    begun = time.thread_time()
    found = [status(run) for run in runs]
    assert time.thread_time() - begun < 0.1
    assert {one.state.word for one in found} == {"running"}


def test_waiting_has_an_end(make_run: MakeRun) -> None:
    run, looks = make_run(), []
    found = wait([run], timeout=0.3, seen=looks.append, period=0.1)
    assert found[0].state.word == "queued" and len(looks) >= 2
