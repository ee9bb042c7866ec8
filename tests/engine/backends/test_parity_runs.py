"""Whole runs of the RT-DETR that two frameworks train: side by side, stopped, killed, resumed, scored, measured."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from run_lines import Line, ended, halted_at, latest, lines, name, stopped_at, values

from detui.engine.configuration import Configuration
from detui.engine.environment.standing import standing
from detui.engine.record.blocks import find
from detui.engine.record.parity_verdicts import COMPARED
from detui.engine.record.words import Words
from detui.engine.run.directory import RunDir

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]  # Jittor compiles kernels that it has not seen yet

SMOKE = ("run", "parity/training", "--profile", "smoke", "--set", "train.epochs=2", "--set", "augment.brightness=0.2",
         "--set", "train.lr=0.001", "--devices", "cpu", "--yes")  # fmt: skip
TORCH = ("torch", "torch-jitter")
"""The arms that need no environment."""
EPOCH, STEPS = 4, 8
COLD = 600
"""Seconds until a step: Jittor may have to compile kernels first."""


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory, jittor_found: None) -> Line:
    return Line(tmp_path_factory.mktemp("parity") / "cut", "")


@pytest.fixture(scope="module")
def whole(line: Line) -> Path:
    """The experiment that nothing interrupts: all arms, or those of PyTorch where there is no environment jittor."""
    arms = [] if standing("jittor", Configuration.load()).problem is None else [f"--arm={arm}" for arm in TORCH]
    line(*SMOKE, *arms)
    (path,) = line.workspace.glob("*/experiment.json")
    return path.parent


def uninterrupted(arm: str, whole: Path) -> RunDir:
    """The run of an arm; skips where there is none."""
    if not (whole / "runs" / f"{arm}-s0").is_dir():
        pytest.skip(f"no environment jittor: {standing('jittor', Configuration.load()).problem}")
    return RunDir(whole / "runs" / f"{arm}-s0")


def measured(run: RunDir) -> dict[int, dict[str, float]]:
    """Step → its numbers, without how long it took."""
    return {step: {key: value for key, value in one.items() if not key.startswith("seconds/")}
            for step, one in values(run, "step").items()}  # fmt: skip


def weights(run: RunDir) -> dict[str, np.ndarray]:
    with np.load(latest(run) / "checkpoints" / "epoch-0002.npz", allow_pickle=False) as stored:
        return {key: stored[key] for key in stored.files if key != "detui"}


@pytest.mark.parametrize("framework", ["torch", "jittor"])
def test_stopped_killed_and_resumed_equals_uninterrupted(framework: str, line: Line, whole: Path) -> None:
    right = uninterrupted(framework, whole)
    run = line.new(*SMOKE, f"--arm={framework}", "--detach", "--set", "train.save_every=2")
    stopped_at(line, run, 2, 1, seconds=COLD)
    line("resume", name(run))
    os.kill(halted_at(run, EPOCH + 3, 2, COLD), signal.SIGKILL)  # the checkpoint of the second step is complete
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


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_record_is_one_to_hand_in(language: str, whole: Path) -> None:
    both = (whole / "runs" / "jittor-s0").is_dir()
    text = (whole / ("record.md" if language == "en" else "record.zh.md")).read_text(encoding="utf-8")
    blocks, say = find(text), Words(language)
    assert "🛑" not in text, "nothing that differs is a confounder"
    assert say("missing") not in blocks["speed"], "all is measured, inference too"
    assert ("jittor" in blocks["speed"]) is both and "torch-jitter" in blocks["drift"]
    if not both:
        assert say("nobody judged") in blocks["verdicts"]
        return
    assert say("packages follow", "numpy").split("numpy")[0] in blocks["differs"]
    rows = [line.strip("| ").split(" | ") for line in blocks["verdicts"].splitlines() if "`jittor`" in line]
    said = {row[0]: row[-1] for row in rows}
    assert said[say("ask equal")].startswith("✅") and said[say("ask first")].startswith("✅")
    for what in COMPARED:
        assert "⚠️" not in said[say(f"ask {what}")], what
    assert say("cannot be told seeds", 1, 1) == said[say("ask accuracy")]
    for what in ("compiling", "training bare"):
        assert f"| {say(f'cost {what}')} | `jittor` |" in blocks["document"]


@pytest.mark.parametrize("framework", ["torch", "jittor"])
def test_a_checkpoint_is_scored_again_and_measured(framework: str, line: Line, whole: Path) -> None:
    run = uninterrupted(framework, whole)
    line("evaluate", name(run), "--checkpoint", "2", "--device", "cpu")
    found = json.loads(line("speed", name(run), "--checkpoint", "2", "--json"))
    assert found["input"] == [3, 64, 64] and found["whole"]["fps"] > 0 and framework in found["framework"]
    (begin,) = lines(run, "begin")
    assert found["parameters"] == begin["model"]["parameters"] and begin["arithmetic"]["framework"] == framework


def test_both_see_the_same_and_begin_alike(line: Line, whole: Path) -> None:
    torch, jittor = (uninterrupted(framework, whole) for framework in ("torch", "jittor"))
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


def test_the_noise_floor_begins_beside_the_run_and_drifts(line: Line, whole: Path) -> None:
    right = values(uninterrupted("torch", whole), "step")
    run = uninterrupted("torch-jitter", whole)
    moved, told = values(run, "step"), lines(run, "begin")[0]["first_weights"]
    assert told["unmoved"] == lines(uninterrupted("torch", whole), "begin")[0]["first_weights"]["held"] != told["held"]
    assert moved[1]["train/loss"] == pytest.approx(right[1]["train/loss"], rel=1e-4)
    assert moved[STEPS]["train/loss"] != right[STEPS]["train/loss"]
