"""Real trainings of a real nano detector on generated scenes, through the workspace as a user starts them."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import time
from pathlib import Path
from typing import Any

import pytest
from going_on import resume

from detui.engine.configuration import Configuration
from detui.engine.process.control import request, status
from detui.engine.run.directory import RunDir
from detui.engine.run.history import load_history
from detui.engine.run.lines import read_lines
from detui.engine.workspace import Workspace

# Not importorskip: importing ultralytics patches Pillow, for every other test too.
if importlib.util.find_spec("ultralytics") is None:
    pytest.skip("needs the extra `ultralytics`", allow_module_level=True)


def start(folder: Path, *overrides: str, arms: list[str] | None = None, profile: str = "smoke") -> list[RunDir]:
    workspace = Workspace.open(str(folder))
    plan = workspace.plan(
        "starter/mosaic", profile=profile, arms=arms or ["baseline"], seeds=[0], overrides=overrides, devices="cpu"
    )
    return workspace.start(plan).runs()


def wait_for(run: RunDir, seconds: float = 120) -> str:
    """The word of the run's last state."""
    deadline = time.monotonic() + seconds
    while not status(run).state.terminal:
        assert time.monotonic() < deadline, f"still {status(run).state} after {seconds} s"
        time.sleep(0.2)
    return str(status(run).state.word)


def metrics(run: RunDir, attempt: int = 1) -> list[dict[str, Any]]:
    return read_lines(run.attempt(attempt).metrics_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """One run to the end, with a milestone before the end, under a hostile path."""
    folder = tmp_path_factory.mktemp("with space 'quote\" 数据")
    # Trained at another size than the pictures have, so that predictions must be scaled back.
    run = start(folder, "train.epochs=3", "milestones=[2]", "train.imgsz=64")[0]
    assert wait_for(run) == "finished", run.attempt(1).console_path.read_text()[-2000:]
    return run


class TestFinished:
    """What a run leaves behind."""

    def test_begin_says_what_was_used(self, finished: RunDir) -> None:
        begin = metrics(finished)[0]
        assert begin["kind"] == "begin"
        assert begin["model"]["name"] == "yolo12n"
        assert 2_000_000 < begin["model"]["parameters"] < 3_000_000
        assert begin["asked"]["train.lr0"] == begin["used"]["train.lr0"] == 0.001
        assert begin["used"]["train.optimizer"] == "AdamW"
        assert begin["used"]["train.warmup_bias_lr"] == 0.0
        assert begin["packages"]["ultralytics"].startswith("8.4")
        assert begin["arithmetic"]["framework"] == "torch" and begin["arithmetic"]["errors"]["convolution"] < 1e-4

    def test_steps_count_over_the_run(self, finished: RunDir) -> None:
        steps = [line["step"] for line in metrics(finished) if line["kind"] == "step"]
        assert steps == list(range(1, 13))  # 16 images in batches of 4, three epochs
        names = next(line for line in metrics(finished) if line["kind"] == "step")["values"]
        assert {"train/loss_box", "train/loss_cls", "train/loss_dfl", "lr/all", "lr/all.bias", "lr/all.norm"} <= set(
            names
        )

    def test_milestones_are_evaluated_by_our_evaluator(self, finished: RunDir) -> None:
        deadline = time.monotonic() + 60
        while len(load_history(finished).evaluations) < 2 and time.monotonic() < deadline:
            time.sleep(0.5)
        assert [line["epoch"] for line in load_history(finished).evaluations] == [2, 3]

    def test_predictions_are_in_original_pixels_and_down_to_a_low_confidence(self, finished: RunDir) -> None:
        spec = finished.spec()
        assert spec.data is not None
        truth = json.loads((Path(spec.data["prepared"]) / "val.json").read_text())
        results = json.loads((finished.attempt(1).predictions / "val-epoch-0003.json").read_text())
        sizes = {image["id"]: (image["width"], image["height"]) for image in truth["images"]}
        categories = {category["id"] for category in truth["categories"]}
        assert results and {r["image_id"] for r in results} <= set(sizes)
        assert {r["category_id"] for r in results} <= categories
        assert 0.001 <= min(r["score"] for r in results) < 0.01
        assert max(r["bbox"][0] + r["bbox"][2] for r in results) > 80, (
            "pixels of the network's input, not of the picture"
        )
        for result in results:
            x, y, w, h = result["bbox"]
            width, height = sizes[result["image_id"]]
            assert x >= -1 and y >= -1 and x + w <= width + 1 and y + h <= height + 1

    def test_no_file_lies_beside_the_attempt(self, finished: RunDir) -> None:
        """Nothing in the prepared data, whatever Ultralytics caches: others read it at the same time."""
        spec = finished.spec()
        assert spec.data is not None
        assert not list(Path(spec.data["prepared"]).rglob("*.cache"))


def test_weights_are_taken_over_and_counted(finished: RunDir, tmp_path: Path) -> None:
    weights = finished.attempt(1).checkpoints / "epoch-0003.pt"
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    run = start(tmp_path, f"model.weights={weights}", f"model.sha256={digest}")[0]
    assert wait_for(run) == "finished", run.attempt(1).console_path.read_text()[-2000:]
    given = next(line["transfer"] for line in metrics(run) if line["kind"] == "stage")
    assert given["source"] == {"kind": "weights", "file": weights.name, "sha256": digest}
    assert given["tensors"]["transferred"] == given["tensors"]["of"] > 300
    assert given["classes"]["anew"] == given["classes"]["left_behind"] == []


def test_weights_of_another_model_are_refused(finished: RunDir, tmp_path: Path) -> None:
    weights = finished.attempt(1).checkpoints / "epoch-0003.pt"
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    run = start(tmp_path, f"model.weights={weights}", f"model.sha256={digest}", "model.name=yolo11s")[0]
    assert wait_for(run) == "failed"
    assert "another model's" in (run.attempt(1).done() or {})["message"]


def test_stop_then_resume_goes_on_with_the_count(tmp_path: Path) -> None:
    """With SGD and inside the warm-up, where the checkpoint's momentum and rate are on their way."""
    warm = ("train.optimizer=SGD", "train.momentum=0.937", "train.warmup_epochs=5.0")
    run = start(tmp_path / "it's here", "train.epochs=6", "milestones=[6]", *warm)[0]
    deadline = time.monotonic() + 90
    while not any(line["kind"] == "step" and line["step"] >= 6 for line in _lines(run)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    request(run, "stop")
    assert wait_for(run) == "stopped"
    stopped = metrics(run)
    assert stopped[-1]["kind"] == "end" and stopped[-1]["outcome"] == "stopped"
    last = [line for line in stopped if line["kind"] == "checkpoint"][-1]
    resume(run)
    assert wait_for(run) == "finished", run.attempt(2).console_path.read_text()[-2000:]
    resumed = metrics(run, 2)
    assert resumed[0]["resumed_from_step"] == last["step"]
    steps = load_history(run).series("train/loss_box")[0]
    assert list(steps) == list(range(1, 25))


def _lines(run: RunDir) -> list[dict[str, Any]]:
    path = run.attempt(1).metrics_path
    return read_lines(path) if path.exists() else []


def test_a_setting_that_would_be_overridden_stops_before_the_first_step(tmp_path: Path) -> None:
    """On a CPU Ultralytics starts no loader processes, whatever it is asked."""
    run = start(tmp_path, "train.workers=2", "train.accept=[]")[0]
    assert wait_for(run) == "failed"
    done = run.attempt(1).done()
    assert done is not None and "train.workers: asked 2, Ultralytics would use 0" in done["message"]
    assert not any(line["kind"] == "step" for line in metrics(run))


STAGED = """\
schema: 1
title: staged
question: do stages continue?
data: {name: scenes, train: {split: train, images: 16}, val: {split: val, images: 4}, options: {size: 96}}
base:
  model: {name: yolo12n}
  train: {batch: 4, imgsz: 96, nbs: 4, optimizer: AdamW, lr0: 0.001, workers: 0, val: false, warmup_epochs: 0.0}
arms: {only: {}}
seeds: [0]
stages:
  - {name: first, epochs: 2}
  - {name: second, epochs: 2, set: {train: {lr0: 0.0001}}}
"""


def staged(tmp_path: Path) -> RunDir:
    recipe = tmp_path / "staged.yaml"
    recipe.write_text(STAGED)
    workspace = Workspace.open(str(tmp_path / "logs"))
    return workspace.start(workspace.plan(str(recipe), devices="cpu")).runs()[0]


def test_stages_continue_from_each_others_weights(tmp_path: Path) -> None:
    run = staged(tmp_path)
    assert wait_for(run) == "finished", run.attempt(1).console_path.read_text()[-2000:]
    lines = metrics(run)
    stages = [line for line in lines if line["kind"] == "stage"]
    assert [(s["stage"], s["step"], s["epoch"]) for s in stages] == [("first", 0, 0), ("second", 8, 2)]
    assert [s["used"]["train.lr0"] for s in stages] == [0.001, 0.0001]
    assert len([line for line in lines if line["kind"] == "begin"]) == 1
    steps = [line for line in lines if line["kind"] == "step"]
    assert [line["step"] for line in steps] == list(range(1, 17))
    assert steps[-1]["values"]["lr/all"] <= 0.0001
    # The second stage starts where the first ended, not from scratch.
    assert "Transferred" in run.attempt(1).console_path.read_text()


@pytest.mark.slow
def test_a_kill_in_a_later_stages_first_epoch_resumes_that_stage(tmp_path: Path) -> None:
    run = staged(tmp_path)
    deadline = time.monotonic() + 90
    while not any(line["kind"] == "step" and line["step"] > 8 for line in _lines(run)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    request(run, "kill")
    assert wait_for(run) == "killed"
    resume(run)
    assert wait_for(run) == "finished", run.attempt(2).console_path.read_text()[-2000:]
    resumed = metrics(run, 2)
    first = resumed[0]
    assert (first["kind"], first["resumed_from_step"]) == ("begin", 8)
    assert [line["stage"] for line in resumed if line["kind"] == "stage"] == ["second"]
    assert list(load_history(run).series("train/loss_box")[0]) == list(range(1, 17))


OFFLINE = """\
import sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo") and not isinstance(arguments[-1], (str, bytes)):
        raise RuntimeError(f"the network was touched: {event} {arguments[1:]}")
    if event == "subprocess.Popen" and any("pip" in str(part) for part in arguments[1] or ()):
        raise RuntimeError(f"a package would be installed: {arguments[1]}")
sys.addaudithook(refuse)
"""


def test_a_training_touches_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker dies at the first look-up, connection or pip; it does not die."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(OFFLINE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "guard"))
    run = start(tmp_path / "logs")[0]
    assert wait_for(run) == "finished", run.attempt(1).console_path.read_text()[-2000:]
    assert "network was touched" not in run.attempt(1).console_path.read_text()


@pytest.mark.slow
def test_rtdetr_trains_through_the_same_door(tmp_path: Path) -> None:
    run = start(tmp_path, "model.name=rtdetr-l", "train.epochs=1", "milestones=[1]", "train.imgsz=64")[0]
    assert wait_for(run, 280) == "finished", run.attempt(1).console_path.read_text()[-2000:]
    names = next(line for line in metrics(run) if line["kind"] == "step")["values"]
    assert {"train/loss_giou", "train/loss_cls", "train/loss_l1"} <= set(names)
    model = metrics(run)[0]["model"]
    assert (model["queries"], model["decoder_layers"]) == (300, 6)
    assert load_history(run).checkpoints


@pytest.mark.slow
def test_a_preflight_measures_a_few_real_steps(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "logs", Configuration.load(workspace=str(tmp_path / "logs")))
    plan = workspace.plan("starter/mosaic", profile="quick", arms=["baseline"], devices="cpu")
    found = workspace.preflight(plan).estimates["baseline"]
    assert found.measured is not None and found.measured.source == "preflight"
    assert (found.measured.peak_memory or 0) > 200 << 20 and (found.seconds or 0) > 1
    assert list((workspace.path / ".preflight").iterdir()) == []
