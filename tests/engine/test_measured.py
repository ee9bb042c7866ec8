"""What runs needed is remembered, found again by the plan, and rebuilt from the runs."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

import pytest

from detui.engine.configuration import Configuration
from detui.engine.errors import RunError
from detui.engine.measured import (
    FOLDER,
    Estimate,
    Measured,
    configuration_key,
    measure,
    min_free,
    rebuild,
    recall,
    remember,
)
from detui.engine.process.control import supervised, wait
from detui.engine.process.lease import take
from detui.engine.run.directory import AttemptDir
from detui.engine.run.files import read_json
from detui.engine.workspace import Workspace
from detui.tui.plan_text import estimate_text, needs

PROGRAM = """\
import json, time
n = 0
for epoch in range(1, {epochs} + 1):
    for _ in range(4):
        n += 1
        time.sleep(0.05)
        values = {{"train/loss_a": 1 / n}}
        print(json.dumps({{"kind": "step", "step": n, "epoch": epoch, "values": values}}), flush=True)
    print(json.dumps({{"kind": "epoch", "step": n, "epoch": epoch, "values": {{}}}}), flush=True)
"""


def write_lines(path: Path, *lines: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_an_attempt_is_measured(tmp_path: Path) -> None:
    attempt = AttemptDir(tmp_path / "1")
    gpu = [{"uuid": "GPU-1", "memory_used": used << 30} for used in (2, 9, 14)]
    telemetry = [{"t": t, "rss": 5 << 30, "gpus": [one]} for t, one in enumerate(gpu)]
    write_lines(attempt.telemetry_path, *telemetry, {"kind": "alarm", "t": 1, "name": "disk_low"})
    steps = [{"kind": "step", "t": 10 + n, "step": n, "values": {"memory/peak": 1 << 30}} for n in range(20)]
    epochs = [{"kind": "epoch", "t": t, "epoch": e} for e, t in enumerate((15, 36, 57), 1)]
    write_lines(attempt.metrics_path, {"kind": "begin", "steps_per_epoch": 20}, *steps, *epochs)
    found = measure(attempt)
    assert (found.peak_memory, found.memory_kind) == (12 << 30, "gpu"), "less what others had at the first sample"
    assert (found.step_seconds, found.epoch_seconds) == (1, 21), "an epoch with its validation"
    write_lines(attempt.metrics_path, {"kind": "begin", "steps_per_epoch": 20}, *steps)
    assert measure(attempt).epoch_seconds == 20, "a first epoch that did not end"
    write_lines(attempt.metrics_path, {"kind": "begin"})
    write_lines(attempt.telemetry_path, {"t": 1, "rss": 7, "gpus": []})
    found = measure(attempt)
    assert found == Measured(7, "host", None, None, "run", found.at)


def test_a_preflight_never_replaces_a_run_and_the_peak_stays(tmp_path: Path) -> None:
    remember(tmp_path, "k", "A100", Measured(10, "gpu", 1.0, None, "preflight"))
    remember(tmp_path, "k", "A100", Measured(30, "gpu", 2.0, 9.0))
    remember(tmp_path, "k", "A100", Measured(20, "gpu", 3.0, None))
    remember(tmp_path, "k", "A100", Measured(99, "gpu", 9.0, 9.0, "preflight"))
    assert recall(tmp_path, "k", "A100") == Measured(30, "gpu", 3.0, 9.0)
    assert recall(tmp_path, "k", "H200") is None and recall(tmp_path, "other", "A100") is None
    for path in (tmp_path / FOLDER).iterdir():
        path.write_text("{")
    assert recall(tmp_path, "k", "A100") is None, "a damaged index is no history"


def test_what_a_key_depends_on() -> None:
    keys = [
        configuration_key("ultralytics", {"name": data}, kind, count, [{"train": {"batch": batch}}])
        for data, kind, count, batch in
        (("a", "cpu", 1, 8), ("b", "cpu", 1, 8), ("a", "cuda", 1, 8), ("a", "cpu", 2, 8), ("a", "cpu", 1, 16))
    ]  # fmt: skip
    assert len(set(keys)) == 5


def test_an_estimate_in_words() -> None:
    known = Measured(14_200_000_000, "gpu", 0.2, 204.0)
    assert estimate_text(Estimate("k", "A100", 300, known)) == "needed 14.2 GB before; 300 epochs ≈ 17 h"
    assert "--preflight" in estimate_text(Estimate("k", "A100", 300))
    assert estimate_text(Estimate("k", "A100", 1, Measured(None, "gpu", 1, 9, "preflight"))) == (
        "1 epoch ≈ 9 s (by a preflight's few steps)"
    )


def test_how_much_must_be_free() -> None:
    assert min_free(None, [80]) == 0 and min_free(Measured(100, "host", 1, 1), [1000]) == 0
    assert min_free(Measured(100, "gpu", 1, 1), [1000, None]) == 110
    assert min_free(Measured(100, "gpu", 1, 1), [104]) == 98, "an empty GPU must do"


@pytest.fixture
def workspace(hostile_path: Path) -> Workspace:
    configuration = Configuration.load(workspace=str(hostile_path / "logs"), environ={"HOME": str(hostile_path)})
    return Workspace(configuration.workspace, configuration)


def recipe(folder: Path, epochs: int) -> str:
    program = folder / "program.py"
    program.write_text(PROGRAM.format(epochs=epochs))
    text = {"schema": 1, "title": "t", "question": "q", "backend": "command", "arms": {"only": {}}, "seeds": [0],
            "base": {"command": [sys.executable, str(program)], "epochs": epochs}}  # fmt: skip
    (folder / "mine.yaml").write_text(json.dumps(text))
    return str(folder / "mine.yaml")


def test_a_run_is_remembered_for_the_next_plan(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETUI_LEASES", str(tmp_path / "leases"))
    plan = workspace.plan(recipe(tmp_path, 3), devices="cpu")
    assert plan.estimates["only"].measured is None and "no history" in next(needs(plan))
    experiment = workspace.start(plan)
    assert wait(experiment.runs(), 60)[0].state.word == "finished"
    while any(map(supervised, experiment.runs())):
        pass
    planned = workspace.plan(recipe(tmp_path, 30), devices="cpu").estimates["only"]
    assert planned.measured is not None and planned.epochs == 30, "another number of epochs is the same configuration"
    assert 0.2 <= (planned.measured.epoch_seconds or 0) < 2 and planned.seconds == planned.measured.epoch_seconds * 30
    frozen = read_json(experiment.path / "experiment.json")["estimates"]["only"]
    assert frozen["key"] == planned.key and frozen["measured"] is None, "what was known when it started"

    second = workspace.start(workspace.plan(recipe(tmp_path, 3), devices="cpu"))
    assert wait(second.runs(), 60)[0].state.word == "finished"
    while any(map(supervised, second.runs())):
        pass
    error = read_json(second.runs()[0].path / "estimate.json")
    assert error["took"]["seconds"] > 0 and -1 < error["error"]["seconds"] < 2 and error["source"] == "run"
    assert not (experiment.runs()[0].path / "estimate.json").exists(), "nothing had been estimated"
    assert "(estimated " in second.record_path().read_text()

    for path in (workspace.path / FOLDER).iterdir():
        path.unlink()
    assert workspace.plan(recipe(tmp_path, 3), devices="cpu").estimates["only"].measured is None
    assert rebuild(workspace.path) == 2
    shutil.rmtree(workspace.path / FOLDER)
    again = workspace.plan(recipe(tmp_path, 30), devices="cpu").estimates["only"]
    assert again.measured is not None and again.seconds, "an index that is gone is made anew by the next plan"


def test_a_preflight_measures_in_a_place_of_its_own(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETUI_LEASES", str(tmp_path / "leases"))
    plan = workspace.plan(recipe(tmp_path, 1000), devices="cpu")
    said: list[int] = []
    found = workspace.preflight(plan, lambda _what, done, _total: said.append(done)).estimates["only"]
    assert found.measured is not None and found.measured.source == "preflight" and max(said) == 8
    assert 0.04 < (found.measured.step_seconds or 0) < 0.5 and found.measured.peak_memory
    assert list((workspace.path / ".preflight").iterdir()) == [] and workspace.experiments() == []
    free = take("cpu:0", "test")
    assert free is not None, "its device is free again"
    free.release()
    begin = time.monotonic()
    assert workspace.preflight(plan).estimates["only"] == found and time.monotonic() - begin < 1, "it has history now"


def test_a_preflight_of_what_cannot_run_says_why_and_leaves_nothing(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETUI_LEASES", str(tmp_path / "leases"))
    plan = workspace.plan(recipe(tmp_path, 1), devices="cpu")
    (tmp_path / "program.py").write_text("raise SystemExit('no such camera')")
    with pytest.raises(RunError, match="preflight of only-s0 is failed.*no such camera"):
        workspace.preflight(plan)
    assert list((workspace.path / ".preflight").iterdir()) == []
    assert workspace.plan(recipe(tmp_path, 1), devices="cpu").estimates["only"].measured is None
