"""Predictions and speed of real checkpoints of a real nano detector, after its training."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from detui.engine.analysis import chosen
from detui.engine.errors import RunError
from detui.engine.prediction import find_checkpoint, predict
from detui.engine.process.control import status
from detui.engine.record.gather import gather
from detui.engine.run.directory import RunDir
from detui.engine.run.history import load_history
from detui.engine.run.measurements import measurements
from detui.engine.scoring import score
from detui.engine.workspace import Workspace

# Not importorskip: importing ultralytics patches Pillow, for every other test too.
if importlib.util.find_spec("ultralytics") is None:
    pytest.skip("needs the extra `ultralytics`", allow_module_level=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """One run to the end, with a milestone before the end and a test split, under a hostile path."""
    workspace = Workspace.open(str(tmp_path_factory.mktemp("with space 'quote\" 数据")))
    settings = ("train.epochs=3", "milestones=[2]", "train.imgsz=64", "data.test={split: test, images: 6}")
    plan = workspace.plan(
        "starter/mosaic", profile="smoke", arms=["baseline"], seeds=[0], overrides=settings, devices="cpu"
    )
    run = workspace.start(plan).runs()[0]
    deadline = time.monotonic() + 120
    while not status(run).state.terminal or len(load_history(run).evaluations) < 2:
        assert time.monotonic() < deadline, run.attempt(1).console_path.read_text()[-2000:]
        time.sleep(0.2)
    return run


def read(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())
    return found


@pytest.mark.parametrize("name", ["epoch-0002.pt", "s0-e0003.pt"])
def test_a_checkpoint_predicts_what_the_training_dumped(finished: RunDir, tmp_path: Path, name: str) -> None:
    checkpoint = finished.attempt(1).checkpoints / name
    out = tmp_path / "new folder" / "val.json"
    predict(finished, checkpoint, "val", out)
    epoch = int(checkpoint.stem[-4:])
    again, dumped = read(out), read(finished.attempt(1).predictions / f"val-epoch-{epoch:04}.json")
    assert len(again) == len(dumped) > 20
    for one, other in zip(again, dumped, strict=True):
        assert (one["image_id"], one["category_id"]) == (other["image_id"], other["category_id"])
        assert one["bbox"] == pytest.approx(other["bbox"], abs=1e-3)
        assert one["score"] == pytest.approx(other["score"], abs=1e-4)
    others = read(finished.attempt(1).predictions / f"val-epoch-{5 - epoch:04}.json")
    assert [one["score"] for one in others] != [one["score"] for one in dumped], "the epochs cannot be told apart"


def test_the_test_split_is_predicted_where_the_recipe_names_one(finished: RunDir, tmp_path: Path) -> None:
    checkpoint, epoch = find_checkpoint(finished, "last")
    assert epoch == 3
    predict(finished, checkpoint, "test", tmp_path / "test.json")
    data = finished.spec().data
    assert data is not None
    images = {image["id"] for image in read(Path(data["prepared"]) / "test.json")["images"]}  # type: ignore[call-overload]
    assert len(images) == 6 and {one["image_id"] for one in read(tmp_path / "test.json")} == images
    assert not list(Path(data["prepared"]).rglob("*.cache"))


def test_a_file_that_is_no_checkpoint_is_told_in_one_sentence(finished: RunDir, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(b"no checkpoint at all")
    with pytest.raises(RunError, match="cannot be read"):
        predict(finished, damaged, "val", tmp_path / "out.json", trust=True)
    assert not (tmp_path / "out.json").exists()


def detui(run: RunDir, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from detui.tui.main import main; main()"]
    workspace = ["--workspace", str(run.experiment_dir.parent)]
    return subprocess.run(
        [*command, *workspace, "speed", f"{run.experiment_dir.name}/{run.name}", *words],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_speed_is_measured_kept_and_told_in_the_record(finished: RunDir) -> None:
    done = detui(finished, "--batch", "2", "--fused", "--json")
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    best = find_checkpoint(finished, "best")[1]
    assert (measured["epoch"], measured["batch"], measured["input"]) == (best, 2, [3, 64, 64])
    assert measured["fused"] is True and measured["postprocess"]["kind"].startswith("NMS")
    assert measured["repeats"] >= 50 and measured["seconds"] >= 2
    assert measured["whole"]["median_ms"] >= measured["forward"]["median_ms"] > 0
    # Convolutions and products alone; Ultralytics, which counts the rest as well, says 0.068.
    assert 0.05 < measured["gflops"] < 0.07 and measured["gflops"] == pytest.approx(2 * measured["gmacs"])
    assert measurements(finished.attempt(1))[-1] == measured
    facts = gather(finished.experiment_dir).runs[0]
    assert facts.speed == {**measured, "attempt": 1}
    assert facts.cost["model/fps"].value == measured["whole"]["fps"]
    assert facts.cost["model/latency"].value == pytest.approx(measured["whole"]["median_ms"] / 1000)
    assert facts.cost["model/fps"].source.file == f"runs/{finished.name}/attempts/1/speed.json"


def test_a_size_that_the_model_cannot_take_is_wrong_usage(finished: RunDir) -> None:
    done = detui(finished, "--imgsz", "100")
    assert done.returncode == 2 and "--imgsz 96" in done.stderr and done.stdout == ""


@pytest.mark.slow
def test_rtdetr_predicts_through_the_same_door(tmp_path: Path) -> None:
    """Its head keeps anchors, which were saved in half precision: they must not be used."""
    workspace = Workspace.open(str(tmp_path))
    settings = ("model.name=rtdetr-l", "train.epochs=1", "milestones=[1]", "train.imgsz=64")
    plan = workspace.plan(
        "starter/mosaic", profile="smoke", arms=["baseline"], seeds=[0], overrides=settings, devices="cpu"
    )
    run = workspace.start(plan).runs()[0]
    deadline = time.monotonic() + 280
    while not status(run).state.terminal:
        assert time.monotonic() < deadline, run.attempt(1).console_path.read_text()[-2000:]
        time.sleep(0.2)
    predict(run, run.attempt(1).checkpoints / "epoch-0001.pt", "val", tmp_path / "out.json")
    assert read(tmp_path / "out.json") == read(run.attempt(1).predictions / "val-epoch-0001.json")


class TestScore:
    """`detui evaluate RUN`: predicted where nothing is there yet, judged by the one evaluator."""

    def test_a_milestone_is_judged_by_what_was_dumped(self, finished: RunDir) -> None:
        before = len(load_history(finished).evaluations)
        found = score(finished, "2")
        line = next(one for one in load_history(finished).evaluations if one["epoch"] == 2)
        assert found.predictions == finished.attempt(1).predictions / "val-epoch-0002.json"
        assert {f"val/{name}": value for name, value in found.result.values.items()} == pytest.approx(line["values"])
        assert len(load_history(finished).evaluations) == before, "nothing is said twice"

    def test_the_test_split_is_kept_apart_from_what_chooses(self, finished: RunDir) -> None:
        chosen_before = chosen(load_history(finished), finished.spec().checkpoint_rule)
        found = score(finished, "best", "test")
        lines = [one for one in load_history(finished).evaluations if one["split"] == "test"]
        assert len(lines) == 1 and lines[0]["images"] == 6 and lines[0]["epoch"] == found.epoch
        assert set(lines[0]["values"]) == {f"test/{name}" for name in found.result.values}
        assert chosen(load_history(finished), finished.spec().checkpoint_rule) == chosen_before
        mark = found.predictions.stat().st_mtime_ns
        assert score(finished, "best", "test").result == found.result
        assert found.predictions.stat().st_mtime_ns == mark, "predicted once"
        assert len([one for one in load_history(finished).evaluations if one["split"] == "test"]) == 1

    def test_a_file_from_elsewhere_needs_trust_and_enters_no_record(self, finished: RunDir, tmp_path: Path) -> None:
        copy = tmp_path / "given.pt"
        copy.write_bytes((finished.attempt(1).checkpoints / "epoch-0003.pt").read_bytes())
        with pytest.raises(RunError, match="runs code") as caught:
            score(finished, str(copy))
        assert "--trust" in str(caught.value)
        before = len(load_history(finished).evaluations)
        found = score(finished, str(copy), trust=True)
        assert found.epoch is None and found.result.values == pytest.approx(
            score(finished, "3").result.values, abs=1e-6
        )
        assert len(load_history(finished).evaluations) == before
