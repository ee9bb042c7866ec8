"""The fusion detector on two devices: the curve is that of one, also when it was stopped, resumed or branched."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from run_lines import Line, ended, latest, lines, name, stopped_held, values
from slurm_cluster import Cluster

from detui.engine.devices.processes import descendants
from detui.engine.process.control import status
from detui.engine.run.directory import RunDir
from detui.engine.run.lines import read_lines

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RECIPE = """\
schema: 1
title: Is the training of two devices that of one?
question: And that of a resumed one?
backend: torch
data: {name: fusion-scenes, train: {split: train}, val: {split: val}}
base:
  model: {channels: 16, bev_grid: 10, ray_points: 4, queries: 12, denoising_groups: 0, layers: 2, heads: 2, hidden: 32,
          space: [-24, -24, -3, 24, 24, 3]}
arms:
  learned: {model: {aqr: {clamp_from: 1.0, residual_weight: 0.65}}}
  noised: {model: {denoising_groups: 2}}
varies: [model]
seeds: [0]
devices: 2
checkpoint_rule: last
profiles:
"""
SMALL = """\
    data:
      name: fusion-scenes
      train: {split: train, images: 15}
      val: {split: val, images: 2}
      options: {size: [64, 48], rings: 12, columns: 120, reach: 18, sweeps: 0}
    base:
      train: {epochs: 3, batch: 4, lr: 1.0e-3, warmup_steps: 2, image_scale: 0.5, average: 0.9, statistics_every: 7,
              threads: 1, augment: {}}
    milestones: [1, 3]
"""
STAGES = """\
    stages: [{name: first, epochs: 1}, {name: second, epochs: 2, set: {train: {lr: 5.0e-4}}}]
"""
EPOCH, STEPS = 4, 12
"""15 frames in batches of 4: the last batch of an epoch has 3, two on one device and one on the other."""
TOLERANCE = 1e-5
"""Of any number of a step, relative; or absolute, of those below 1e-3. The largest difference that was measured in 16
steps is 2.3e-7: sums of 32 bits in another order."""


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return Line(tmp_path_factory.mktemp("two"), f"{RECIPE}  quick:\n{SMALL}  staged:\n{SMALL}{STAGES}")


def started(line: Line, devices: int | None, *words: str, profile: str = "quick", arm: str = "learned") -> RunDir:
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


def alike(first: dict[Any, dict[str, float]], second: dict[Any, dict[str, float]]) -> None:
    """Every number of every step, or epoch."""
    assert first.keys() == second.keys() and first
    for place, numbers in first.items():
        assert second[place] == pytest.approx(numbers, rel=TOLERANCE, abs=TOLERANCE * 1e-3), place


def means(run: RunDir) -> dict[int, dict[str, float]]:
    return {told["epoch"]: told["values"] for told in lines(run, "epoch")}


def test_two_devices_compute_the_curve_of_one(one: RunDir, two: RunDir) -> None:
    assert list(values(two, "step")) == list(range(1, STEPS + 1))
    alike(values(one, "step"), values(two, "step"))
    alike(means(one), means(two))
    found = [json.loads((latest(run) / "predictions" / "val-epoch-0003.json").read_text()) for run in (one, two)]
    for mine, its in zip(found[0]["frames"], found[1]["frames"], strict=True):
        assert its["token"] == mine["token"] and its["scores"] == pytest.approx(mine["scores"], abs=1e-4)


def test_what_was_used_is_told_and_stands_in_the_record(line: Line, one: RunDir, two: RunDir) -> None:
    (begin,) = lines(two, "begin")
    assert begin["ranks"] == {
        "count": 2, "devices": ["CPU", "CPU"], "images_per_device": 2, "batch": 4, "rate_scaling": "none",
        "gradients": "mean over the devices", "batch_norm_layers": 0, "transport": "gloo",
    }  # fmt: skip
    assert begin["asked"] == begin["used"] and begin["used"]["train.batch"] == 4 and begin["steps_per_epoch"] == EPOCH
    assert "ranks" not in lines(one, "begin")[0]
    running = next(told for told in read_lines(two.events_path) if told["state"] == "running")
    assert running["device"] == ["cpu:0", "cpu:1"]
    line("record", "fill", two.experiment_dir.name)
    record = (two.experiment_dir / "record.md").read_text(encoding="utf-8")
    assert "2 devices, 2 images of a step on each: batch 4; learning rate not scaled" in record


@pytest.fixture(scope="module")
def on_nodes(line: Line, slurm_daemons: Cluster) -> RunDir:
    """One device on each of two nodes of a real Slurm, both of which are this machine."""
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in slurm_daemons.environ.items():
            patch.setenv(variable, value)
        words = ("--executor", "slurm", "--devices", "cpu", "--slurm", "nodes=2", "--no-evaluate", "--yes", "--detach")
        return ended(line.new("run", str(line.recipe), "--profile", "quick", "--arm", "learned", *words), "finished")


def test_two_nodes_compute_the_curve_of_one_device(line: Line, one: RunDir, on_nodes: RunDir) -> None:
    alike(values(one, "step"), values(on_nodes, "step"))
    alike(means(one), means(on_nodes))
    (begin,) = lines(on_nodes, "begin")
    ranks = begin["ranks"]
    assert (ranks["count"], ranks["nodes"], ranks["batch"], ranks["images_per_device"]) == (2, 2, 4, 2)
    assert ranks["devices"] == ["n0: CPU", "n1: CPU"]
    plan = json.loads((on_nodes.experiment_dir / "experiment.json").read_text())
    assert plan["device"]["nodes"] == 2 and plan["executor"]["options"]["nodes"] == 2
    line("record", "fill", on_nodes.experiment_dir.name)
    record = (on_nodes.experiment_dir / "record.md").read_text(encoding="utf-8")
    assert "2 devices, 2 images of a step on each: batch 4; learning rate not scaled; on 2 nodes" in record


def test_the_stages_of_all_devices_go_on_from_each_other(line: Line) -> None:
    """A stage begins with the file that the first device wrote; steps, epochs and the data's order are counted on."""
    first, second = (ended(started(line, count, profile="staged"), "finished") for count in (1, 2))
    alike(values(first, "step"), values(second, "step"))
    assert [told["step"] for told in lines(second, "stage")] == [0, EPOCH]


def test_a_stop_saves_and_a_resume_computes_the_rest_of_the_same_curve(line: Line, two: RunDir) -> None:
    """To the bit: two devices add up in the same order again."""
    run, step = started(line, 2), EPOCH + 1
    until = time.monotonic() + 120
    while not (run.attempt(1).metrics_path.exists() and max(values(run, "step"), default=0) >= step):
        assert time.monotonic() < until and not status(run).state.terminal
        time.sleep(0.005)
    ranks = descendants(int((run.attempt(1).worker() or {})["pid"]))
    stopped_held(line, run, ranks)
    saved = lines(run, "checkpoint")[-1]
    assert saved["step"] == max(values(run, "step")) < STEPS and saved["resumable"]
    line("resume", name(run))
    ended(run, "finished")
    again = lines(run, "begin")[1]
    assert again["resumed_from_step"] == saved["step"] and again["resumed"] == {"anew": []}
    assert values(run, "step") == values(two, "step") and means(run) == means(two)


def test_a_checkpoint_is_gone_on_from_on_another_number_of_devices(line: Line, one: RunDir, two: RunDir) -> None:
    words = ("--at", "1", "--set", "train.epochs=4", "--cpu-slots", "2", "--yes", "--no-evaluate", "--detach")
    fewer = line.new("branch", name(two), "--devices", "1", *words)
    more = line.new("branch", name(one), "--devices", "2", *words)
    for run in (fewer, more):
        ended(run, "finished")
        assert lines(run, "begin")[0]["resumed"] == {"anew": ["random generators: another number of processes"]}
    alike(values(fewer, "step"), values(more, "step"))
    assert list(values(more, "step")) == list(range(EPOCH + 1, 4 * EPOCH + 1))


def test_noised_queries_are_trained_on_by_both(line: Line) -> None:
    run = ended(started(line, 2, arm="noised"), "finished")
    assert all(told["train/loss_dn_bbox"] > 0 for told in values(run, "step").values())


def test_the_plan_says_how_a_step_is_shared(line: Line) -> None:
    words = ("show", str(line.recipe), "--profile", "quick", "--cpu-slots", "2", "--plan")
    text = line(*words)
    assert "2 devices a run, 2 images of a step on each: a batch of 4, as asked" in text
    assert "the learning rate is not scaled" in text and "batch normalisation" in text
    told = json.loads(line(*words, "--json"))
    assert told["several_devices"][0] == {
        "arm": "learned", "stage": "main", "devices": 2, "images": 2, "batch": 4, "rate_scaling": "none",
        "batch_norm": "over the images of one device",
    }  # fmt: skip
    assert told["command"].endswith("--devices 2 --cpu-slots 2") and told["device"]["count"] == 2
    alone = json.loads(line(*words, "--devices", "1", "--json"))
    assert "several_devices" not in alone and alone["device"]["count"] == 1, "the launch has the last word"
