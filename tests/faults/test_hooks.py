"""Hooks: what they are told, and that nothing which they do or fail to do touches a run."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from toy_runs import WORKERS, MakeRun, steps_made, until

from detui.engine.devices.processes import all_pids
from detui.engine.process.control import request, status, supervised, wait
from detui.engine.process.hooks import MARKER
from detui.engine.process.identity import Identity
from detui.engine.process.launch import adopt, launch
from detui.engine.process.lease import take
from detui.engine.run.directory import RunDir


def hook(file: Path, *more: object) -> list[str]:
    return [sys.executable, str(WORKERS / "hook.py"), str(file), *map(str, more)]


def told(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def over(*runs: RunDir) -> None:
    wait(runs, 30)
    until(lambda: not any(supervised(run) for run in runs))


def test_the_end_of_a_run(make_run: MakeRun, hostile_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_OF_MINE", "s3cret-value")
    file = hostile_path / "told"
    run = make_run({"at": "data-error", "when": 7, "seconds": 0.01}, hooks={"run_end": hook(file)})
    launch(run)
    over(run)
    (one,) = told(file)
    assert (one["event"], one["experiment"], one["run"]) == ("run_end", "toy", "baseline-s0")
    assert (one["state"], one["attempt"], one["step"], one["epoch"]) == ("failed", 1, 7, 1)
    assert "outside its picture" in one["reason"]
    assert one["paths"]["run"] == str(run.path.resolve()) and one["paths"]["attempt"].endswith("/attempts/1")
    assert one["session"] and one["secret"] == "s3cret-value", "its environment is the supervisor's"
    log = (run.path / "hooks.log").read_text()
    assert "run_end: " in log and "the hook was here" in log
    assert not any("s3cret-value" in path.read_text(errors="replace") for path in run.path.rglob("*") if path.is_file())


def test_an_alarm_is_told_while_the_run_goes_on(make_run: MakeRun, hostile_path: Path) -> None:
    file = hostile_path / "told"
    run = make_run({"at": "nan", "when": 2, "seconds": 0.1}, hooks={"alarm": hook(file)})
    launch(run)
    (one,) = until(lambda: told(file))
    assert status(run).state.word == "running"
    assert (one["event"], one["state"], one["alarm"]["name"]) == ("alarm", "running", "nan")
    assert "train/loss_toy is nan" in one["alarm"]["text"]
    over(run)
    assert status(run).state.word == "finished" and len(told(file)) == 1


def test_an_alarm_is_told_once_whoever_supervises(make_run: MakeRun, hostile_path: Path) -> None:
    file = hostile_path / "told"
    run = make_run({"at": "nan", "when": 2, "seconds": 0.25}, hooks={"alarm": hook(file)})
    launch(run)
    until(lambda: told(file))
    heard = int(run.attempt(1).beat_path.read_text())
    until(lambda: int(run.attempt(1).beat_path.read_text()) > heard + 1)
    owner = Identity.from_json(run.owner())
    assert owner is not None and owner.signal(signal.SIGKILL)
    until(lambda: not owner.alive())
    assert adopt(run)
    over(run)
    assert status(run).state.word == "finished" and len(told(file)) == 1


@pytest.mark.fault("a hook that hangs", "killed at its limit; the run and its device are not held up")
def test_a_hook_that_hangs_is_killed_with_all_it_started_and_holds_no_device(
    make_run: MakeRun, hostile_path: Path
) -> None:
    file = hostile_path / "told"
    run = make_run({"seconds": 0.005}, hooks={"run_end": hook(file, 60), "seconds": 1})
    launch(run)
    begun = time.monotonic()
    wait([run], 30)
    until(lambda: told(file))
    free = take("cpu:0", "test")
    assert free is not None, "the device is free while the hook runs"
    free.release()
    assert supervised(run) and status(run).state.word == "finished"
    until(lambda: not supervised(run))
    assert time.monotonic() - begun < 15
    assert "was killed: it took longer than 1 s" in run.supervisor_log.read_text()
    until(lambda: not _sleepers())


def _sleepers() -> list[int]:
    found = []
    for pid in all_pids():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"sleep", b"543"]:
            found.append(pid)
    return found


def test_a_hook_that_hangs_at_an_alarm_delays_nothing(make_run: MakeRun, hostile_path: Path) -> None:
    file = hostile_path / "told"
    hooks = {"alarm": hook(file, 60), "seconds": 2}
    run = make_run({"at": "nan", "when": 2, "seconds": 0.02}, hooks=hooks)
    launch(run)
    until(lambda: told(file))
    before = steps_made(run)
    until(lambda: steps_made(run) > before or status(run).state.terminal)
    over(run)
    assert status(run).state.word == "finished"
    assert (run.attempt(1).exit() or {})["stragglers_killed"] == 0, "the hook is none of the run's processes"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["/no/such/hook"], "no hook run_end: /no/such/hook: No such file"),
        ([sys.executable, "-c", "import sys; sys.exit(3)"], "the hook run_end ended with 3"),
        ([sys.executable, "-c", "import os; os.close(0)"], None),
    ],
)
def test_a_hook_that_fails_is_only_logged(make_run: MakeRun, command: list[str], says: str | None) -> None:
    run = make_run({"seconds": 0}, hooks={"run_end": command})
    launch(run)
    over(run)
    assert status(run).state.word == "finished"
    assert says is None or says in run.supervisor_log.read_text()


def test_the_end_of_an_experiment_is_told_once(make_run: MakeRun, hostile_path: Path) -> None:
    file = hostile_path / "told"
    spec = {"hooks": {"experiment_end": hook(file)}}
    runs = [make_run({"seconds": 0.005}, seed=seed, **spec) for seed in range(3)]
    for run in runs[:2]:
        launch(run)
    over(*runs[:2])
    assert told(file) == [], "one of them has not even started"
    launch(runs[2])
    over(*runs)
    (one,) = told(file)
    assert one["event"] == "experiment_end"
    assert [(run["run"], run["state"]) for run in one["runs"]] == [(run.name, "finished") for run in runs]
    assert (runs[0].experiment_dir / MARKER).exists()


def test_an_experiment_that_goes_on_ends_again(make_run: MakeRun, hostile_path: Path) -> None:
    file = hostile_path / "told"
    run = make_run({"seconds": 0.05}, hooks={"experiment_end": hook(file)})
    launch(run)
    until(lambda: steps_made(run) > 1)
    request(run, "stop")
    over(run)
    launch(run, resume=True)
    over(run)
    assert [one["runs"][0]["state"] for one in told(file)] == ["stopped", "finished"]


def test_a_run_that_is_called_off_in_the_queue_has_ended_too(make_run: MakeRun, hostile_path: Path) -> None:
    file = hostile_path / "told"
    run = make_run(hooks={"run_end": hook(file)})
    (run.control_dir / "stop").write_text("{}")
    launch(run)
    over(run)
    (one,) = told(file)
    assert (one["state"], one["attempt"], one["step"]) == ("stopped", None, None)
