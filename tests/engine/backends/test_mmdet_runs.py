"""Whole runs of Mask R-CNN in MMDetection: stopped, killed, resumed, in stages, scored, measured."""

from __future__ import annotations

import ast
import json
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from run_lines import Line, ended, halted_at, latest, lines, name, stopped_at, values

from detui.engine.run.directory import RunDir
from detui.engine.run.lines import read_lines

if TYPE_CHECKING:
    from made_environments import Made

pytestmark = pytest.mark.slow

RECIPE = """\
schema: 1
title: Is a resumed training the uninterrupted one?
question: And what goes on from stage to stage?
backend: mmdet
environment: mmdet
data_sets:
  here: {name: scenes, train: {split: train}, val: {split: val}}
  elsewhere: {name: scenes, train: {split: train}, val: {split: val}}
data: here
base:
  model: {backbone: {depth: 18, frozen_stages: -1, norm_eval: false}, channels: 16, proposals_before: 60,
          proposals: 30, anchors_sampled: 32, boxes_sampled: 16, hidden: 32, mask_layers: 1, mask_channels: 16}
  train: {lr: 0.01, warmup_steps: 4, drops: [1], image_size: [96, 64], clip: 35.0}
  augment: {photometric: {}}
arms:
  layered: {train: {layers: {backbone: 0.1, neck: 0.5}}}
  staged:
    train: {reference_batch: 4, warmup_steps: 0, drops: []}
    stages:
      - {name: before, epochs: 1, data: elsewhere}
      - {name: after, epochs: 1}
varies: [train, stages]
seeds: [0]
checkpoint_rule: {rule: best, metric: val/mask_AP}
profiles:
  quick:
    data_sets:
      here:
        name: scenes
        train: {split: train, images: 16}
        val: {split: val, images: 3}
        options: {size: 64, masks: true, classes: [disc, box], sizes: {small: 1, medium: 0, large: 0}}
      elsewhere:
        name: scenes
        train: {split: train, images: 4}
        val: {split: val, images: 2}
        options: {size: 64, masks: true, classes: [ring, cross, star], sizes: {small: 1, medium: 0, large: 0}}
    base:
      train: {epochs: 2, batch: 2, workers: 0}
    milestones: [1, 2]
"""
EPOCH, STEPS = 8, 16
WORKERS = Path(__file__).parents[2] / "workers"
RESTORED = ["weights", "momentum", "rates and their schedule", "random generators", "position in the data",
            "augmentation of each picture"]  # fmt: skip


def content(path: Path) -> dict[str, Any]:
    """A checkpoint, read as tensors and plain values alone."""
    import torch

    found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return found


@pytest.fixture(scope="module")
def line(mmdet_made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in mmdet_made.environ.items():
            patch.setenv(variable, value)
        yield Line(tmp_path_factory.mktemp("cut"), RECIPE)


@pytest.fixture(scope="module")
def whole(line: Line) -> RunDir:
    """The run that nothing interrupted."""
    return ended(line.start("layered"), "finished")


class TestUninterrupted:
    """What a run tells."""

    def test_what_is_used_is_read_back_and_said(self, whole: RunDir) -> None:
        (begin,) = lines(whole, "begin")
        assert begin["used"] == begin["asked"]
        assert begin["used"]["train.rates.backbone"] == pytest.approx(0.001)
        assert begin["used"]["train.rates.roi_head"] == begin["used"]["train.rates.rpn_head"] == 0.01
        assert begin["used"]["augment.photometric.brightness"] == 32 and begin["used"]["train.clip"] == 35.0
        assert sum(begin["model"]["parameters_by_part"].values()) == begin["model"]["parameters"]
        assert begin["operators"] in ("compiled", "torchvision", "plain torch") and "mmengine" in begin["packages"]
        (stage,) = lines(whole, "stage")
        assert stage["transfer"] is None, "random weights"

    def test_every_step_has_its_losses_and_the_rates_it_was_taken_with(self, whole: RunDir) -> None:
        steps = values(whole, "step")
        assert list(steps) == list(range(1, STEPS + 1))
        terms = ("rpn_cls", "rpn_bbox", "cls", "bbox", "mask")
        for one in steps.values():
            assert sum(one[f"train/loss_{term}"] for term in terms) == pytest.approx(one["train/loss"], rel=1e-5)
            assert one["lr/backbone"] == pytest.approx(0.1 * one["lr/head"])
            assert one["lr/neck"] == pytest.approx(0.5 * one["lr/head"])
            assert one["train/gradient_norm"] > 0
        heads = [one["lr/head"] for one in steps.values()]
        assert heads[0] == pytest.approx(0.01 * 0.001) and heads[3:EPOCH] == pytest.approx([0.01] * (EPOCH - 3))
        assert heads[EPOCH:] == pytest.approx([0.001] * EPOCH), "after the drop"

    def test_an_epoch_has_validation_losses_of_mmdetection(self, whole: RunDir) -> None:
        for epoch in values(whole, "epoch").values():
            terms = [value for told, value in epoch.items() if told.startswith("mmdet/val_loss_")]
            assert len(terms) == 5 and sum(terms) == pytest.approx(epoch["mmdet/val_loss"], rel=1e-5)

    def test_masks_are_judged_at_milestones(self, whole: RunDir) -> None:
        found = [one for one in read_lines(latest(whole) / "evaluations.jsonl") if one["kind"] == "evaluation"]
        assert [one["epoch"] for one in found] == [1, 2]
        assert all(one["values"]["val/mask_AP"] is not None for one in found)
        dumped = json.loads((latest(whole) / "predictions" / "val-epoch-0002.json").read_text())
        assert {one["category_id"] for one in dumped} <= {1, 2}
        assert all(one["segmentation"]["size"] == [64, 64] for one in dumped)

    def test_the_configuration_lies_beside_the_run(self, whole: RunDir) -> None:
        told = ast.parse((latest(whole) / "mmdet" / "config.py").read_text()).body
        settings = {
            ast.unparse(one.targets[0]): ast.literal_eval(one.value) for one in told if isinstance(one, ast.Assign)
        }
        assert settings["optim_wrapper"]["paramwise_cfg"]["custom_keys"]["backbone"] == {"lr_mult": 0.1}

    def test_mmdetections_own_tools_train_by_it(self, line: Line, whole: RunDir, tmp_path: Path) -> None:
        """With the command of the file's own header, in a shell that knows nothing of detui."""
        file, spec = latest(whole) / "mmdet" / "config.py", json.loads((whole.path / "spec.json").read_text())
        (command,) = [one for one in file.read_text().splitlines() if "tools/train.py" in one]
        assignment, python, tool, *words = shlex.split(command.removeprefix("#"))
        assert (python, words) == ("python", ["config.py", "--work-dir", "elsewhere"])
        tools = next(Path(spec["python"]).parents[1].glob("lib/python3*/site-packages")) / tool.removeprefix("…/")
        variable, _, links = assignment.partition("=")
        environ = {name: value for name, value in os.environ.items() if name != variable}
        done = subprocess.run(
            [spec["python"], tools, file, "--work-dir", tmp_path, "--cfg-options", "train_cfg.max_epochs=1"],
            env={**environ, variable: links, "OMP_NUM_THREADS": "1"}, cwd=tmp_path, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        assert "coco/segm_mAP" in done.stdout + done.stderr and (tmp_path / "epoch_1.pth").is_file()

    def test_checkpoints_are_mmengines_and_hold_no_code(self, whole: RunDir) -> None:
        folder = latest(whole) / "checkpoints"
        assert sorted(one.name for one in folder.iterdir()) == [
            "epoch-0001.pth", "epoch-0002.pth", f"s0-step{EPOCH:08}.pth", f"s0-step{STEPS:08}.pth",
        ]  # fmt: skip
        last, kept = content(folder / f"s0-step{STEPS:08}.pth"), content(folder / "epoch-0002.pth")
        wanted = {"meta", "state_dict", "optimizer", "param_schedulers", "message_hub", "detui"}
        assert set(last) == set(kept) == wanted
        assert last["meta"]["dataset_meta"]["classes"] == ("disc", "box") and last["meta"]["iter"] == STEPS
        assert last["optimizer"]["state"] and not kept["optimizer"]["state"]

    def test_its_checkpoints_are_scored_again_and_measured(self, line: Line, whole: RunDir) -> None:
        line("evaluate", name(whole), "--checkpoint", "2", "--device", "cpu")
        measured = json.loads(line("speed", name(whole), "--checkpoint", "2", "--json"))
        assert measured["input"] == [3, 64, 64] and measured["whole"]["fps"] > 0
        (begin,) = lines(whole, "begin")
        assert measured["parameters"] == begin["model"]["parameters"]


def test_stopped_killed_and_resumed_within_an_epoch_equals_uninterrupted_to_the_bit(line: Line, whole: RunDir) -> None:
    # Pictures are read in processes here and in the training's own there: it makes no difference.
    run = line.start("layered", "--set", "train.save_every=2", "--set", "train.workers=2")
    stopped_at(line, run, 2, 1)
    line("resume", name(run))
    os.kill(halted_at(run, EPOCH + 3, 2), signal.SIGKILL)  # the checkpoint of the second step is complete
    ended(run, "crashed")
    line("resume", name(run))
    ended(run, "finished")
    first, second = (one["resumed_from_step"] for one in lines(run, "begin")[1:])
    assert 0 < first < EPOCH < second < STEPS, "both within an epoch"
    assert [one["resumed"] for one in lines(run, "begin")[1:]] == [{"restored": RESTORED, "anew": []}] * 2
    assert values(run, "step") == values(whole, "step") and values(run, "epoch") == values(whole, "epoch")
    dumped = [(latest(one) / "predictions" / "val-epoch-0002.json").read_bytes() for one in (run, whole)]
    assert dumped[0] == dumped[1]
    ours, theirs = (content(latest(one) / "checkpoints" / f"s0-step{STEPS:08}.pth") for one in (run, whole))
    assert all(value.equal(theirs["state_dict"][key]) for key, value in ours["state_dict"].items())


def test_an_epoch_is_told_as_the_means_of_its_steps(whole: RunDir) -> None:
    for epoch in lines(whole, "epoch"):
        steps = [line["values"] for line in lines(whole, "step") if line["epoch"] == epoch["epoch"]]
        means = {name: value for name, value in epoch["values"].items() if name.startswith("train/")}
        assert len(steps) == EPOCH and set(means) == {name for name in steps[0] if name.startswith("train/")}
        assert means == pytest.approx({name: sum(step[name] for step in steps) / EPOCH for name in means})


def test_validation_losses_leave_the_training_alone(line: Line, whole: RunDir) -> None:
    run = ended(line.start("layered", "--set", "train.validation_loss=false"), "finished")
    assert values(run, "step") == values(whole, "step")
    assert not any(told.startswith("mmdet/") for epoch in values(run, "epoch").values() for told in epoch)


@pytest.fixture(scope="module")
def staged(line: Line) -> RunDir:
    """A run of two stages that nothing interrupted."""
    return ended(line.start("staged"), "finished")


def test_a_resume_in_a_later_stage_takes_no_weights_over_again(line: Line, staged: RunDir) -> None:
    run = line.start("staged", "--set", "train.save_every=1")
    os.kill(halted_at(run, 2 + 3, 1), signal.SIGKILL)
    ended(run, "crashed")
    line("resume", name(run))
    ended(run, "finished")
    begin, stage = lines(run, "begin")[-1], lines(run, "stage")[-1]
    assert begin["resumed_from_step"] > 2 and begin["resumed"] == {"restored": RESTORED, "anew": []}
    assert (stage["index"], "transfer" in stage) == (1, False)
    assert [one["index"] for one in lines(run, "stage")] == [0, 1, 1]
    assert values(run, "step") == values(staged, "step") and values(run, "epoch") == values(staged, "epoch")


def test_weights_go_on_to_a_stage_of_other_classes_and_rates_are_scaled(staged: RunDir) -> None:
    run = staged
    first, second = lines(run, "stage")
    assert (first["data"]["classes"], first["data"]["judged"], first["transfer"]) == (3, "not", None)
    assert (second["data"]["classes"], second["data"]["judged"], second["step"]) == (2, "own", 2)
    transfer = second["transfer"]
    assert transfer["source"]["kind"] == "stage" and transfer["source"]["stage"] == "before"
    assert transfer["parts"]["backbone"]["reinitialised"] == 0 < transfer["parts"]["backbone"]["loaded"]
    assert transfer["parts"]["roi_head.bbox_head"]["reinitialised"] == 4
    assert (latest(run) / transfer["file"]).is_file() and second["model"]["classes"] == 2
    assert second["used"]["train.rates.backbone"] == pytest.approx(0.01 * 2 / 4)
    assert [one["epoch"] for one in lines(run, "evaluation")] == [2], "a model of other classes is not judged"
    assert list(values(run, "step")) == list(range(1, 2 + EPOCH + 1))


class TestInterfered:
    """Workers without a supervisor, with the spec of the run that nothing interrupted."""

    def attempt(self, whole: RunDir, run: Path, trainer: str | None = None, resume: Any = None) -> RunDir:
        """Run the next attempt to its end, by another trainer where one is named."""
        found, spec = RunDir(run), json.loads((whole.path / "spec.json").read_text())
        number = len(found.attempts()) + 1
        folder = run / "attempts" / str(number)
        folder.mkdir(parents=True)
        environ = {**os.environ, **spec["environ"], "OMP_NUM_THREADS": "1",
                   "PYTHONPATH": os.pathsep.join([*spec["pythonpath"], str(WORKERS)])}  # fmt: skip
        (run / "spec.json").write_text(json.dumps({**spec, "trainer": trainer or spec["trainer"]}))
        told = json.loads((latest(whole) / "attempt.json").read_text())
        (folder / "attempt.json").write_text(json.dumps({**told, "number": number, "resume": resume}))
        subprocess.run([spec["python"], "-m", "detui.engine.worker", folder], env=environ, check=False)
        return found

    def done(self, run: RunDir) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((latest(run) / "done.json").read_text())
        return found

    def test_another_rate_than_asked_ends_the_run_before_its_first_step(self, whole: RunDir, tmp_path: Path) -> None:
        run = self.attempt(whole, tmp_path / "meddled", "meddled:MeddledTrainer")
        said = self.done(run)
        assert said["outcome"] == "failed" and said["error"] == "RunError"
        assert "train.layers.neck: asked 0.5, used 1.0" in said["message"]
        assert lines(run, "step") == [] and lines(run, "begin")[0]["used"]["train.rates.neck"] == 0.01

    def test_a_stop_in_a_validation_leaves_it_to_the_resumed_attempt(self, whole: RunDir, tmp_path: Path) -> None:
        run = self.attempt(whole, tmp_path / "stopped", "meddled:StoppedTrainer")
        assert self.done(run)["outcome"] == "stopped" and lines(run, "epoch") == []
        (saved,) = lines(run, "checkpoint")
        assert (saved["step"], saved["epoch"], saved["resumable"]) == (EPOCH, 0, True)
        place = {name: saved[name] for name in ("step", "epoch", "stage")}
        self.attempt(whole, run.path, None, {**place, "attempt": 1, "checkpoint": str(latest(run) / saved["path"])})
        assert self.done(run)["outcome"] == "finished"
        assert values(run, "epoch") == values(whole, "epoch") and values(run, "step") == values(whole, "step")
        assert [one["epoch"] for one in lines(run, "evaluation")] == [1, 2]
