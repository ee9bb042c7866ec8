"""Every way a worker can end, with real processes and real signals, under a plain and a hostile path."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from toy_runs import WORKERS, MakeRun, steps_made, until

from detui.engine.errors import RunError
from detui.engine.process.control import request, status, supervised, wait
from detui.engine.process.descendants import tagged
from detui.engine.process.identity import Identity
from detui.engine.process.launch import launch
from detui.engine.process.lease import take
from detui.engine.run.directory import RunDir
from detui.engine.run.files import read_json, write_json
from detui.engine.run.history import load_history
from detui.engine.run.lines import read_lines
from detui.engine.run.spec import DeviceRequest
from detui.engine.run.state import State


def words(run: RunDir) -> list[str]:
    return [line["state"] for line in read_lines(run.events_path)]


def ended(run: RunDir, seconds: float = 30.0) -> State:
    """Wait for the end, and see that nothing is left of the run and that its device is free."""
    state = wait([run], seconds)[0].state
    assert state.terminal, state
    until(lambda: not supervised(run))
    assert tagged(run.path.resolve()) == []
    free = take("cpu:0", "test")
    assert free is not None, "the device is free again"
    free.release()
    return state


def begun(run: RunDir, step: int = 2) -> None:
    until(lambda: steps_made(run) >= step and status(run).state.word in ("running", "stopping"))


@pytest.mark.parametrize(
    ("at", "word", "fields"),
    [
        (None, "finished", {"reason": None}),
        ("exit-3", "failed", {"code": 3, "reason": "exit code 3"}),
        ("exit-0", "failed", {"code": 0}),
        ("data-error", "failed", {"code": 1}),
        ("segfault", "crashed", {"signal": "SIGSEGV"}),
        ("kill", "crashed", {"signal": "SIGKILL"}),
        ("memory", "oom", {}),
        ("nan", "finished", {}),
    ],
)
def test_a_worker_that_ends_by_itself(make_run: MakeRun, at: str | None, word: str, fields: dict[str, Any]) -> None:
    run = make_run({"at": at, "when": 7, "seconds": 0.005})
    launch(run)
    state = ended(run)
    assert state.word == word
    assert {name: getattr(state, name) for name in fields} == fields
    assert words(run) == ["queued", "starting", "running", word]
    attempt = run.attempt(1)
    assert (attempt.exit() or {})["state"] == word and (attempt.exit() or {})["stragglers_killed"] == 0
    history = load_history(run)
    steps = history.series("train/loss_toy")[0]
    assert steps == list(range(1, (21 if word == "finished" else 8))) and history.damaged == 0
    assert [alarm["name"] for alarm in history.alarms] == (["nan"] if at == "nan" else [])


def test_stop_and_resume_go_on_counting(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.05, "checkpoint_every": 1000})
    launch(run)
    begun(run, 3)
    request(run, "stop")
    assert ended(run).word == "stopped"
    assert words(run) == ["queued", "starting", "running", "stopping", "stopped"]
    stopped_at = steps_made(run)
    assert 3 <= stopped_at < 20
    assert not (run.control_dir / "stop").exists(), "a served request does not stop the next attempt"

    launch(run, resume=True)
    assert ended(run).word == "finished"
    info = run.attempt(2).info()
    assert info is not None and info["resume"]["step"] == stopped_at and info["resume"]["attempt"] == 1
    first = next(line for line in read_lines(run.attempt(2).metrics_path) if line["kind"] == "begin")
    assert first["resumed_from_step"] == stopped_at
    steps, values = load_history(run).series("train/loss_toy")
    assert steps == list(range(1, 21))
    assert values == pytest.approx([0.9 ** (2 * step) for step in steps]), "the curve of an uninterrupted run"


def test_resume_after_kill_9_starts_from_the_last_checkpoint(make_run: MakeRun) -> None:
    run = make_run({"at": "kill", "when": 8, "seconds": 0.01})
    launch(run)
    assert ended(run).word == "crashed"
    launch(run, resume=True)
    assert ended(run).word == "crashed", "it is killed at step 8 again"
    info = run.attempt(2).info()
    assert info is not None and info["resume"]["step"] == 5
    assert load_history(run).series("train/loss_toy")[0] == list(range(1, 9))


@pytest.mark.fault("kill -9 of the worker", "`crashed`, known within half a second; resumes from its last checkpoint")
def test_kill_9_of_a_worker_is_diagnosed_at_once(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.2})
    launch(run)
    begun(run)
    worker = Identity.from_json(run.attempt(1).worker())
    assert worker is not None and worker.signal(signal.SIGKILL)
    begin = time.monotonic()
    until(lambda: status(run).state.terminal)
    assert time.monotonic() - begin < 2.0
    assert ended(run).word == "crashed"


def test_a_kill_does_not_wait(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.2}, grace=60.0)
    launch(run)
    begun(run)
    request(run, "kill")
    state = ended(run, 10)
    assert (state.word, getattr(state, "reason", None)) == ("killed", "killed on request")
    assert words(run)[-2:] == ["stopping", "killed"]


@pytest.mark.fault("a worker that ignores the stop", "`killed` after the grace")
def test_a_worker_that_ignores_the_stop_is_killed_after_the_grace(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.1, "steps": 1000, "at": "ignore-term", "when": 1})
    launch(run)
    begun(run)
    request(run, "stop")
    until(lambda: status(run).state.word == "stopping")
    state = ended(run, 10)
    assert (state.word, getattr(state, "reason", None)) == ("killed", "it did not stop within 1 s")


@pytest.mark.fault("a process that left the session (setsid)", "killed with the run, and counted")
def test_a_process_that_left_the_session_is_swept(make_run: MakeRun) -> None:
    run = make_run({"at": "escapee", "when": 2, "seconds": 0.01})
    launch(run)
    assert ended(run).word == "finished"
    escapee = int((run.attempt(1).path / "escapee").read_text())
    assert not Path(f"/proc/{escapee}").exists()
    assert (run.attempt(1).exit() or {})["stragglers_killed"] == 1


def test_a_worker_that_is_done_and_does_not_exit(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETUI_LINGER", "1")
    run = make_run({"at": "linger", "when": 2, "seconds": 0.01})
    launch(run)
    state = ended(run)
    assert (state.word, getattr(state, "reason", None)) == (
        "finished",
        "it was done, did not exit, and was killed",
    )


def test_a_second_launch_is_refused(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.1})
    launch(run)
    for resume in (False, True):
        with pytest.raises(RunError, match="supervised already"):
            launch(run, resume=resume)
    begun(run)
    request(run, "stop")
    ended(run)
    with pytest.raises(RunError, match=r"ended already: stopped.*\n.*detui resume"):
        launch(run)


@pytest.mark.fault("two supervisors for one run", "one is refused by the lock")
def test_two_supervisors_started_at_the_same_moment(make_run: MakeRun) -> None:
    """What a launch checks early can be overtaken; the lock decides."""
    run = make_run({"seconds": 0.05})
    command = [sys.executable, "-m", "detui.engine.process.supervisor", str(run.path)]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate(timeout=30)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1]
    assert sum("supervised already" in error for error in errors) == 1
    assert [attempt.number for attempt in run.attempts()] == [1]
    assert ended(run).word == "finished"


def test_a_finished_run_is_not_resumed(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0})
    launch(run)
    ended(run)
    with pytest.raises(RunError, match="nothing to resume"):
        launch(run, resume=True)


def test_without_a_checkpoint_a_resume_begins_again(make_run: MakeRun) -> None:
    run = make_run({"at": "kill", "when": 3, "checkpoint_every": 1000})
    launch(run)
    assert ended(run).word == "crashed"
    launch(run, resume=True)
    ended(run)
    assert [attempt.number for attempt in run.attempts()] == [1, 2]
    assert (run.attempt(2).info() or {}).get("resume", "absent") is None
    assert read_lines(run.attempt(2).metrics_path)[0]["resumed_from_step"] == 0


@pytest.mark.fault("kill -9 of the supervisor", "the worker trains on and keeps its device")
def test_kill_9_of_the_supervisor_leaves_the_worker(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.05})
    launch(run)
    begun(run)
    owner = Identity.from_json(run.owner())
    assert owner is not None and owner.signal(signal.SIGKILL)
    until(lambda: not owner.alive())
    assert status(run).notes == ("orphaned",)
    assert take("cpu:0", "test") is None, "the worker keeps the device"
    with pytest.raises(RunError, match="without a supervisor"):
        launch(run, resume=True)
    request(run, "stop")
    state = until(lambda: (found := status(run).state).terminal and found)
    assert state.word == "stopped", "the worker's own account is believed"
    launch(run, resume=True)
    assert ended(run).word == "finished"
    assert "stopped" in words(run), "the successor writes down what its predecessor could not"


@pytest.mark.fault("kill -9 of supervisor and worker", "`lost`; resumes from its last checkpoint")
def test_both_killed_is_lost_and_can_be_resumed(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.05})
    launch(run)
    begun(run, 6)
    for found in (run.owner(), run.attempt(1).worker()):
        identity = Identity.from_json(found)
        assert identity is not None and identity.signal(signal.SIGKILL)
    state = until(lambda: (found := status(run).state).terminal and found)
    assert (state.word, state.reason) == ("lost", "nobody saw it end")
    launch(run, resume=True)
    assert ended(run).word == "finished"
    assert load_history(run).series("train/loss_toy")[0] == list(range(1, 21))


@pytest.mark.fault("SIGTERM to the supervisor (batch system, shutdown)", "`stopped`, with a checkpoint")
def test_a_supervisor_that_is_asked_to_end_stops_its_run(make_run: MakeRun) -> None:
    """What a batch system and a shutdown do."""
    run = make_run({"seconds": 0.05})
    launch(run)
    begun(run)
    owner = Identity.from_json(run.owner())
    assert owner is not None and owner.signal(signal.SIGTERM)
    assert ended(run).word == "stopped"


def test_an_interpreter_that_is_not_there(make_run: MakeRun) -> None:
    run = make_run(python="/no/such/python")
    launch(run)
    state = ended(run)
    assert state.word == "failed" and "Cannot start /no/such/python" in str(getattr(state, "reason", ""))


def test_evaluations_run_beside_and_after(make_run: MakeRun) -> None:
    after = (sys.executable, str(WORKERS / "evaluator.py"), "go", "0")
    run = make_run({"at": "wait", "when": 12}, after=after)
    launch(run)
    until(lambda: "evaluating" in status(run).notes)
    assert not status(run).state.terminal, "the first milestone is evaluated while it trains"
    (run.path / "go").touch()
    assert ended(run).word == "finished"
    lines = (run.path / "evaluated.txt").read_text().splitlines()
    assert 2 <= len(lines) <= 3
    nice = int(lines[0].split()[0])
    assert set(lines) == {f"{nice} False ''"} and nice >= min(19, os.nice(0) + 10)
    assert status(run).notes == ()


def test_a_kill_ends_the_training_and_not_its_last_evaluation(make_run: MakeRun) -> None:
    after = (sys.executable, str(WORKERS / "evaluator.py"), "0.3", "0")
    run = make_run({"seconds": 0.05}, after=after)
    launch(run)
    begun(run)
    request(run, "kill")
    assert ended(run).word == "killed"
    until(lambda: not supervised(run))
    assert status(run).notes == ()
    assert (run.path / "evaluated.txt").read_text()


def test_an_evaluation_that_fails_is_noted(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0}, after=(sys.executable, str(WORKERS / "evaluator.py"), "0", "1"))
    launch(run)
    state = ended(run)
    assert state.word == "finished" and status(run).notes == ("evaluation failed: see after.log",)


def test_telemetry_and_beat_go_on_beside_the_training(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.15})
    launch(run)
    until(lambda: len(load_history(run).telemetry) >= 2)
    sample = load_history(run).telemetry[-1]
    assert set(sample) >= {"t", "cpu_percent", "rss", "host_memory_used", "host_memory_total", "disk_free", "gpus"}
    assert 5 << 20 < sample["rss"] < 500 << 20 and sample["gpus"] == []
    first = int(run.attempt(1).beat_path.read_text())
    until(lambda: int(run.attempt(1).beat_path.read_text() or 0) > first)
    with Path(f"/proc/{(run.owner() or {})['pid']}/status").open() as file:
        resident = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
    assert resident < 24 * 1024, f"the supervisor takes {resident} KiB; the budget is 20 MiB"
    request(run, "kill")
    ended(run)


def test_four_runs_on_two_slots(make_run: MakeRun) -> None:
    slots = DeviceRequest(kind="cpu", count=1, candidates=("cpu:0", "cpu:1"))
    runs = [make_run({"seconds": 0.04}, seed=seed, device=slots) for seed in range(4)]
    for run in runs:
        launch(run)
    assert all(one.state.word == "finished" for one in wait(runs, 60))
    spans = [_span(run) for run in runs]
    for begin, _, _ in spans:
        at_once = [device for start, end, device in spans if start <= begin < end]
        assert len(at_once) <= 2 and len(set(at_once)) == len(at_once)
    assert {device for _, _, device in spans} == {"cpu:0", "cpu:1"}, "both slots are kept busy"


def _span(run: RunDir) -> tuple[str, str, str]:
    events = {line["state"]: line for line in read_lines(run.events_path)}
    return events["running"]["at"], events["finished"]["at"], events["running"]["device"][0]


@pytest.mark.parametrize(("what", "word"), [("stop", "stopped"), ("kill", "killed")])
def test_a_queued_run_can_be_cancelled(make_run: MakeRun, what: str, word: str) -> None:
    busy = take("cpu:0", "somebody else")
    assert busy is not None
    run = make_run({"seconds": 0})
    launch(run)
    time.sleep(0.5)
    assert status(run).state.word == "queued"
    assert status(run).notes == ("waiting for a device (1 in use)",)
    request(run, what)
    state = until(lambda: (found := status(run).state).terminal and found)
    assert (state.word, state.attempt, run.attempts()) == (word, None, [])
    busy.release()
    launch(run, resume=True)
    assert ended(run).word == "finished"


def test_a_stop_before_the_launch_is_honoured(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0})
    write_json(run.control_dir / "stop", {})
    launch(run)
    assert ended(run).word == "stopped" and run.attempts() == []


def test_a_run_that_asks_for_more_than_there_is(make_run: MakeRun) -> None:
    run = make_run(device=DeviceRequest(kind="cpu", count=2, candidates=("cpu:0",)))
    launch(run)
    state = ended(run)
    assert state.word == "failed" and "2 devices" in str(getattr(state, "reason", ""))


def test_what_the_worker_is_given(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.1}, environ={"MINE": "a b"}, threads=3)
    launch(run)
    begun(run)
    pid = (run.attempt(1).worker() or {})["pid"]
    content = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    expected = (b"MINE=a b", b"OMP_NUM_THREADS=3", b"CUDA_VISIBLE_DEVICES=", b"PYTHONUNBUFFERED=1",
                b"DETUI_RUN=" + os.fsencode(run.path.resolve()))  # fmt: skip
    assert set(expected) <= set(content)
    assert Path(f"/proc/{pid}/cwd").resolve() == run.attempt(1).path.resolve()
    assert os.getsid(pid) == pid, "a session of its own"
    request(run, "kill")
    ended(run)
    assert read_json(run.attempt(1).path / "exit.json")["signal"] == "SIGKILL"


def supervised_by(run: RunDir, sabotage: str) -> subprocess.Popen[bytes]:
    """A supervisor in the foreground of a process in which something is not as it should be."""
    code = (
        "import errno, os, sys\nfrom detui.engine.process import attempt, supervisor, watch\n"
        "def broken(*_, **__):\n    raise ValueError('a bug')\n"
        "def absent(*_):\n    raise OSError(errno.ENOSYS, 'Function not implemented')\n"
        f"{sabotage}\nsys.exit(supervisor.main([sys.argv[1]]))"
    )
    return subprocess.Popen([sys.executable, "-c", code, str(run.path)], stderr=subprocess.DEVNULL)


@pytest.mark.fault("an error in the supervisor itself", "`failed`; nothing trains on unseen")
@pytest.mark.parametrize(
    "sabotage", ["watch.Watch._tick_until_end = broken", "watch.LineReader = broken", "attempt.Worker = broken"]
)
def test_a_supervisor_that_fails_leaves_no_worker_behind(make_run: MakeRun, sabotage: str) -> None:
    run = make_run({"seconds": 0.2, "steps": 10_000})
    process = supervised_by(run, sabotage)
    state = wait([run], 30)[0].state
    free = take("cpu:0", "test")
    assert tagged(run.path.resolve()) == [], "nothing trains on beside the word `failed`"
    assert free is not None, "the device is free"
    free.release()
    assert (state.word, getattr(state, "attempt", None)) == ("failed", 1)
    assert "its supervisor failed: ValueError('a bug')" in str(getattr(state, "reason", ""))
    assert process.wait(30) == 1


@pytest.mark.fault("a kernel without pidfd", "the same, by polling")
@pytest.mark.parametrize("sabotage", ["os.pidfd_open = absent", "del os.pidfd_open"])
@pytest.mark.parametrize(("what", "word"), [("stop", "stopped"), ("kill", "killed"), (None, "finished")])
def test_a_kernel_without_process_descriptors(make_run: MakeRun, sabotage: str, what: str | None, word: str) -> None:
    run = make_run({"seconds": 0.05})
    process = supervised_by(run, sabotage)
    begun(run)
    if what is not None:
        request(run, what)
    assert ended(run).word == word
    assert process.wait(30) == (0 if word == "finished" else 1)
