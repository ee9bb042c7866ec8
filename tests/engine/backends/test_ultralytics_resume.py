"""A resumed curve is the uninterrupted one, to the bit, where no loader process draws: on a CPU, or with workers: 0.

On a GPU (skipped where there is none) that needs train.deterministic, which is the default, and no RT-DETR.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from going_on import resume

from detui.engine.devices.nvml import list_gpus
from detui.engine.errors import DetuiError
from detui.engine.planning import Plan
from detui.engine.process.checkpoints import find_start
from detui.engine.process.control import request, status
from detui.engine.run.directory import RunDir
from detui.engine.run.history import load_history
from detui.engine.run.lines import read_lines
from detui.engine.workspace import Workspace
from detui.tui.main import application

if importlib.util.find_spec("ultralytics") is None:
    pytest.skip("needs the extra `ultralytics`", allow_module_level=True)

SETTINGS = (
    "train.epochs=6",
    "milestones=[6]",
    "train.nbs=12",  # three batches an optimizer step, four an epoch: gradients wait across its end
    "train.warmup_epochs=2.0",
    "train.close_mosaic=2",
    "augment.mosaic=1.0",
    "augment.mixup=0.3",
)


GPU = ("train.workers=0", "train.amp=bf16")


def start(folder: Path, device: str) -> RunDir:
    workspace = Workspace.open(str(folder))
    overrides = (*SETTINGS, *(GPU if device == "gpu" else ()))
    devices = "cpu" if device == "cpu" else "1"
    plan = workspace.plan(
        "starter/mosaic", profile="smoke", arms=["baseline"], seeds=[0], overrides=overrides, devices=devices
    )
    return workspace.start(plan).runs()[0]


def finish(run: RunDir) -> RunDir:
    deadline = time.monotonic() + 200
    while not status(run).state.terminal:
        assert time.monotonic() < deadline, f"still {status(run).state}"
        time.sleep(0.1)
    latest = run.latest()
    assert latest is not None
    assert status(run).state.word == "finished", latest.console_path.read_text()[-2000:]
    return run


def cut(run: RunDir, step: int, how: str) -> None:
    """End the run somewhere behind `step`, as soon as it is reported."""
    deadline = time.monotonic() + 100
    path = run.attempt(1).metrics_path
    while not path.exists() or not any(line.get("step", 0) >= step for line in read_lines(path)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    worker = int((run.attempt(1).worker() or {})["pid"])
    os.kill(worker, signal.SIGSTOP)  # an epoch takes less time than a request on its way
    if how == "stop":
        request(run, "stop")
        until_asked = time.monotonic() + 20
        while status(run).state.word != "stopping":
            assert time.monotonic() < until_asked
            time.sleep(0.02)
        os.kill(worker, signal.SIGCONT)
    else:
        os.kill(worker, signal.SIGKILL)
    while not status(run).state.terminal:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def curves(run: RunDir) -> dict[str, tuple[list[float], list[float]]]:
    history = load_history(run)
    names = [name for name in history.names() if name.startswith(("train/", "lr/"))]
    assert len(names) >= 6
    return {name: (list(history.series(name)[0]), list(history.series(name)[1])) for name in names}


DIGESTS = """\
import hashlib, json, sys, torch
saved = torch.load(sys.argv[1], map_location="cpu", weights_only=False)
every = {f"ema.{name}": value for name, value in saved["ema"].state_dict().items()} | saved["detui"]["weights"]
print(json.dumps({n: hashlib.sha256(v.numpy().tobytes()).hexdigest() for n, v in every.items()}))
"""


def weights(run: RunDir) -> dict[str, str]:
    """The SHA-256 of each tensor. In a process of its own: loading imports ultralytics, which patches Pillow."""
    latest = run.latest()
    assert latest is not None
    command = [sys.executable, "-c", DIGESTS, str(latest.checkpoints / "s0-e0006.pt")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, str] = json.loads(said.splitlines()[-1])
    assert len(found) > 600
    return found


@pytest.fixture(scope="module", params=["cpu", "gpu"])
def device(request: pytest.FixtureRequest) -> str:
    if request.param == "gpu" and not list_gpus():
        pytest.skip("needs a GPU")
    return str(request.param)


@pytest.fixture(scope="module")
def uninterrupted(device: str, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return finish(start(tmp_path_factory.mktemp("whole"), device))


@pytest.mark.parametrize(
    ("step", "how"),
    [
        pytest.param(5, "kill", id="in the warm-up", marks=pytest.mark.slow),
        pytest.param(9, "stop", id="with waiting gradients"),
        pytest.param(17, "stop", id="where mosaic ends", marks=pytest.mark.slow),
        pytest.param(21, "kill", id="after mosaic has ended", marks=pytest.mark.slow),
    ],
)
def test_a_resumed_curve_is_the_uninterrupted_one(
    uninterrupted: RunDir, device: str, tmp_path: Path, step: int, how: str
) -> None:
    run = start(tmp_path, device)
    cut(run, step, how)
    resume(run)
    finish(run)
    begin = next(line for line in read_lines(run.attempt(2).metrics_path) if line["kind"] == "begin")
    assert begin["resumed_from_step"] == (step - 1) // 4 * 4
    assert "position in the data" in begin["resumed"]["restored"] and begin["resumed"]["anew"] == []
    expected, got = curves(uninterrupted), curves(run)
    assert got == expected
    assert weights(run) == weights(uninterrupted)


def branched(run: RunDir, at: str, *overrides: str) -> Plan:
    return Workspace.open(str(run.experiment_dir.parent)).branch(str(run.path), at=at, overrides=overrides)


@pytest.mark.parametrize("device", ["cpu"], indirect=True, scope="module")
class TestBranch:
    """A new run from another's checkpoint, with changed settings."""

    def test_more_epochs_at_a_smaller_rate(self, uninterrupted: RunDir) -> None:
        workspace = Workspace.open(str(uninterrupted.experiment_dir.parent))
        plan = branched(uninterrupted, "last", "train.epochs=8", "train.lr0=0.0003", "milestones=[2,8]")
        run = finish(workspace.start(plan).runs()[0])
        begin = read_lines(run.attempt(1).metrics_path)[0]
        assert begin["resumed_from_step"] == 24 and begin["resumed"]["anew"] == []
        assert begin["used"]["train.lr0"] == 0.0003 and begin["used"]["train.epochs"] == 8
        history = load_history(run)
        assert list(history.series("train/loss_box")[0]) == list(range(25, 33))
        assert max(history.series("lr/all")[1]) <= 0.0003
        assert load_history(uninterrupted).series("train/loss_box")[1][-1] != history.series("train/loss_box")[1][0]
        facts = json.loads((run.experiment_dir / "experiment.json").read_text())
        origin = facts["branch"]
        assert (origin["run"], origin["epoch"], origin["step"]) == ("baseline-s0", 6, 24)
        assert {one["field"]: (one["before"], one["after"]) for one in origin["changed"]} == {
            "train.epochs": (6, 8),
            "train.lr0": (0.001, 0.0003),
        }
        assert facts["milestones"] == [8], "an epoch that the origin has trained is no milestone of the branch"
        assert (run.experiment_dir / "branch" / "s0-e0006.pt").stat().st_ino == _newest(uninterrupted).stat().st_ino
        record = (run.experiment_dir / "record.md").read_text()
        assert f"`{uninterrupted.experiment_dir.name}/baseline-s0`, after its epoch 6" in record
        assert f"detui branch {uninterrupted.experiment_dir.name}/baseline-s0 --at 6 --set train.epochs=8" in record

    def test_a_kill_before_the_first_checkpoint_begins_at_the_origin_again(self, uninterrupted: RunDir) -> None:
        plan = branched(uninterrupted, "5", "train.epochs=7")
        assert plan.origin is not None
        spec = plan.spec(plan.arms[0], 0, experiment="x", data={}, python="python", branch=plan.origin.start("c.pt"))
        run = RunDir.create(uninterrupted.experiment_dir / "runs" / "copy", spec)
        resume = find_start(run).resume
        assert resume is not None and (resume["epoch"], resume["step"]) == (5, 20)
        assert resume["checkpoint"] == str(run.path.resolve() / "c.pt")

    @pytest.mark.parametrize(
        ("at", "override", "says"),
        [
            ("last", "model.name=yolo11n", "model.name cannot change"),
            ("last", "train.optimizer=SGD", "train.optimizer cannot change"),
            ("last", "data.train.images=8", "data cannot change"),
            ("last", "train.lr0=0.01", "begins after epoch 6"),
            ("3", "train.epochs=9", "no checkpoint of epoch 3"),
            ("newest", "train.epochs=9", "'newest' is no checkpoint"),
            ("last", "train.epoch=9", "no such field"),
        ],
    )
    def test_what_cannot_be_branched(self, uninterrupted: RunDir, at: str, override: str, says: str) -> None:
        with pytest.raises(DetuiError, match=says):
            branched(uninterrupted, at, override)

    def test_the_command_shows_its_plan_and_starts_nothing(self, uninterrupted: RunDir) -> None:
        workspace = uninterrupted.experiment_dir.parent
        before = sorted(workspace.iterdir())
        words = ["--workspace", str(workspace), "branch", str(uninterrupted.path), "--plan", "--set", "train.epochs=9"]
        shown = CliRunner().invoke(application, words)
        assert shown.exit_code == 0, shown.output
        assert "after epoch 6 (step 24)" in shown.output and "train.epochs: 6 → 9" in shown.output
        with pytest.raises(DetuiError, match="--at EPOCH") as refused:
            CliRunner().invoke(application, [*words[:-1], "train.epochs=6"], catch_exceptions=False)
        assert refused.value.exit_code == 2
        assert sorted(workspace.iterdir()) == before

    def test_a_damaged_checkpoint(self, uninterrupted: RunDir) -> None:
        path = _newest(uninterrupted)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        try:
            with pytest.raises(DetuiError, match="is cut"):
                branched(uninterrupted, "last", "train.epochs=9")
        finally:
            path.write_bytes(whole)

    def test_an_edited_recipe_is_not_the_one_that_ran(self, uninterrupted: RunDir) -> None:
        path = uninterrupted.experiment_dir / "experiment.json"
        before = path.read_text()
        path.write_text(before.replace("epochs: 100", "epochs: 101"))
        try:
            with pytest.raises(DetuiError, match="not the recipe that ran"):
                branched(uninterrupted, "last", "train.epochs=9")
        finally:
            path.write_text(before)


def _newest(run: RunDir) -> Path:
    return run.attempt(1).checkpoints / "s0-e0006.pt"
