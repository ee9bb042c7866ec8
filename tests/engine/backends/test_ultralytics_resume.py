"""A resumed curve is the uninterrupted one, to the bit, where no loader process draws: on a CPU, or with workers: 0.

On a GPU (skipped where there is none) that needs train.deterministic, which is the default, and no RT-DETR.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from detui.engine.devices.nvml import list_gpus
from detui.engine.process.control import request, status
from detui.engine.process.launch import launch
from detui.engine.run.directory import RunDir
from detui.engine.run.history import load_history
from detui.engine.run.lines import read_lines
from detui.engine.workspace import Workspace

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


def weights(run: RunDir) -> dict[str, Any]:
    import torch

    latest = run.latest()
    assert latest is not None
    checkpoint = torch.load(latest.checkpoints / "s0-e0006.pt", map_location="cpu", weights_only=False)
    return {f"ema.{k}": v for k, v in checkpoint["ema"].state_dict().items()} | checkpoint["detui"]["weights"]


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
    [(5, "kill"), (9, "stop"), (17, "stop"), (21, "kill")],
    ids=["in the warm-up", "with waiting gradients", "where mosaic ends", "after mosaic has ended"],
)
def test_a_resumed_curve_is_the_uninterrupted_one(
    uninterrupted: RunDir, device: str, tmp_path: Path, step: int, how: str
) -> None:
    run = start(tmp_path, device)
    cut(run, step, how)
    launch(run, resume=True)
    finish(run)
    begin = next(line for line in read_lines(run.attempt(2).metrics_path) if line["kind"] == "begin")
    assert begin["resumed_from_step"] == (step - 1) // 4 * 4
    assert "position in the data" in begin["resumed"]["restored"] and begin["resumed"]["anew"] == []
    expected, got = curves(uninterrupted), curves(run)
    assert got == expected
    left, right = weights(uninterrupted), weights(run)
    assert left.keys() == right.keys()
    assert [name for name in left if not left[name].equal(right[name])] == []
