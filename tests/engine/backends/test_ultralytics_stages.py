"""Stages on their own data: which weights go on, what the trainer really uses, what is judged, where a resume is."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from going_on import resume

from detui.engine.analysis.choice import chosen
from detui.engine.backends.torch_support.stages import even, judged
from detui.engine.backends.ultralytics.plan import UltralyticsConfig
from detui.engine.backends.ultralytics.predict import check_classes
from detui.engine.backends.ultralytics.stagedata import check_stages
from detui.engine.backends.ultralytics.transfer import class_rows
from detui.engine.configuration import Configuration
from detui.engine.data import prepare
from detui.engine.errors import RunError
from detui.engine.evaluate import evaluate_run
from detui.engine.prediction import find_checkpoint, predict
from detui.engine.process.control import status
from detui.engine.process.launch import launch
from detui.engine.run.directory import RunDir
from detui.engine.run.history import load_history
from detui.engine.run.lines import read_lines
from detui.engine.run.spec import DeviceRequest, RunSpec, StageSpec

WORKERS = Path(__file__).parents[2] / "workers"
BUSY = ["disc", "box", "triangle", "cross"]
PLAIN = ["ring", "box", "disc"]
RUN, OTHER, ALIKE = ({"prepared": f"/{name}", "name": name, "classes": classes}
                     for name, classes in (("busy", BUSY), ("plain", PLAIN), ("alike", BUSY)))  # fmt: skip


def spec_of(*data: dict[str, Any] | None) -> RunSpec:
    config = UltralyticsConfig.model_validate({"model": {"name": "yolo12n"}}).model_dump(mode="json")
    return RunSpec(
        experiment="e", recipe="r/r", arm="only", seed=0, profile="full", backend="ultralytics", threads=1,
        trainer="staged:ProbedTrainer", python=sys.executable, pythonpath=(str(WORKERS),), config=config,
        data=RUN, milestones=(),
        device=DeviceRequest(kind="cpu", count=1, candidates=("cpu:0",)),
        stages=tuple(StageSpec(name=f"s{n}", epochs=1, config=config, data=one) for n, one in enumerate(data)),
        checkpoint_rule={"rule": "best", "metric": "val/AP"},
    )  # fmt: skip


class TestBeforehand:
    """What is said without a framework."""

    def test_how_a_stage_is_judged(self) -> None:
        spec = spec_of(OTHER, ALIKE, {**RUN, "title": "the same"}, None)
        assert [judged(spec, index) for index in range(4)] == ["not", "beside", "own", "own"]
        check_stages(spec)

    def test_stages_of_different_length_an_epoch(self) -> None:
        many = {**ALIKE, "splits": {"train": {"images": 40}}}
        spec = replace(spec_of(many, None), data={**RUN, "splits": {"train": {"images": 33}}})
        assert even(spec), "three batches of 16 each"
        longer = replace(spec.stages[1], config={**spec.config, "train": {**spec.config["train"], "batch": 8}})
        assert not even(replace(spec, stages=(spec.stages[0], longer)))

    @pytest.mark.parametrize("last", [OTHER, ALIKE])
    def test_the_last_stage_trains_on_what_is_judged(self, last: dict[str, Any]) -> None:
        with pytest.raises(RunError, match="no checkpoint could be its best") as refused:
            check_stages(spec_of(None, last))
        assert refused.value.where == "stages[1].data"

    def test_depth_that_only_the_stage_has_is_found_before_the_first_step(self) -> None:
        spec = spec_of(ALIKE, None)
        deep = json.loads(json.dumps(spec.stages[0].config))
        deep["model"]["inputs"] = "rgbd"
        with pytest.raises(RunError, match="RGB alone"):
            check_stages(replace(spec, stages=(replace(spec.stages[0], config=deep), spec.stages[1])))

    def test_a_checkpoint_of_other_classes_is_not_judged_by_these(self, tmp_path: Path) -> None:
        check_classes(dict(enumerate(BUSY)), BUSY, tmp_path)
        check_classes({0: "0", 1: "1"}, PLAIN[:2], tmp_path)
        for names, says in ((PLAIN, "3 classes"), (["moon", "sun", "sea", "sky"], "none of the run's classes")):
            with pytest.raises(RunError, match=says):
                check_classes(dict(enumerate(names)), BUSY, tmp_path)

    def test_classes_of_the_same_name(self) -> None:
        before, after = {0: "Person", 1: " cup", 2: "dog"}, {0: "dog", 1: "fox", 2: "person "}
        assert class_rows(before, after) == {0: 2, 2: 0}
        assert class_rows(before, {0: "fox"}) == {}
        assert class_rows({0: "0", 1: "1"}, after) is None and class_rows(None, after) is None


# Not importorskip: importing ultralytics patches Pillow, for every other test too.
trains = [pytest.mark.slow, pytest.mark.skipif(importlib.util.find_spec("ultralytics") is None,
                                              reason="needs the extra `ultralytics`")]  # fmt: skip


def said(script: str, argument: Path) -> Any:
    """What a script prints last, as JSON."""
    command, environment = (
        [sys.executable, str(WORKERS / script), str(argument)],
        {**os.environ, "OMP_NUM_THREADS": "1"},
    )
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def transfers(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return said("transfers.py", tmp_path_factory.mktemp("transfers"))


class TestOtherClasses:
    """Weights into models of other classes, told tensor by tensor."""

    pytestmark = trains

    @pytest.mark.parametrize("family", ["rtdetr", "yolo"])
    @pytest.mark.parametrize(
        ("case", "kind", "taken", "anew"),
        [
            ("fewer", "remapped", ["Cross ", "disc"], ["ring"]),
            ("same number", "remapped", ["cross", "disc"], ["ring", "star"]),
            ("order", "remapped", ["cross", "triangle", "box", "disc"], []),
            ("strangers", "anew", [], ["ring", "star"]),
            ("strangers, same number", "anew", [], ["ring", "star", "moon", "sun"]),
            ("same", "transferred", BUSY, []),
        ],
    )
    def test_rows_go_by_name_and_the_rest_starts_anew(
        self, transfers: Any, family: str, case: str, kind: str, taken: list[str], anew: list[str]
    ) -> None:
        found = transfers[family][case]
        told = found["summary"]
        assert found["kept"] and not found["strange"] and found["body"]
        assert {found["kinds"][name] for name in found["heads"]} == {kind}
        assert (told["classes"]["taken"], told["classes"]["anew"]) == (taken, anew)
        counts = [told["tensors"][one] for one in ("transferred", "remapped", "in_part", "anew")]
        assert told["tensors"]["of"] == found["listed"] == sum(counts)
        assert told["parameters"]["of"] == found["parameters"]
        assert told["reshaped"] == 0

    def test_every_class_head_of_rtdetr_is_one(self, transfers: Any) -> None:
        """Two layers of the decoder, the encoder's head, the embedding of the denoising queries."""
        heads = {name.split(".", 2)[2] for name in transfers["rtdetr"]["fewer"]["heads"]}
        kinds = ("enc_score_head", "dec_score_head.0", "dec_score_head.1")
        assert heads == {"denoising_class_embed.weight", *(f"{k}.{what}" for k in kinds for what in ("weight", "bias"))}
        assert transfers["rtdetr"]["fewer"]["remapped"]["rows"] == [0, 2]
        assert transfers["rtdetr"]["fewer"]["remapped"]["from_rows"] == [3, 0]
        assert set(transfers["rtdetr"]["strangers"]["summary"]["anew"]) == {
            "head.enc_score_head", "head.dec_score_head", "head.denoising_class_embed"}  # fmt: skip

    def test_a_class_branch_as_wide_as_the_weights_is_said(self, transfers: Any) -> None:
        wide = transfers["wide"]
        assert wide["kept"] and wide["summary"]["reshaped"] > 0
        assert wide["parameters"] > transfers["yolo"]["strangers"]["parameters"]

    def test_weights_of_another_model_are_refused(self, transfers: Any) -> None:
        assert "0 of 515 tensors fit" in transfers["refused"]


def section(**changes: Any) -> dict[str, Any]:
    """The configuration of a stage, tiny; `changes` are fields of `train` and `augment`."""
    train = {"batch": 4, "imgsz": 64, "nbs": 4, "optimizer": "AdamW", "momentum": 0.9, "workers": 0, "val": False,
             "warmup_epochs": 0.0, "close_mosaic": 0}  # fmt: skip
    augment = {"mosaic": 0.0}
    for name, value in changes.items():
        (train if name in ("lr0", "warmup_epochs", "close_mosaic", "epochs") else augment)[name] = value
    asked = {"model": {"name": "yolo12n"}, "train": train, "augment": augment}
    return UltralyticsConfig.model_validate(asked).model_dump(mode="json")


def scenes(cache: Path, classes: list[str], images: int, seed: int = 0) -> dict[str, Any]:
    """Prepared scenes, as a spec names them."""
    selection = {"name": "scenes", "options": {"size": 96, "classes": classes, "seed": seed},
                 "train": {"split": "train", "images": images}, "val": {"split": "val", "images": 4}}  # fmt: skip
    prepared = prepare(selection, Configuration.load(), cache, yolo=True)
    return {**prepared.info, "prepared": str(prepared.path)}


def curriculum(folder: Path) -> RunSpec:
    """Other classes, other scenes of the same classes, the run's data with everything, the same with little."""
    run, simple, alike = (scenes(folder / ".data", *of) for of in ((BUSY, 16), (PLAIN, 12), (BUSY, 8, 1)))
    stages = (
        ("simple", 2, section(epochs=2, lr0=0.004, warmup_epochs=1.0, fliplr=0.0, hsv_h=0.0, scale=0.0), simple),
        ("alike", 1, section(epochs=1, lr0=0.002), alike),
        ("full", 3, section(epochs=3, lr0=0.001, mosaic=1.0, mixup=0.3, close_mosaic=1, flipud=0.25), None),
        ("light", 2, section(epochs=2, lr0=0.0002, fliplr=0.2, scale=0.1), None),
    )
    made = tuple(StageSpec(name=name, epochs=epochs, config=config, data=data) for name, epochs, config, data in stages)
    return replace(spec_of(), data=run, stages=made, config=made[-1].config, milestones=(1, 3, 4, 8))


def start(folder: Path) -> RunDir:
    run = RunDir.create(folder / "logs/e/runs/only-s0", curriculum(folder))
    launch(run)
    return run


def finish(run: RunDir, state: str = "finished") -> RunDir:
    deadline = time.monotonic() + 300
    while not status(run).state.terminal:
        assert time.monotonic() < deadline, f"still {status(run).state}"
        time.sleep(0.1)
    latest = run.latest()
    assert latest is not None
    assert status(run).state.word == state, latest.console_path.read_text()[-3000:]
    return run


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    run = finish(start(tmp_path_factory.mktemp("staged")))
    assert evaluate_run(run) == 3
    return run


def stages(run: RunDir, attempt: int = 1) -> dict[str, Any]:
    return {line["stage"]: line for line in read_lines(run.attempt(attempt).metrics_path) if line["kind"] == "stage"}


def notes(run: RunDir, stage: str, attempt: int = 1) -> list[dict[str, Any]]:
    return read_lines(run.attempt(attempt).path / "ultralytics" / stage / "notes.jsonl")


class TestStages:
    """A training of four stages, looked at from beside."""

    pytestmark = trains

    def test_each_stage_trains_and_is_validated_on_its_own_data(self, staged: RunDir) -> None:
        told = stages(staged)
        assert {name: len(notes(staged, name)) for name in told} == {"simple": 6, "alike": 2, "full": 12, "light": 8}
        assert [notes(staged, name)[0]["images"] for name in told] == [12, 8, 16, 16]
        assert [told[name]["data"]["judged"] for name in told] == ["not", "beside", "own", "own"]
        assert [told[name]["data"]["classes"] for name in told] == [3, 4, 4, 4]
        assert len({told[name]["data"]["fingerprint"] for name in told}) == 3
        assert [told[name]["steps_per_epoch"] for name in told] == [3, 2, 4, 4]
        assert read_lines(staged.attempt(1).metrics_path)[0]["steps_per_epoch"] is None
        assert [told[name]["step"] for name in told] == [0, 6, 8, 20]
        folders = [Path(notes(staged, name)[0]["val"]).parent.resolve().parents[2] for name in told]
        assert folders[2:] == [Path((staged.spec().data or {})["prepared"]).resolve()] * 2 and len(set(folders)) == 3

    def test_a_stage_starts_from_the_last_weights_of_the_one_before(self, staged: RunDir) -> None:
        found = said("staged.py", staged.path)
        told = stages(staged)
        assert told["simple"]["transfer"] is None
        for name, one in found.items():
            kinds = one["kinds"]
            assert all(same for same, _ in kinds.values()), name
            assert {kind: count for kind, (_, count) in kinds.items()} == {
                kind: count for kind, count in told[name]["transfer"]["tensors"].items() if kind != "of" and count
            }
            assert one["full_precision"] and one["ema"] and one["ema_updates"] == one["moments"] == 0
        assert found["alike"]["kinds"] == {"transferred": [True, 685], "remapped": [True, 6]}
        assert found["alike"]["names"] == [PLAIN, BUSY]
        source = {"kind": "stage", "weights": "EMA", "stage": "simple", "epoch": 2, "file": "s0-e0002.pt"}
        assert told["alike"]["transfer"]["source"] == source
        assert told["alike"]["transfer"]["classes"] == {
            "taken": ["disc", "box"], "anew": ["triangle", "cross"], "left_behind": ["ring"]}  # fmt: skip
        for name in ("full", "light"):
            assert found[name]["kinds"] == {"transferred": [True, 691]}

    def test_what_each_border_switches_is_read_from_the_trainer(self, staged: RunDir) -> None:
        told = stages(staged)
        first = {name: line["first_step"] for name, line in told.items()}
        assert [first[name]["augment"]["mosaic"] for name in first] == [0.0, 0.0, 1.0, 0.0]
        assert [first[name]["augment"]["mixup"] for name in first] == [0.0, 0.0, 0.3, 0.0]
        assert [first[name]["augment"]["fliplr"] for name in first] == [0.0, 0.5, 0.5, 0.2]
        assert [first[name]["augment"]["flipud"] for name in first] == [0.0, 0.0, 0.25, 0.0]
        assert [first[name]["augment"]["scale"] for name in first] == [0.0, 0.5, 0.5, 0.1]
        assert [first[name]["augment"]["hsv_h"] for name in first] == [0.0, 0.015, 0.015, 0.015]
        assert [first[name]["warmup_steps"] for name in first] == [3, 0, 0, 0]
        assert [first[name]["mosaic_epochs"] for name in first] == [2, 1, 2, 2]
        assert [max(first[name]["lr"].values()) for name in first] == [0.0, 0.002, 0.001, 0.0002]
        for name in first:
            seen = notes(staged, name)
            assert seen[0]["mixing"]["Mosaic"] == first[name]["augment"]["mosaic"]
            assert seen[0]["mixing"]["MixUp"] == first[name]["augment"]["mixup"]
            assert set(seen[0]["rates"]) == set(first[name]["lr"].values())
        # The warm-up ends where the schedule is by then: half of the stage's epochs are over.
        assert notes(staged, "simple")[3]["rates"] == pytest.approx([0.004 * (0.5 * 0.99 + 0.01)])
        # Ultralytics' arguments go on saying 1.0 after mosaic has ended.
        assert [one["mixing"]["Mosaic"] for one in notes(staged, "full")] == [1.0] * 8 + [0.0] * 4
        assert {one["asked_mosaic"] for one in notes(staged, "full")} == {1.0}

    def test_milestones_are_judged_on_the_runs_data_or_not_at_all(self, staged: RunDir, tmp_path: Path) -> None:
        history = load_history(staged)
        assert [line["epoch"] for line in history.evaluations] == [3, 4, 8] and len(history.epochs) == 8
        assert [line.get("candidate", True) for line in history.evaluations] == [False, True, True]
        assert all(line["images"] == 4 for line in history.evaluations)
        best = chosen(history, {"rule": "best", "metric": "val/AP"})
        assert best is not None and best["epoch"] in (4, 8)
        truth = json.loads((Path((staged.spec().data or {})["prepared"]) / "val.json").read_text())
        beside = json.loads((staged.attempt(1).predictions / "val-epoch-0003.json").read_text())
        assert {one["image_id"] for one in beside} <= {one["id"] for one in truth["images"]}
        # The pass beside the training finds what `detui evaluate` finds with that epoch's checkpoint.
        path, _ = find_checkpoint(staged, "3")
        predict(staged, path, "val", tmp_path / "again.json")
        again = json.loads((tmp_path / "again.json").read_text())
        assert len(again) == len(beside) > 20
        assert [one["score"] for one in again] == pytest.approx([one["score"] for one in beside], abs=1e-4)

    def test_a_stop_in_a_stage_goes_on_in_it(self, staged: RunDir, tmp_path: Path) -> None:
        run, stage, step = start(tmp_path), "full", 14
        _terminate(run, step)
        finish(run, "stopped")
        resume(run)
        finish(run)
        resumed = read_lines(run.attempt(2).metrics_path)
        told = stages(run, 2)
        assert list(told) == ["full", "light"]
        first, whole = told[stage], stages(staged)[stage]
        assert "transfer" not in first and first["data"] == whole["data"]
        assert first["first_step"]["augment"] == whole["first_step"]["augment"]
        last = [line for line in read_lines(run.attempt(1).metrics_path) if line["kind"] == "checkpoint"][-1]
        assert resumed[0]["resumed_from_step"] == last["step"] < step + 4 and resumed[0]["resumed"]["anew"] == []
        assert notes(run, stage, 2)[0]["images"] == notes(staged, stage)[0]["images"]
        expected, got = load_history(staged), load_history(run)
        for name in ("train/loss_box", "train/loss_cls", "lr/all"):
            assert [list(one) for one in got.series(name)] == [list(one) for one in expected.series(name)], name
        assert [line["stage"] for line in got.stages] == [line["stage"] for line in expected.stages]
        assert all("transfer" in line for line in got.stages)


def _terminate(run: RunDir, step: int) -> None:
    """SIGTERM to the worker, as soon as it has reported a step."""
    path, deadline = run.attempt(1).metrics_path, time.monotonic() + 200
    while not path.exists() or not any(line.get("step", 0) >= step for line in read_lines(path)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(int((run.attempt(1).worker() or {})["pid"]), signal.SIGTERM)
