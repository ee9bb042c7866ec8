"""Real trainings on RGB-D, and what their checkpoints are worth in a process that has no detui."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from detui.engine.configuration import Configuration
from detui.engine.data import prepare
from detui.engine.run.directory import AttemptDir, RunDir
from detui.engine.run.files import write_json
from detui.engine.run.lines import read_lines
from detui.engine.workspace import Workspace

# Not importorskip: importing ultralytics patches Pillow, for every other test too.
if importlib.util.find_spec("ultralytics") is None:
    pytest.skip("needs the extra `ultralytics`", allow_module_level=True)
pytestmark = pytest.mark.slow

WORKERS = Path(__file__).parents[2] / "workers"

RECIPE = """\
schema: 1
title: depth
question: is depth read?
data:
  name: scenes
  depth: true
  train: {{split: train, images: 32}}
  val: {{split: train, images: 8}}
  options: {{size: 96, depth: true, classes: [disc, box], objects: [1, 2], clutter: 0, noise: 0,
            sizes: {{small: 0.2, medium: 0.8, large: 0.0}}}}
base:
  model: {{name: {model}, weights: {weights}, sha256: {sha256}, inputs: rgbd}}
  train: {{batch: 4, imgsz: 64, nbs: 8, optimizer: AdamW, lr0: 0.001, momentum: 0.9, workers: 0, val: false,
          warmup_epochs: 0.0, close_mosaic: 0}}
  augment: {{mosaic: 0.0, scale: 0.0, translate: 0.0, hsv_h: 0.0, hsv_s: 0.0, hsv_v: 0.0}}
arms: {{only: {{}}}}
seeds: [0]
stages:
  - {{name: learning, epochs: {epochs}, set: {{train: {{cache: ram, nbs: 4}}}}}}
  - {{name: mixing, epochs: 2, set: {{augment: {{mosaic: 0.5, mixup: 0.3, hsv_s: 0.5}}}}}}
"""
"""Trained and judged on the same pictures, so that something is found after seconds."""


EPOCHS = 4
"""Of the first stage."""


def python(*words: object, **environ: object) -> str:
    """The last line that a process prints."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **{name: str(value) for name, value in environ.items()}}
    done = subprocess.run(
        [sys.executable, *map(str, words)], env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()[-1] if done.stdout else ""


def stock(*words: object, config: Path) -> Any:
    """What Ultralytics says where detui cannot be imported; `config`: a settings folder that keeps it off the net."""
    switches = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_CONFIG_DIR": config}
    return json.loads(python(WORKERS / "stock_ultralytics.py", *words, **switches))


def make_run(folder: Path, model: str, weights: Path, epochs: int) -> RunDir:
    """A run of RECIPE, with its data prepared, that nobody has started."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    recipe = folder / "depth.yaml"
    recipe.write_text(RECIPE.format(model=model, weights=json.dumps(str(weights)), sha256=digest, epochs=epochs))
    plan = Workspace.open(str(folder / "logs")).plan(str(recipe), devices="cpu")
    assert not plan.errors and plan.arms[0].data is not None
    selection = plan.arms[0].data.model_dump()
    prepared = prepare(selection, Configuration.load(), folder / "data", yolo=True)
    data = {**prepared.info, "prepared": str(prepared.path)}
    spec = plan.spec(plan.arms[0], 0, experiment="depth", data={None: data}, python=sys.executable)
    return RunDir.create(folder / "runs" / "only-s0", spec)


def work(run: RunDir, resume: dict[str, Any] | None = None) -> AttemptDir:
    """Train one attempt to its end."""
    attempt = run.attempt(len(run.attempts()) + 1)
    attempt.path.mkdir()
    write_json(attempt.path / "attempt.json", {"number": attempt.number, "resume": resume})
    python("-m", "detui.engine.worker", attempt.path)
    return attempt


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with RGB checkpoints of networks that were only initialised."""
    folder = tmp_path_factory.mktemp("networks")
    stock("weights", folder, config=folder / "config")
    return folder


@pytest.fixture(scope="module")
def trained(networks: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """YOLO12n on RGB-D, two stages, from RGB weights, below a hostile path."""
    run = make_run(tmp_path_factory.mktemp('it\'s "here" 数据'), "yolo12n", networks / "yolo.pt", EPOCHS)
    work(run)
    return run


def lines(attempt: AttemptDir, kind: str) -> list[dict[str, Any]]:
    return [line for line in read_lines(attempt.metrics_path) if line["kind"] == kind]


@pytest.fixture(scope="module")
def starts(networks: Path) -> Any:
    return json.loads(python(WORKERS / "rgbd_starts.py", networks, PYTHONPATH=WORKERS))


class TestStart:
    """The first convolution before the first step."""

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("mean", "mean of the RGB filters of yolo.pt"),
            ("zero", "zero, beside the RGB filters of yolo.pt"),
            ("random", "random, beside the RGB filters of yolo.pt"),
            ("rtdetr", "mean of the RGB filters of rtdetr.pt"),
            ("scratch", "mean of random RGB filters"),
        ],
    )
    def test_rgb_filters_are_the_weights_and_depth_starts_as_asked(self, starts: Any, name: str, said: str) -> None:
        start = starts[name]
        assert start["said"] == said and start["shape"] == [16, 4, 3, 3]
        assert start["rgb_as_given"] == (name != "scratch")
        assert (start["from_mean"] == 0) == (name in ("mean", "rtdetr", "scratch"))
        assert (start["largest"] == 0) == (name == "zero")

    def test_depth_costs_one_plane_of_the_first_filters(self, starts: Any) -> None:
        depth, plain = starts["mean"], starts["plain"]
        assert depth["parameters"] - plain["parameters"] == 16 * 3 * 3
        # At 32 × 32 places of a picture of 64 × 64; a multiply-add is two.
        assert depth["gflops"] - plain["gflops"] == pytest.approx(2 * 16 * 3 * 3 * 32 * 32 / 1e9, rel=1e-6)

    def test_weights_with_depth_are_taken_over_whole(self, starts: Any) -> None:
        assert starts["four"]["said"] == "taken over from four.pt" and starts["four"]["all_as_given"]

    def test_weights_with_depth_are_not_cut_to_rgb(self, starts: Any) -> None:
        assert "weights are for pictures of 4 channels, and this network takes 3" in starts["cut"]["error"]

    def test_rgb_stays_as_it_was(self, starts: Any) -> None:
        assert starts["plain"]["said"] is None
        assert starts["plain"]["shape"] == [16, 3, 3, 3] and starts["plain"]["all_as_given"]


class TestTraining:
    """A run to its end, and what is made of its checkpoints."""

    def test_begin_says_what_enters_the_network(self, trained: RunDir) -> None:
        (begin,) = lines(trained.attempt(1), "begin")
        model = begin["model"]
        assert (model["channels"], model["depth_filter"]) == (4, "mean of the RGB filters of yolo.pt")
        assert [line["stage"] for line in lines(trained.attempt(1), "stage")] == ["learning", "mixing"]

    def test_a_resumed_attempt_goes_on_to_the_bit(self, trained: RunDir) -> None:
        """With mosaic, whose buffer is filled again: the last epoch, resumed from the one before."""
        whole = trained.attempt(1)
        line = lines(whole, "checkpoint")[-2]
        resume = {"attempt": 1, "checkpoint": str(whole.path / line["path"])}
        again = work(trained, {**resume, **{name: line[name] for name in ("step", "epoch", "stage")}})
        assert lines(again, "begin")[0]["model"]["depth_filter"] == f"taken over from {Path(line['path']).name}"
        expected = [one for one in lines(whole, "step") if one["step"] > line["step"]]
        assert len(expected) == 8
        got = lines(again, "step")
        assert [(one["step"], one["values"]) for one in got] == [(one["step"], one["values"]) for one in expected]
        last = f"val-epoch-{EPOCHS + 2:04}.json"
        assert read(again.predictions / last) == read(whole.predictions / last)

    def test_its_checkpoint_is_whole_without_detui(self, trained: RunDir, tmp_path: Path) -> None:
        """Stock Ultralytics on four-channel files whose planes are R, G, B, D finds what the run found."""
        attempt = trained.attempt(1)
        milestone = best(attempt)
        checkpoint = shutil.copy(milestone, tmp_path)  # alone, Ultralytics reads from no folder with quotes in its name

        def validated(name: str, order: list[int]) -> Any:
            files = four_channels(trained, tmp_path / name, order)
            found = stock(
                "validate", checkpoint, files, tmp_path / f"{name}-out", config=attempt.path / "ultralytics/config"
            )
            return {**found, "predictions": read(Path(found["predictions"]))}

        found = validated("rgbd", [2, 1, 0])
        assert found["foreign"] == [] and found["of_an_array"] == [64, 64, 4]
        ours = read(attempt.predictions / f"val-{milestone.stem}.json")
        assert len(found["predictions"]) == len(ours) > 100
        assert apart(ours, found["predictions"]) < 0.01, "normalisation is fused there, and nothing else may differ"
        said = lines(attempt, "epoch")[-1]["values"]["ultralytics/mAP50-95"]
        assert said > 0 and found["AP"] == pytest.approx(said, abs=1e-5)
        assert apart(ours, validated("bgrd", [0, 1, 2])["predictions"]) > 1, "the order of planes changes nothing"

    def test_it_predicts_again_and_is_measured_with_four_channels(self, trained: RunDir, tmp_path: Path) -> None:
        checkpoint = best(trained.attempt(1))
        task = {"run": str(trained.path), "checkpoint": str(checkpoint), "device": "cpu"}
        wanted = {"batch": 2, "precision": "fp32", "imgsz": None, "fused": False}
        for name, more in (
            ("predict", {"split": "val", "out": str(tmp_path / "again.json")}),
            ("speed", {"wanted": wanted}),
        ):
            (tmp_path / name).mkdir()
            write_json(tmp_path / name / "task.json", {**task, "kind": name, **more})
            python("-m", "detui.engine.worker.task", tmp_path / name)
        assert read(tmp_path / "again.json") == read(trained.attempt(1).predictions / f"val-{checkpoint.stem}.json")
        measured = json.loads((tmp_path / "speed" / "result.json").read_text())["result"]
        assert measured["input"] == [4, 64, 64] and measured["batch"] == 2
        assert measured["parameters"] == lines(trained.attempt(1), "begin")[0]["model"]["parameters"]


def test_rtdetr_trains_on_depth_too(networks: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path, str(networks / "rtdetr-small.yaml"), networks / "rtdetr.pt", 1)
    attempt = work(run)
    model = lines(attempt, "begin")[0]["model"]
    assert (model["channels"], model["depth_filter"]) == (4, "mean of the RGB filters of rtdetr.pt")
    assert (model["queries"], model["decoder_layers"]) == (30, 2)
    assert len(lines(attempt, "step")) == 24 and read(attempt.predictions / "val-epoch-0003.json")


def best(attempt: AttemptDir) -> Path:
    """The last milestone's checkpoint."""
    return sorted(attempt.checkpoints.glob("epoch-*.pt"))[-1]


def read(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())
    return found


def four_channels(run: RunDir, folder: Path, order: list[int]) -> Path:
    """The validation pictures as PNG of four channels, and a data YAML for them.

    `order`: of R, G and B in the file. A reader that gives B, G, R, A, such as OpenCV, gives R, G, B, D from [2, 1, 0].
    """
    data = run.spec().data or {}
    prepared = Path(data["prepared"]) / "yolo"
    for kind in ("images", "labels"):
        (folder / kind / "val").mkdir(parents=True)
    for image in (prepared / "images" / "val").iterdir():
        colours = np.asarray(Image.open(image).convert("RGB"))
        depth = np.asarray(Image.open(prepared / "depth" / "val" / f"{image.stem}.png"))
        four = np.dstack([colours[..., order], depth])
        Image.fromarray(four, "RGBA").save(folder / "images" / "val" / f"{image.stem}.png")
        label = prepared / "labels" / "val" / f"{image.stem}.txt"
        (folder / "labels" / "val" / label.name).write_text(label.read_text())
    names = dict(enumerate(data["classes"]))
    content = {"path": str(folder), "train": "images/val", "val": "images/val", "channels": 4, "names": names}
    (folder / "data.yaml").write_text(json.dumps(content))
    return folder / "data.yaml"


def apart(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> float:
    """The largest difference between two sets of detections, each with the one nearest to it of its picture and class.

    Boxes in pixels of a picture of 96 × 96, scores as parts of the largest.
    """
    scale = max(one["score"] for one in ours)

    def far(one: dict[str, Any], other: dict[str, Any]) -> float:
        boxes = max(abs(a - b) for a, b in zip(one["bbox"], other["bbox"], strict=True))
        return max(boxes, abs(one["score"] - other["score"]) / scale)

    def alike(one: dict[str, Any]) -> list[dict[str, Any]]:
        return [o for o in theirs if all(o[key] == one[key] for key in ("image_id", "category_id"))]

    return max(min((far(one, other) for other in alike(one)), default=float("inf")) for one in ours)
