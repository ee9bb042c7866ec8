"""A supervisor that does not move, and how soon the end of a worker is known."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toy_runs import MakeRun, steps_made, until

from detui.engine.process import control
from detui.engine.process.control import status, supervised, wait
from detui.engine.process.identity import Identity
from detui.engine.process.launch import launch
from detui.engine.process.lease import held, run_resource
from detui.engine.run.directory import RunDir
from detui.engine.run.lines import read_lines
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


@pytest.fixture
def wall_clock(tmp_path: Path) -> Path:
    """Compile the library that puts the wall clock of a process forward by the seconds in a file; return its path."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler to build the library that moves a clock")
    library = tmp_path / "wall_clock.so"
    source = Path(__file__).with_name("wall_clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    return library


@pytest.mark.fault("the wall clock jumps forward and back", "nothing: what matters is measured by the monotonic clock")
def test_the_wall_clock_jumps(make_run: MakeRun, wall_clock: Path, tmp_path: Path) -> None:
    run = make_run({"seconds": 0.05, "steps": 60})
    offset = tmp_path / "seconds"
    offset.write_text("0")
    code = (
        "import sys; from pathlib import Path; from detui.engine.process.launch import launch\n"
        "from detui.engine.run.directory import RunDir\n"
        "launch(RunDir(Path(sys.argv[1])))"
    )
    environ = {**os.environ, "LD_PRELOAD": str(wall_clock), "WALL_CLOCK": str(offset)}
    subprocess.run([sys.executable, "-c", code, str(run.path)], env=environ, check=True)
    for seconds in (86400, -86400, 0):
        before = steps_made(run)
        offset.write_text(str(seconds))
        until(lambda before=before: steps_made(run) >= before + 10)
        assert status(run).notes == () and status(run).state.word == "running"
    assert wait([run], 30)[0].state.word == "finished"
    until(lambda: not supervised(run))
    lines = read_lines(run.attempt(1).metrics_path)
    times = [line["t"] for line in lines]
    assert times == sorted(times) and times[-1] < 60
    assert 1 < (run.attempt(1).exit() or {})["seconds"] < 60
    days = {line["at"][:10] for line in read_lines(run.events_path)}
    assert len(days) <= 2, "the jumps are over when it ends"


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
