"""Whole runs of the RT-DETR that two frameworks train: side by side, stopped, killed, resumed, scored, measured."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator

import numpy as np
import pytest
from made_environments import root_of_tests
from run_lines import Line, ended, latest, lines, name, values

from detui.engine.configuration import Configuration
from detui.engine.environment.standing import standing
from detui.engine.process.control import status
from detui.engine.run.directory import RunDir
from detui.engine.run.lines import read_lines

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # Jittor compiles kernels that it has not seen yet

RECIPE = """\
schema: 1
title: Is a resumed training the uninterrupted one?
question: In both frameworks?
backend: parity
data: {name: scenes}
base:
  model: {queries: 12, denoising: 6, layers: 2, channels: 16, feed_forward: 32, heads: 2, points: 2,
          backbone: {depths: [1, 1, 1, 1], widths: [8, 8, 12, 16], stem: 8}}
  train: {lr: 0.001, image_size: 64}
  augment: {brightness: 0.2}
arms:
  torch: {}
  torch-jitter: {train: {jitter: 1.0e-7}}
  jittor: {environment: jittor, model: {framework: jittor}}
varies: [model.framework, train.jitter, environment]
seeds: [0]
checkpoint_rule: {rule: last}
profiles:
  quick:
    data:
      train: {split: train, images: 6}
      val: {split: val, images: 2}
      options: {size: 64, classes: [disc, box], sizes: {small: 1, medium: 0, large: 0}}
    base: {train: {epochs: 2}}
    milestones: [1, 2]
"""
EPOCH, STEPS = 6, 12


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """Jittor is that of the environment which tests have made, or the interpreter that DETUI_TEST_JITTOR names."""
    folder = tmp_path_factory.mktemp("parity")
    configuration = folder / "configuration.yaml"
    named = os.environ.get("DETUI_TEST_JITTOR")
    configuration.write_text(f"environments: {{jittor: {json.dumps(named)}}}\n" if named else "", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETUI_CONFIG", str(configuration))
        patch.setenv("DETUI_ENVIRONMENTS", str(root_of_tests()))
        yield Line(folder / "cut", RECIPE)


@pytest.fixture(scope="module")
def whole(line: Line) -> dict[str, RunDir]:
    """The runs that nothing interrupts, by framework, as they are asked for."""
    return {}


def uninterrupted(framework: str, line: Line, whole: dict[str, RunDir]) -> RunDir:
    """The run of a framework; skips where there is none."""
    if framework == "jittor" and (problem := standing("jittor", Configuration.load()).problem) is not None:
        pytest.skip(f"no environment jittor: {problem}")
    if framework not in whole:
        whole[framework] = ended(line.start(framework), "finished", seconds=1500)
    return whole[framework]


def halted_at(run: RunDir, step: int, attempt: int) -> int:
    """Hold the worker still once it has reported a step; returns its process id."""
    until, path = time.monotonic() + 600, run.attempt(attempt).metrics_path
    while not path.exists() or not any(one["kind"] == "step" and one["step"] >= step for one in read_lines(path)):
        assert time.monotonic() < until and not status(run).state.terminal
        time.sleep(0.005)
    worker = int((run.attempt(attempt).worker() or {})["pid"])
    os.kill(worker, signal.SIGSTOP)
    return worker


def measured(run: RunDir) -> dict[int, dict[str, float]]:
    """Step → its numbers, without how long it took."""
    return {step: {key: value for key, value in one.items() if not key.startswith("seconds/")}
            for step, one in values(run, "step").items()}  # fmt: skip


def weights(run: RunDir) -> dict[str, np.ndarray]:
    with np.load(latest(run) / "checkpoints" / "epoch-0002.npz", allow_pickle=False) as stored:
        return {key: stored[key] for key in stored.files if key != "detui"}


@pytest.mark.parametrize("framework", ["torch", "jittor"])
def test_stopped_killed_and_resumed_equals_uninterrupted(framework: str, line: Line, whole: dict[str, RunDir]) -> None:
    right = uninterrupted(framework, line, whole)
    run = line.start(framework, "--set", "train.save_every=2")
    worker = halted_at(run, 2, 1)
    line("stop", name(run))
    until = time.monotonic() + 30
    while status(run).state.word != "stopping":
        assert time.monotonic() < until
        time.sleep(0.02)
    os.kill(worker, signal.SIGCONT)
    ended(run, "stopped")
    line("resume", name(run))
    os.kill(halted_at(run, EPOCH + 3, 2), signal.SIGKILL)  # the checkpoint of the second step is complete
    ended(run, "crashed")
    line("resume", name(run))
    ended(run, "finished", seconds=600)
    first, second = (one["resumed_from_step"] for one in lines(run, "begin")[1:])
    assert 0 < first < EPOCH < second < STEPS, "both within an epoch"
    # Both repeat themselves on a CPU to the bit.
    assert measured(run) == measured(right) and list(measured(run)) == list(range(1, STEPS + 1))
    ours, theirs = weights(run), weights(right)
    assert ours.keys() == theirs.keys() and all(np.array_equal(ours[key], theirs[key]) for key in ours)
    dumped = [(latest(one) / "predictions" / "val-epoch-0002.json").read_bytes() for one in (run, right)]
    assert dumped[0] == dumped[1]


@pytest.mark.parametrize("framework", ["torch", "jittor"])
def test_a_checkpoint_is_scored_again_and_measured(framework: str, line: Line, whole: dict[str, RunDir]) -> None:
    run = uninterrupted(framework, line, whole)
    line("evaluate", name(run), "--checkpoint", "2", "--device", "cpu")
    found = json.loads(line("speed", name(run), "--checkpoint", "2", "--json"))
    assert found["input"] == [3, 64, 64] and found["whole"]["fps"] > 0 and framework in found["framework"]
    (begin,) = lines(run, "begin")
    assert found["parameters"] == begin["model"]["parameters"] and begin["arithmetic"]["framework"] == framework


def test_both_see_the_same_and_begin_alike(line: Line, whole: dict[str, RunDir]) -> None:
    torch, jittor = (uninterrupted(framework, line, whole) for framework in ("torch", "jittor"))
    (one,), (two,) = lines(torch, "begin"), lines(jittor, "begin")
    assert one["batches"] == two["batches"] and len(one["batches"]) == 3
    differ = {key for key in one["model"] if one["model"][key] != two["model"][key]}
    assert differ == {"framework"}, "parameters, parts and GFLOPs are equal"
    assert "torch" not in two["packages"] and "jittor" in two["packages"]
    assert one["tensors"] == two["tensors"] and one["first_weights"] == two["first_weights"]
    assert one["first_weights"]["held"] == one["first_weights"]["unmoved"]
    for run in (torch, jittor):  # a resumed attempt holds no first weights
        with np.load(run.attempt(1).path / "measured" / "operators.npz", allow_pickle=False) as stored:
            assert "convolution 3×3|output" in stored.files
    first, other = (values(run, "step")[1] for run in (torch, jittor))
    assert other["train/loss"] == pytest.approx(first["train/loss"], rel=1e-4)


def test_the_noise_floor_begins_beside_the_run_and_drifts(line: Line, whole: dict[str, RunDir]) -> None:
    right = values(uninterrupted("torch", line, whole), "step")
    run = ended(line.start("torch-jitter"), "finished")
    moved, told = values(run, "step"), lines(run, "begin")[0]["first_weights"]
    assert told["unmoved"] == lines(whole["torch"], "begin")[0]["first_weights"]["held"] != told["held"]
    assert moved[1]["train/loss"] == pytest.approx(right[1]["train/loss"], rel=1e-4)
    assert moved[STEPS]["train/loss"] != right[STEPS]["train/loss"]
