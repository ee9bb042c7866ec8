"""Whole runs of the fusion detector by the command line: stopped, killed, resumed, branched, scored, measured."""

from __future__ import annotations

import json
import os
import signal

import pytest
from click.testing import CliRunner
from run_lines import Line, ended, halted_at, latest, lines, name, stopped_at, values

from detui.engine.errors import DetuiError
from detui.engine.process.control import status
from detui.engine.run.directory import RunDir
from detui.tui.main import application

pytestmark = pytest.mark.slow

RECIPE = """\
schema: 1
title: Is a resumed training the uninterrupted one?
question: And does a training without gradient end?
backend: torch
data: {name: fusion-scenes, train: {split: train}, val: {split: val}}
base:
  model: {channels: 16, bev_grid: 10, ray_points: 4, queries: 12, denoising_groups: 2, layers: 2, heads: 2, hidden: 32,
          space: [-24, -24, -3, 24, 24, 3]}
arms:
  learned: {model: {aqr: {clamp_from: 1.0, residual_weight: 0.65}}}
  cut-off: {model: {aqr: {max_weight_clamp: 0.01, kernel: peak, sigma: 0.1}}}
varies: [model.aqr]
seeds: [0]
checkpoint_rule: last
profiles:
  quick:
    data:
      name: fusion-scenes
      train: {split: train, images: 16}
      val: {split: val, images: 2}
      options: {size: [64, 48], rings: 12, columns: 120, reach: 18, sweeps: 0}
    base:
      train: {epochs: 2, batch: 1, lr: 1.0e-3, warmup_steps: 4, image_scale: 0.5, average: 0.9, statistics_every: 7,
              threads: 1, augment: {}}
    milestones: [1, 2]
"""
EPOCH, STEPS = 16, 32


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return Line(tmp_path_factory.mktemp("cut"), RECIPE)


@pytest.fixture(scope="module")
def whole(line: Line) -> RunDir:
    """The run that nothing interrupted."""
    return ended(line.start("learned", "--no-evaluate"), "finished")


def test_stopped_killed_and_resumed_within_an_epoch_equals_uninterrupted_to_the_bit(line: Line, whole: RunDir) -> None:
    run = line.start("learned", "--no-evaluate", "--set", "train.save_every=4")
    stopped_at(line, run, EPOCH + 3, 1)
    line("resume", name(run))
    # The checkpoint of step 24 is complete once step 25 is told.
    os.kill(halted_at(run, EPOCH + 9, 2), signal.SIGKILL)
    ended(run, "crashed")
    line("resume", name(run))
    ended(run, "finished")
    first, second = (one["resumed_from_step"] for one in lines(run, "begin")[1:])
    assert EPOCH + 3 <= first < EPOCH + 9 and EPOCH + 8 <= second < STEPS, "within the second epoch"
    assert [one["resumed"] for one in lines(run, "begin")[1:]] == [{"anew": []}] * 2
    assert values(run, "step") == values(whole, "step") and list(values(whole, "step")) == list(range(1, STEPS + 1))
    means = [{one["epoch"]: one["values"] for one in lines(each, "epoch")} for each in (run, whole)]
    assert means[0] == means[1] and set(means[0]) == {1, 2}
    found = [json.loads((latest(each) / "predictions" / "val-epoch-0002.json").read_text()) for each in (run, whole)]
    assert found[0] == found[1] and found[0]["frames"]


def test_a_branch_begins_at_a_milestone_and_goes_on_with_other_settings_of_aqr(line: Line, whole: RunDir) -> None:
    settings = ("train.epochs=3", "model.aqr.max_weight_clamp=2.0", "model.aqr.mode=additive", "train.average=0.5")
    run = line.new("branch", name(whole), "--at", "1", *(word for one in settings for word in ("--set", one)),
                   "--devices", "cpu", "--yes", "--no-evaluate", "--detach")  # fmt: skip
    ended(run, "finished")
    (begin,) = lines(run, "begin")
    assert begin["resumed_from_step"] == EPOCH and begin["resumed"] == {"anew": []}
    assert begin["model"]["aqr_gain"] == pytest.approx([0.65, 2.65]) and list(values(run, "step")) == list(
        range(17, 49)
    )
    clamps = {one["step"]: one["values"]["aqr/clamp"] for one in lines(run, "statistic")}
    assert clamps[17] == pytest.approx(1 + 16 / 47) and clamps[42] == pytest.approx(1 + 41 / 47)
    assert lines(run, "alarm") == []


@pytest.mark.parametrize("field", ["model.channels=32", "model.aqr.weights=constant", "train.batch=2"])
def test_what_a_checkpoint_holds_cannot_change_in_a_branch(line: Line, whole: RunDir, field: str) -> None:
    with pytest.raises(DetuiError, match=rf"{field.partition('=')[0]} cannot change in a branch"):
        line("branch", name(whole), "--set", "train.epochs=3", "--set", field, "--devices", "cpu", "--plan")


def test_its_checkpoints_are_scored_and_measured(line: Line, whole: RunDir) -> None:
    scored = json.loads(line("evaluate", name(whole), "--checkpoint", "1", "--device", "cpu", "--json"))
    assert "NDS" in json.dumps(scored)
    measured = json.loads(line("speed", name(whole), "--checkpoint", "2", "--json"))
    assert measured["input"] == [6, 3, 32, 32] and measured["whole"]["fps"] > 1 and measured["weights"] == "average"
    (begin,) = lines(whole, "begin")
    assert begin["model"]["parameters"] == measured["parameters"]
    assert begin["model"]["gflops"] == pytest.approx(measured["gflops"], rel=0.05), "but for the points of a frame"


def test_models_of_its_recipe_are_described(line: Line) -> None:
    words = ("show", str(line.recipe), "--profile", "quick", "--devices", "cpu", "--models")
    shown = line(*words)
    assert "of the camera encoder" in shown and "of AQR's weights" in shown and "6×3×32×32" in shown
    (told,) = json.loads(line(*words, "--json"))["models"]
    assert told["arms"] == ["learned", "cut-off"], "a clamp has no parameters"


def test_a_run_without_gradient_ends_with_a_diagnosis_in_words(line: Line) -> None:
    run = ended(line.start("cut-off", "--no-evaluate"), "failed")
    said = "No gradient reaches the AQR weights"
    assert said in str(status(run).state.reason)
    assert len(lines(run, "step")) <= 1, "at its first step"
    line("record", "fill", run.experiment_dir.name)
    assert said in (run.experiment_dir / "record.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("setting", "where", "hint"),
    [
        ("train.batch=17", "train.batch", "--set train.batch=16"),
        ("train.amp=bf16", "train.amp", "--set train.amp=false"),
        ("train.crop_top=0.9", "train.crop_top", "--set train.crop_top=0.33"),
        ("model.bev_grid=20000", "model.bev_grid", "--set model.bev_grid=180"),
        ("learned.model.aqr.clamp_from=9", "model.aqr.clamp_from", "clamp_from=2.5"),
        ("train.augment={scale: [2, 1]}", "train.augment", "smallest scale"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_field_and_the_next_step(
    line: Line, setting: str, where: str, hint: str
) -> None:
    words = ["--workspace", str(line.workspace), "run", str(line.recipe), "--profile", "quick", "--devices", "cpu",
             "--yes", "--set", setting]  # fmt: skip
    try:
        done = CliRunner().invoke(application, words, catch_exceptions=False)
        said = done.output
    except DetuiError as error:
        said = f"{error.where} {error}"
        assert error.exit_code == 2
    assert where in said and hint in said
