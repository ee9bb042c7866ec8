"""Mask R-CNN on two devices: what they compute together is what one computes, also stopped, resumed and killed."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from run_lines import Line, ended, latest, lines, name, stopped_held, values

from detui.engine.devices.processes import descendants
from detui.engine.process.control import status, supervised
from detui.engine.process.descendants import tagged
from detui.engine.process.identity import Identity
from detui.engine.process.launch import launch
from detui.engine.run.directory import RunDir
from detui.engine.run.spec import RunSpec

if TYPE_CHECKING:
    from made_environments import Made

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

RECIPE = """\
schema: 1
title: Is the training of two devices that of one?
question: And that of a resumed one?
backend: mmdet
environment: mmdet
data: {name: scenes, train: {split: train}, val: {split: val}}
base:
  model: {backbone: {depth: 18, frozen_stages: -1, norm_eval: false}, channels: 16, proposals_before: 60,
          proposals: 30, anchors_sampled: 32, boxes_sampled: 16, hidden: 32, mask_layers: 1, mask_channels: 16}
  train: {lr: 0.01, reference_batch: 8, warmup_steps: 2, drops: [1], image_size: [96, 64], clip: 35.0}
  augment: {photometric: {}}
arms:
  only: {train: {layers: {backbone: 0.1, neck: 0.5}}}
seeds: [0]
devices: 2
checkpoint_rule: last
profiles:
  quick:
    data:
      name: scenes
      train: {split: train, images: 11}
      val: {split: val, images: 5}
      options: {size: 64, masks: true, classes: [disc, box], objects: [5, 7], sizes: {small: 1, medium: 0, large: 0}}
    base:
      train: {epochs: 2, batch: 4, workers: 0}
    milestones: [1, 2]
  sparse:
    data:
      name: scenes
      train: {split: train, images: 8}
      val: {split: val, images: 1}
      options: {size: 64, masks: true, classes: [disc, box], objects: [0, 1], sizes: {small: 1, medium: 0, large: 0}}
    base:
      train: {epochs: 1, batch: 2, workers: 0}
    milestones: [1]
"""
EPOCH, STEPS = 3, 6
"""11 pictures in batches of 4: the last batch of an epoch has 3, two on one device and one on the other."""
TOLERANCE = 1e-5
"""Of any number of a step or epoch, relative; or absolute, of those below 1e-3. The largest difference that was
measured is 2.0e-7: sums of 32 bits in another order."""
WORKERS = Path(__file__).parents[2] / "workers"


@pytest.fixture(scope="module")
def line(mmdet_made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in mmdet_made.environ.items():
            patch.setenv(variable, value)
        yield Line(tmp_path_factory.mktemp("two"), RECIPE)


def started(line: Line, *words: str, profile: str = "quick") -> RunDir:
    return line.new("run", str(line.recipe), "--profile", profile, "--cpu-slots", "2", "--no-evaluate", "--yes",
                    "--detach", *words)  # fmt: skip


@pytest.fixture(scope="module")
def two(line: Line) -> RunDir:
    return ended(started(line), "finished")


def reached(run: RunDir, step: int, attempt: int = 1) -> None:
    """Wait until a run has reported a step."""
    until = time.monotonic() + 300
    while not (run.attempt(attempt).metrics_path.exists() and max(values(run, "step"), default=0) >= step):
        assert time.monotonic() < until and not status(run).state.terminal
        time.sleep(0.005)


def waited(run: RunDir, seconds: float = 200) -> None:
    """Wait until a run has ended in any way."""
    until = time.monotonic() + seconds
    while not status(run).state.terminal or supervised(run):
        assert time.monotonic() < until
        time.sleep(0.05)


def processes(run: RunDir) -> tuple[Identity, dict[int, int]]:
    """The process that starts the ranks of a run, and the pid of each rank."""
    launcher = Identity.from_json(run.attempt(1).worker())
    assert launcher is not None
    ranks = {}
    for pid in descendants(launcher.pid):
        if f"\nPPid:\t{launcher.pid}\n" not in Path(f"/proc/{pid}/status").read_text():
            continue  # a process that reads pictures for a rank
        environ = dict(one.split(b"=", 1) for one in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if one)
        if b"RANK" in environ:
            ranks[int(environ[b"RANK"])] = pid
    assert set(ranks) == {0, 1}
    return launcher, ranks


def test_what_two_devices_train_is_told_once_and_stands_in_the_record(line: Line, two: RunDir) -> None:
    assert [told["step"] for told in lines(two, "step")] == list(range(1, STEPS + 1))
    assert (
        [told["epoch"] for told in lines(two, "epoch")]
        == [told["epoch"] for told in lines(two, "evaluation")]
        == [1, 2]
    )
    (begin,) = lines(two, "begin")
    told = begin["ranks"]
    assert {name: told[name] for name in ("count", "devices", "images_per_device", "batch", "rate_scaling")} == {
        "count": 2, "devices": ["CPU", "CPU"], "images_per_device": 2, "batch": 4, "rate_scaling": "none",
    }  # fmt: skip
    assert (told["batch_norm_layers"], told["batch_norm_images"], told["transport"]) == (20, 2, "gloo")
    assert begin["asked"] == begin["used"] and begin["used"]["train.batch"] == 4 and begin["steps_per_epoch"] == EPOCH
    assert begin["used"]["train.rates.roi_head"] == pytest.approx(0.01 * 4 / 8), "by the batch, not by the devices"
    config = (latest(two) / "mmdet" / "config.py").read_text()
    assert "one of 2 devices" in config and "'batch_size': 2" in config
    line("record", "fill", two.experiment_dir.name)
    record = (two.experiment_dir / "record.md").read_text(encoding="utf-8")
    assert "2 devices, 2 images of a step on each: batch 4" in record


def test_the_first_device_judges_all_pictures(two: RunDir) -> None:
    """Alone: what MMEngine would give each device are half of them."""
    dumped = json.loads((latest(two) / "predictions" / "val-epoch-0002.json").read_text())
    assert len({one["image_id"] for one in dumped}) == 5
    assert all("mmdet/val_loss_mask" in told for told in values(two, "epoch").values())


def test_a_device_whose_pictures_have_no_objects_takes_the_step_with_the_others(line: Line) -> None:
    """Parts of the detector that find nothing to learn from hold nobody up."""
    run = ended(started(line, profile="sparse"), "finished")
    steps = values(run, "step")
    assert list(steps) == [1, 2, 3, 4] and all(told["train/loss"] > 0 for told in steps.values())
    prepared = Path(json.loads((run.path / "spec.json").read_text())["data"]["prepared"])
    truth = json.loads((prepared / "train.json").read_text())
    assert 0 < len({one["image_id"] for one in truth["annotations"]}) < len(truth["images"])


def levelled(two: RunDir, folder: Path, count: int) -> RunDir:
    """A run of two stages on so many devices that draws nothing while it trains, from the weights of another."""
    told = RunSpec.from_json(json.loads((two.path / "spec.json").read_text()), two.path)
    config = json.loads(json.dumps(told.config))
    config["model"]["weights"] = str(latest(two) / "checkpoints" / "epoch-0001.pth")
    config["model"]["backbone"] |= {"frozen_stages": 1, "norm_eval": True}
    (stage,) = told.stages
    spec = replace(
        told, trainer="levelled:LevelledTrainer", pythonpath=(*told.pythonpath, str(WORKERS)), ranks=count,
        device=replace(told.device, count=count), config=config, milestones=(),
        stages=tuple(replace(stage, name=name, epochs=epochs, config=config) for name, epochs in (("a", 1), ("b", 2))),
    )  # fmt: skip
    run = RunDir.create(folder / "logs" / f"on-{count}" / "runs" / spec.name, spec)
    launch(run)
    return ended(run, "finished", 400)


def test_two_devices_compute_the_curve_of_one(two: RunDir, tmp_path: Path) -> None:
    """But for what is drawn while training, and where every picture has as many anchors, proposals and objects."""
    one, both = (levelled(two, tmp_path, count) for count in (1, 2))
    assert list(values(one, "step")) == list(range(1, 3 * EPOCH + 1))
    assert "ranks" not in lines(one, "begin")[0] and "batch_norm_images" not in lines(both, "begin")[0]["ranks"]
    for kind in ("step", "epoch"):
        first, second = values(one, kind), values(both, kind)
        assert first.keys() == second.keys()
        for place, numbers in first.items():
            assert second[place] == pytest.approx(numbers, rel=TOLERANCE, abs=TOLERANCE * 1e-3), place
    assert [told["transfer"]["parts"] for told in lines(one, "stage")] == [
        told["transfer"]["parts"] for told in lines(both, "stage")
    ]


def test_a_stop_saves_and_a_resume_computes_the_rest_of_the_same_curve(line: Line, two: RunDir) -> None:
    """To the bit: each device goes on with its own random numbers, and two add up in the same order again.

    Pictures are read in processes of each device here, and in the training's own there: it makes no difference.
    """
    run = started(line, "--set", "train.workers=1")
    reached(run, EPOCH + 1)
    pids = descendants(int((run.attempt(1).worker() or {})["pid"]))
    stopped_held(line, run, pids)
    saved = lines(run, "checkpoint")
    assert [told["step"] for told in saved] == [EPOCH, max(values(run, "step"))] and saved[-1]["step"] < STEPS
    line("resume", name(run))
    ended(run, "finished")
    again = lines(run, "begin")[1]
    assert again["resumed_from_step"] == saved[-1]["step"] and again["resumed"]["anew"] == []
    assert values(run, "step") == values(two, "step") and values(run, "epoch") == values(two, "epoch")


def test_a_stop_in_a_validation_stops_all_and_leaves_it_to_the_resumed_attempt(two: RunDir, tmp_path: Path) -> None:
    """The first device validates, and the others wait for what it says."""
    told = RunSpec.from_json(json.loads((two.path / "spec.json").read_text()), two.path)
    spec = replace(told, trainer="meddled:StoppedTrainer", pythonpath=(*told.pythonpath, str(WORKERS)))
    run = RunDir.create(tmp_path / "logs" / "stopped" / "runs" / spec.name, spec)
    launch(run)
    waited(run)
    assert (run.attempt(1).done() or {})["outcome"] == "stopped" and lines(run, "epoch") == []
    (saved,) = lines(run, "checkpoint")
    assert (saved["step"], saved["epoch"], saved["resumable"]) == (EPOCH, 0, True)
    (run.path / "spec.json").write_text(json.dumps(told.to_json()))
    launch(run, resume=True)
    ended(run, "finished")
    assert values(run, "step") == values(two, "step") and values(run, "epoch") == values(two, "epoch")
    assert [one["epoch"] for one in lines(run, "evaluation")] == [1, 2]


def test_a_checkpoint_is_gone_on_from_on_another_number_of_devices(line: Line, two: RunDir) -> None:
    run = line.new("branch", name(two), "--at", "last", "--devices", "1", "--set", "train.epochs=3", "--yes",
                   "--no-evaluate", "--detach")  # fmt: skip
    ended(run, "finished")
    (begin,) = lines(run, "begin")
    assert begin["resumed"]["anew"] == ["random generators: another number of processes"]
    assert "random generators" not in begin["resumed"]["restored"]
    assert list(values(run, "step")) == list(range(STEPS + 1, STEPS + EPOCH + 1))


@pytest.mark.parametrize("who", [0, 1, "launcher"])
def test_kill_9_of_one_process_ends_all(line: Line, two: RunDir, who: int | str) -> None:
    """The processes that read its pictures, too."""
    run = started(line, "--set", "train.epochs=500", "--set", "train.validation_loss=false",
                  "--set", "train.workers=1")  # fmt: skip
    reached(run, 2)
    launcher, ranks = processes(run)
    os.kill(launcher.pid if isinstance(who, str) else ranks[who], signal.SIGKILL)
    ended(run, "crashed")
    state: Any = status(run).state
    assert state.signal == "SIGKILL"
    if who == "launcher":
        assert "starts its 2 ranks was ended by SIGKILL" in state.reason
    else:
        assert state.reason == f"rank {who} of 2 was ended by SIGKILL, and the others with it"
    until = time.monotonic() + 15
    while tagged(run.path.resolve()) or any(Path(f"/proc/{pid}").exists() for pid in ranks.values()):
        assert time.monotonic() < until, "a process is left"
        time.sleep(0.05)


def test_the_plan_says_how_a_step_is_shared(line: Line) -> None:
    words = ("show", str(line.recipe), "--profile", "quick", "--cpu-slots", "2", "--plan")
    text = line(*words)
    assert "2 devices a run, 2 images of a step on each: a batch of 4, as asked" in text
    told = json.loads(line(*words, "--json"))
    assert (told["several_devices"][0]["images"], told["several_devices"][0]["batch"]) == (2, 4)
    (rates,) = told["learning_rates"]
    alone = json.loads(line(*words, "--devices", "1", "--json"))
    assert "several_devices" not in alone and alone["learning_rates"] == [rates], "a rate is the batch's"
