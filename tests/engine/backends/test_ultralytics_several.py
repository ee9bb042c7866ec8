"""YOLO and RT-DETR on two devices: the steps are those of one, and however such a run ends, it is known and resumed."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from going_on import resume
from run_lines import Line, ended, latest, lines, name, stopped_held, values

from detui.engine.devices.processes import descendants
from detui.engine.prediction import predict
from detui.engine.process.control import request, status
from detui.engine.process.descendants import tagged
from detui.engine.process.launch import launch
from detui.engine.run.directory import RunDir
from detui.engine.run.lines import read_lines
from detui.engine.workspace import Workspace

# Not importorskip: importing ultralytics patches Pillow, for every other test too.
if importlib.util.find_spec("ultralytics") is None:
    pytest.skip("needs the extra `ultralytics`", allow_module_level=True)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Fixtures = pytest.FixtureRequest
WORKERS = Path(__file__).parents[2] / "workers"
RECIPE = """\
schema: 1
title: Is a step of two devices that of one?
question: And does a stopped training go on?
backend: ultralytics
data_sets:
  judged: {name: scenes, depth: true, train: {split: train, images: 15}, val: {split: val, images: 5},
           options: {size: 96, depth: true}}
  other: {name: scenes, depth: true, train: {split: train, images: 8}, val: {split: val, images: 3},
          options: {size: 96, depth: true, seed: 7}}
data: judged
base:
  model: {name: yolo11n}
  train: {epochs: 4, batch: 4, imgsz: 64, optimizer: AdamW, lr0: 1.0e-3, momentum: 0.9, warmup_epochs: 1.0, nbs: 8,
          close_mosaic: 1}
arms:
  plain: {}
  weighed: {loss: {by_size: {weights: {small: 3.0, medium: 1.5, large: 1.0}, edges: [8, 14], measure_every: 2}}}
  without-nms: {model: {name: yolo26n}}
  detr:
    model: {name: rtdetr-l, decoder: {hidden: 32, queries: 20, layers: 2, feedforward: 32, denoising: 0}}
    train: {batch: 10}
  detr-noised: {model: {name: rtdetr-l, decoder: {hidden: 32, queries: 20, layers: 2}}, train: {batch: 10, nbs: 10}}
varies: [model, loss, train.batch, train.nbs]
seeds: [0]
devices: 2
checkpoint_rule: last
profiles:
  quick: {milestones: [2, 4]}
  still:
    base:
      train: {epochs: 2, optimizer: SGD, warmup_epochs: 0.0, nbs: 4, close_mosaic: 0}
      augment: {mosaic: 0.0, hsv_h: 0.0, hsv_s: 0.0, hsv_v: 0.0, translate: 0.0, scale: 0.0, fliplr: 0.0}
    milestones: []
  staged:
    base: {model: {inputs: rgbd}, train: {epochs: 2, warmup_epochs: 0.0}}
    milestones: [1, 2]
    stages: [{name: first, epochs: 1, data: other}, {name: second, epochs: 1}]
"""
EPOCH, STEPS = 4, 16
"""15 pictures in batches of 4: the last batch of an epoch has 3, two on one device and one on the other."""
TOLERANCE = 1e-5
"""Of any number of a step, relative, or of a gradient relative to the largest one. The largest differences that were
measured are 2.2e-7 and 1.0e-7: sums of 32 bits in another order."""


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return Line(tmp_path_factory.mktemp("two devices"), RECIPE)


def started(line: Line, devices: int | None, *words: str, profile: str = "quick", arm: str = "plain") -> RunDir:
    """A run on so many devices; None: as many as the recipe says."""
    asked = () if devices is None else ("--devices", str(devices))
    return line.new("run", str(line.recipe), "--profile", profile, "--arm", arm, *asked, "--cpu-slots", "2",
                    "--no-evaluate", "--yes", "--detach", *words)  # fmt: skip


@pytest.fixture(scope="module")
def one(line: Line) -> RunDir:
    return ended(started(line, 1), "finished")


@pytest.fixture(scope="module")
def two(line: Line) -> RunDir:
    return ended(started(line, None), "finished")


def changed(line: Line, like: RunDir, arm: str, devices: int, trainer: str, *overrides: str) -> RunDir:
    """A run of a trainer of still.py, on the data of another run."""
    plan = Workspace.open(str(line.workspace)).plan(
        str(line.recipe), profile="still", arms=[arm], devices=str(devices), cpu_slots=2, overrides=overrides
    )
    assert plan.errors == []
    (planned,) = plan.arms
    spec = plan.spec(planned, 0, experiment="still", data={planned.data_set: like.spec().data or {}},
                     python=sys.executable, pythonpath=(str(WORKERS),))  # fmt: skip
    run = RunDir.create(line.workspace / f"{trainer}-{arm}-{devices}" / "runs" / spec.name,
                        replace(spec, trainer=f"still:{trainer}"))  # fmt: skip
    launch(run)
    return ended(run, "finished")


@pytest.mark.parametrize("arm", ["plain", "weighed", "without-nms", "detr"])
def test_a_step_of_two_devices_is_that_of_one(line: Line, two: RunDir, arm: str) -> None:
    """The same pictures, from the same first weights: gradients of the first step, and every number of every step."""
    import torch

    runs = [changed(line, two, arm, devices, "StillTrainer") for devices in (1, 2)]
    first, second = (torch.load(latest(run) / "ultralytics" / "gradients.pt") for run in runs)
    assert first.keys() == second.keys() and len(first) > 100
    largest = max(float(gradient.abs().max()) for gradient in first.values())
    assert largest > 0
    for tensor, gradient in first.items():
        assert float((second[tensor] - gradient).abs().max()) <= TOLERANCE * largest, tensor
    one, other = (values(run, "step") for run in runs)
    assert one.keys() == other.keys() and one
    for step, numbers in one.items():
        assert other[step] == pytest.approx(numbers, rel=TOLERANCE, abs=TOLERANCE * 1e-3), step
    means = [{told["epoch"]: told["values"]["train/loss_cls"] for told in lines(run, "epoch")} for run in runs]
    assert means[1] == pytest.approx(means[0], rel=TOLERANCE)


def test_what_was_used_is_told(line: Line, two: RunDir) -> None:
    (begin,) = lines(two, "begin")
    layers = begin["ranks"].pop("batch_norm_layers")
    assert layers > 50 and begin["ranks"] == {
        "count": 2, "devices": ["CPU", "CPU"], "images_per_device": 2, "batch": 4, "rate_scaling": "none",
        "gradients": "mean over the devices", "batch_norm_images": 2, "transport": "gloo",
    }  # fmt: skip
    differing = {key for key, value in begin["asked"].items() if begin["used"][key] != value}
    assert differing <= {"train.workers"} and begin["used"]["train.batch"] == 4 and begin["steps_per_epoch"] == EPOCH
    assert [told["step"] for told in lines(two, "step")] == list(range(1, STEPS + 1)), "each once"
    assert [told["epoch"] for told in lines(two, "epoch")] == [1, 2, 3, 4]
    assert all(told["values"]["ultralytics/mAP50"] >= 0 for told in lines(two, "epoch"))
    assert [told["epoch"] for told in lines(two, "evaluation")] == [2, 4]
    line("record", "fill", two.experiment_dir.name)
    record = (two.experiment_dir / "record.md").read_text(encoding="utf-8")
    assert "2 devices, 2 images of a step on each: batch 4; learning rate not scaled" in record
    assert not list(Path((two.spec().data or {})["prepared"]).rglob("*.cache"))


def test_the_detections_are_those_of_all_and_of_the_checkpoint(two: RunDir, tmp_path: Path) -> None:
    """Each rank validates a part of the pictures, in batches of another size than one device would take."""
    checkpoint = latest(two) / "checkpoints" / "epoch-0004.pt"
    predict(two, checkpoint, "val", tmp_path / "val.json")
    again, dumped = (json.loads(path.read_text()) for path in
                     (tmp_path / "val.json", latest(two) / "predictions" / "val-epoch-0004.json"))  # fmt: skip
    assert len(again) == len(dumped) > 20 and len({one["image_id"] for one in dumped}) == 5
    for one, other in zip(again, dumped, strict=True):
        assert (one["image_id"], one["category_id"]) == (other["image_id"], other["category_id"])
        assert one["bbox"] == pytest.approx(other["bbox"], abs=1e-3)
        assert one["score"] == pytest.approx(other["score"], abs=1e-4)


def reached(run: RunDir, step: int, attempt: int = 1, seconds: float = 200) -> list[int]:
    """Wait until a step is reported; returns the pids of the ranks, in their order."""
    until = time.monotonic() + seconds
    path = run.attempt(attempt).metrics_path
    while not (path.exists() and any(told.get("step", 0) >= step for told in read_lines(path))):
        assert time.monotonic() < until and not status(run).state.terminal, status(run).state
        time.sleep(0.005)
    worker = int((run.attempt(attempt).worker() or {})["pid"])
    return sorted(descendants(worker), key=_rank) if run.spec().ranks > 1 else [worker]


def _rank(pid: int) -> int:
    words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return next(int(word.removeprefix(b"RANK=")) for word in words if word.startswith(b"RANK="))


@pytest.mark.parametrize("devices", [1, 2])
def test_a_stop_saves_and_a_resume_computes_the_same_curve(line: Line, request: Fixtures, devices: int) -> None:
    """To the bit, augmentation included: the epoch in progress is repeated by both. Of one device because the last
    batch of an epoch is smaller, too.
    """
    whole: RunDir = request.getfixturevalue("one" if devices == 1 else "two")
    run = started(line, devices)
    ranks = reached(run, 2 * EPOCH + 1)
    stopped_held(line, run, ranks)
    saved = lines(run, "checkpoint")[-1]
    assert saved["step"] in (2 * EPOCH, 3 * EPOCH) and saved["resumable"] and saved["epoch"] * EPOCH == saved["step"]
    line("resume", name(run))
    ended(run, "finished")
    again = lines(run, "begin")[1]
    assert again["resumed_from_step"] == saved["step"] and again["resumed"]["anew"] == []
    assert "position in the data" in again["resumed"]["restored"]
    assert values(run, "step") == values(whole, "step")


def _launcher(run: RunDir, _ranks: list[int]) -> int:
    return int((run.attempt(1).worker() or {})["pid"])


@pytest.mark.parametrize(
    ("whom", "reason", "resumed"),
    [
        pytest.param(lambda _, ranks: ranks[0], "rank 0 of 2 was ended by SIGKILL", True, id="the first rank"),
        pytest.param(lambda _, ranks: ranks[1], "rank 1 of 2 was ended by SIGKILL", False, id="the second rank"),
        pytest.param(_launcher, "starts its 2 ranks was ended by SIGKILL", False, id="what starts them"),
    ],
)
def test_kill_9(line: Line, whom: Callable[[RunDir, list[int]], int], reason: str, resumed: bool) -> None:
    run = started(line, 2, "--set", "train.epochs=200", "--set", "milestones=[200]")
    ranks = reached(run, EPOCH + 2)
    os.kill(whom(run, ranks), signal.SIGKILL)
    ended(run, "crashed")
    assert reason in str(getattr(status(run).state, "reason", None))
    until = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in ranks) or tagged(run.path.resolve()):
        assert time.monotonic() < until, "no process is left"
        time.sleep(0.05)
    if not resumed:
        return
    resume(run)
    reached(run, EPOCH + 3, attempt=2)
    assert lines(run, "begin")[1]["resumed_from_step"] >= EPOCH
    request(run, "kill")
    ended(run, "killed")


def test_rt_detr_trains_with_noised_queries(line: Line) -> None:
    run = ended(started(line, 2, "--set", "train.epochs=2", "--set", "milestones=[2]", arm="detr-noised"), "finished")
    assert list(values(run, "step")) == [1, 2, 3, 4]
    (begin,) = lines(run, "begin")
    assert begin["ranks"]["images_per_device"] == 5 and begin["used"]["train.batch"] == 10


def test_stages_on_other_data_and_depth(line: Line) -> None:
    """The second stage begins with the file of the first rank, which alone looks at the run's pictures beside it."""
    run = ended(started(line, 2, profile="staged"), "finished")
    assert [(told["data"]["judged"], told["step"]) for told in lines(run, "stage")] == [("beside", 0), ("own", 2)]
    assert lines(run, "stage")[1]["transfer"]["tensors"]["anew"] == 0
    assert lines(run, "begin")[0]["model"]["channels"] == 4
    handed = [(told["epoch"], told.get("candidate", True)) for told in lines(run, "evaluation")]
    assert handed == [(1, False), (2, True)]
    assert list(values(run, "step")) == list(range(1, 2 + EPOCH + 1))


def test_an_early_end_is_that_of_all(line: Line, two: RunDir) -> None:
    """The first rank alone asks. Where the end is near all of them validate, and nobody does before."""
    run = changed(line, two, "plain", 2, "ImpatientTrainer", "train.epochs=6", "train.val=false")
    (alarm,) = (told for told in lines(run, "alarm") if told["name"] == "early_stop")
    assert "after epoch 2:" in alarm["text"]
    assert ["ultralytics/mAP50" in told["values"] for told in lines(run, "epoch")] == [False, True]
    assert [told["epoch"] for told in lines(run, "evaluation")] == [2]


def test_a_checkpoint_is_gone_on_from_on_another_number_of_devices(line: Line, two: RunDir) -> None:
    words = ("--set", "train.epochs=5", "--set", "milestones=[5]", "--cpu-slots", "2", "--yes", "--no-evaluate")
    run = ended(line.new("branch", name(two), "--devices", "1", *words, "--detach"), "finished")
    (begin,) = lines(run, "begin")
    assert begin["resumed"]["anew"] == ["random generators: another number of processes"] and "ranks" not in begin
    assert list(values(run, "step")) == list(range(STEPS + 1, STEPS + EPOCH + 1))


def test_the_plan_refuses_a_batch_that_two_cannot_share(line: Line) -> None:
    workspace = Workspace.open(str(line.workspace))
    plan = workspace.plan(str(line.recipe), profile="quick", arms=["plain"], devices="2", cpu_slots=2,
                          overrides=["train.batch=5"])  # fmt: skip
    assert [problem.hint for problem in plan.errors] == ["--set train.batch=6, or --devices 1"]
    words = ("show", str(line.recipe), "--profile", "quick", "--arm", "plain", "--cpu-slots", "2", "--plan")
    assert "2 devices a run, 2 images of a step on each: a batch of 4, as asked" in line(*words)
