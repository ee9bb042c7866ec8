"""Whole trainings of the fusion detector on small frames, through its training half, a real reporter and real files."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_frames import tiny_frame

from detui.engine.backends.torch.plan import TorchBackend
from detui.engine.backends.torch.schema import TorchConfig
from detui.engine.backends.torch.train import TorchTrainer
from detui.engine.data.frame_files import FILE, write_frame
from detui.engine.data.frame_truth import write_truth
from detui.engine.errors import MissingError, RunError
from detui.engine.evaluate import evaluate_file
from detui.engine.run.directory import AttemptDir
from detui.engine.run.lines import read_lines
from detui.engine.run.spec import DeviceRequest, RunSpec, StageSpec
from detui.engine.worker.reporter import Reporter
from detui.engine.worker.stop import StopRequested

pytestmark = pytest.mark.slow

MODEL = {"channels": 16, "bev_grid": 10, "ray_points": 4, "queries": 12, "denoising_groups": 2, "layers": 2,
         "heads": 2, "hidden": 32, "space": [-20.0, -20.0, -3.0, 20.0, 20.0, 2.0]}  # fmt: skip
TRAIN = {"epochs": 2, "batch": 2, "lr": 1e-3, "warmup_steps": 1, "image_scale": 0.5, "statistics_every": 2}


class StopsAfter(Reporter):
    """A reporter whose run is asked to stop after a step."""

    after: int | None = None

    def step(self, step: int, *rest: Any, **more: Any) -> None:
        super().step(step, *rest, **more)
        if step == self.after:
            self._stop.requested = True


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Four frames to train on, of which two are also validated."""
    root = tmp_path_factory.mktemp("frames")
    folders = [root / str(index) for index in range(4)]
    for index, folder in enumerate(folders):
        write_frame(tiny_frame(index), folder)
    return {"format": "frames", "splits": {"train": list(map(str, folders)), "val": list(map(str, folders[:2]))}}


def spec_of(data: dict[str, Any], aqr: dict[str, Any], stages: int = 1, **train: Any) -> RunSpec:
    config = TorchConfig.model_validate({"model": {**MODEL, "aqr": aqr}, "train": {**TRAIN, **train}}).model_dump()
    epochs = config["train"]["epochs"]
    return RunSpec(
        experiment="e", recipe="aqr/test", arm="a", seed=0, profile="quick", backend="torch",
        trainer=TorchBackend.trainer, python=sys.executable, threads=1, config=config, data=data,
        device=DeviceRequest(kind="cpu", count=1, candidates=("cpu:0",)), milestones=(epochs,),
        stages=tuple(StageSpec(name=f"part{index}", epochs=epochs, config=config) for index in range(stages)),
        checkpoint_rule={"rule": "last", "metric": "val/AP"},
    )  # fmt: skip


def attempt(
    folder: Path, number: int = 1, resume: dict[str, Any] | None = None, after: int | None = None
) -> StopsAfter:
    path = folder / "attempts" / str(number)
    for inner in ("checkpoints", "predictions"):
        (path / inner).mkdir(parents=True)
    report = StopsAfter(AttemptDir(path), resume=resume)
    report.after = after
    return report


def lines(report: Reporter, kind: str) -> list[dict[str, Any]]:
    return [line for line in read_lines(report.attempt.metrics_path) if line["kind"] == kind]


def resume_of(report: Reporter) -> dict[str, Any]:
    last = lines(report, "checkpoint")[-1]
    path = str(report.attempt.path / last["path"])
    counts = {key: last[key] for key in ("step", "epoch", "stage")}
    return {"attempt": report.attempt.number, "checkpoint": path, **counts}


def test_a_training_reports_what_it_used_what_aqr_did_and_what_it_found(tmp_path: Path, data: dict[str, Any]) -> None:
    spec = spec_of(data, {"max_weight_clamp": 2.0, "residual_weight": 0.7, "balance": {"ratio": 1.1}})
    report = attempt(tmp_path)
    TorchTrainer().train(spec, report)
    begin = lines(report, "begin")[0]
    assert begin["model"]["aqr_gain"] == pytest.approx([0.7, 1.3]) and begin["steps_per_epoch"] == 2
    assert begin["asked"] == begin["used"] and begin["used"]["model.aqr.residual_weight"] == 0.7
    assert begin["arithmetic"]["device"] == "cpu" and begin["arithmetic"]["errors"]["matmul"] < 1e-4
    assert sum(begin["model"]["parameters_by_part"].values()) == begin["model"]["parameters"]
    steps = lines(report, "step")
    losses = {f"train/loss_{name}" for name in ("cls", "bbox", "dn_cls", "dn_bbox", "d0_cls", "aqr_balance")}
    assert losses | {"train/gradient_norm", "lr/backbone", "lr/head"} <= set(steps[0]["values"])
    assert [step["step"] for step in steps] == [1, 2, 3, 4]
    told = lines(report, "statistic")
    assert [line["step"] for line in told] == [1, 2, 4]
    assert all(line["values"]["aqr/gradient_norm"] > 0 for line in told)
    assert told[0]["values"]["aqr/gain_high"] == pytest.approx(1.3)
    assert lines(report, "alarm") == []
    dumped = lines(report, "evaluation")
    assert len(dumped) == 1 and dumped[0]["epoch"] == 2
    found = json.loads((report.attempt.path / dumped[0]["path"]).read_text())
    assert [one["token"] for one in found["frames"]] == ["tiny-0", "tiny-1"]
    assert found["frame"] == "lidar" and len(found["frames"][0]["boxes"][0]) == len(found["box"]) == 9
    again = tmp_path / "again.json"
    TorchTrainer().predict(spec, report.attempt.path / dumped[0]["checkpoint"], "val", again, "cpu")
    assert json.loads(again.read_text()) == found, "the kept weights are those that were evaluated"
    write_truth(tmp_path / "val.json", [json.loads((Path(one) / FILE).read_bytes()) for one in data["splits"]["val"]])
    result = evaluate_file(tmp_path / "val.json", again)
    assert (result.metric, result.images) == ("nuscenes", 2) and 0 < result.boxes <= 8
    assert 0 <= (result.values["mAP"] or 0) <= (result.values["mAP_ceiling"] or 0) < 1


def test_a_stopped_training_resumes_in_the_middle_of_an_epoch_of_its_second_stage(
    tmp_path: Path, data: dict[str, Any]
) -> None:
    spec = spec_of(data, {"clamp_from": 1.0}, stages=2)
    whole = attempt(tmp_path / "whole")
    TorchTrainer().train(spec, whole)
    first = attempt(tmp_path / "cut", after=5)
    with pytest.raises(StopRequested):
        TorchTrainer().train(spec, first)
    second = attempt(tmp_path / "cut", 2, resume_of(first))
    TorchTrainer().train(spec, second)
    assert lines(second, "begin")[0]["resumed"] == {"anew": []}
    told = {step["step"]: step["values"] for one in (first, second) for step in lines(one, "step")}
    assert told == {step["step"]: step["values"] for step in lines(whole, "step")} and len(told) == 8
    assert [(line["stage"], line["step"]) for line in lines(whole, "stage")] == [("part0", 0), ("part1", 4)]
    clamps = {line["step"]: line["values"]["aqr/clamp"] for line in lines(whole, "statistic")}
    assert clamps[1] == 1.0 and clamps[4] == 2.5 and clamps[8] == 2.5


def test_a_copy_of_a_milestone_is_a_place_to_go_on_from(tmp_path: Path, data: dict[str, Any]) -> None:
    """What a branch begins at: it is scored by its average, and trained on from everything else in it."""
    spec = replace(spec_of(data, {}, augment={}), milestones=(1, 2))
    whole, again = attempt(tmp_path / "whole"), tmp_path / "again.json"
    TorchTrainer().train(spec, whole)
    first = lines(whole, "evaluation")[0]
    kept = whole.attempt.path / first["checkpoint"]
    resume = {"attempt": 1, "checkpoint": str(kept), "step": first["step"], "epoch": 1, "stage": 0}
    second = attempt(tmp_path / "branch", resume=resume)
    TorchTrainer().train(spec, second)
    told = {step["step"]: step["values"] for step in lines(whole, "step")}
    assert {step["step"]: step["values"] for step in lines(second, "step")} == {3: told[3], 4: told[4]}
    assert [line["epoch"] for line in lines(second, "evaluation")] == [2], "the first is not judged again"
    TorchTrainer().predict(spec, kept, "val", again, "cpu")
    assert json.loads(again.read_text()) == json.loads((whole.attempt.path / first["path"]).read_text())


@pytest.mark.parametrize("stop_on", [True, False])
def test_a_loss_that_is_no_number_is_an_alarm_that_ends_the_run_where_a_recipe_says_so(
    tmp_path: Path, data: dict[str, Any], stop_on: bool
) -> None:
    spec, report = spec_of(data, {}, lr=1e30, warmup_steps=0, clip=0.0), attempt(tmp_path)
    if stop_on:
        report.stop_on = frozenset({"nan"})
        with pytest.raises(StopRequested):
            TorchTrainer().train(spec, report)
        assert str(report.stop_reason).startswith("stop_on: nan: train/loss_")
    else:
        TorchTrainer().train(spec, report)
    assert len(lines(report, "step")) == (2 if stop_on else 4)
    assert "nan" in {alarm["name"] for alarm in lines(report, "alarm")}


@pytest.mark.parametrize("aqr", [{"weights": "off"}, {"weights": "constant"}, {"mode": "additive", "kernel": "peak"}])
def test_the_controls_train_and_predict(tmp_path: Path, data: dict[str, Any], aqr: dict[str, Any]) -> None:
    report = attempt(tmp_path)
    TorchTrainer().train(spec_of(data, aqr, amp="bf16"), report)
    told = lines(report, "statistic")
    assert bool(told) == (aqr.get("weights") != "off")
    assert all("aqr/gradient_norm" not in line["values"] for line in told) or aqr.get("weights") is None
    assert lines(report, "alarm") == [] and len(lines(report, "evaluation")) == 1


def test_a_run_whose_aqr_cannot_learn_ends_before_it_is_recorded_as_one(tmp_path: Path, data: dict[str, Any]) -> None:
    """Every cell that a query reaches is clamped, and a hard clamp passes no gradient."""
    aqr = {"max_weight_clamp": 0.01, "min_weight": 0.01, "kernel": "peak", "sigma": 0.1}
    with pytest.raises(RunError, match="No gradient reaches the AQR weights"):
        TorchTrainer().train(spec_of(data, aqr), attempt(tmp_path))


def test_a_gain_out_of_bounds_is_an_alarm_of_the_run(tmp_path: Path) -> None:
    """What is applied is not what the settings say, as the original's form was not the one written down."""
    from detui.engine.backends.torch.build import build
    from detui.engine.backends.torch.fusion.inputs import collate
    from detui.engine.backends.torch.fusion.modulator import Modulator
    from detui.engine.backends.torch.fusion.task import FusionTask
    from detui.engine.backends.torch.loop import Moment

    section = TorchConfig.model_validate({"model": {**MODEL, "aqr": {"kernel": "peak"}}}).model_dump()["model"]
    model, report = build(section, 10), attempt(tmp_path)
    batch = collate([tiny_frame(0)], scale=0.5, crop_top=0.0, space=tuple(section["space"]))
    task, moments = FusionTask(report, 1), [Moment(1, 1, 0.0), Moment(2, 1, 1.0)]
    for moment in moments:
        task.losses(model, batch, moment)
        task.after_step(moment)
        assert len(lines(report, "alarm")) == moment.step - 1, "only where it is so"
        assert model.aqr is not None
        model.aqr.modulate = Modulator(0.3, "additive")
    (alarm,) = lines(report, "alarm")
    assert alarm["name"] == "aqr_gain" and "allow 0.6 to 1.6" in alarm["text"]


def test_weights_of_another_model_are_refused(tmp_path: Path, data: dict[str, Any]) -> None:
    torch.save({"format": 1, "model": {"other": torch.zeros(1)}, "average": None}, tmp_path / "other.pt")
    spec = spec_of(data, {})
    with pytest.raises(RunError, match="another model's"):
        TorchTrainer().predict(spec, tmp_path / "other.pt", "val", tmp_path / "out.json", "cpu")


def test_a_backbone_of_timm_trains(tmp_path: Path, data: dict[str, Any]) -> None:
    if importlib.util.find_spec("timm") is None:
        pytest.skip("needs timm, of the extra `ultralytics`")
    from detui.engine.backends.torch.fusion.cameras import CameraEncoder

    encoder = CameraEncoder(16, "resnet18")
    assert encoder(torch.zeros(1, 2, 3, 32, 64)).shape == (1, 2, 16, 2, 4)
    with pytest.raises(RunError, match="timm has no backbone 'resnet1000'"):
        CameraEncoder(16, "resnet1000")
    torch.save(encoder.backbone.net.state_dict(), tmp_path / "r18.pth")
    told = CameraEncoder(16, "resnet18").backbone.load(tmp_path / "r18.pth")
    assert told["left_out"] == [] and told["loaded"] > 50 and len(told["sha256"]) == 64
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(RunError, match="lacks .* tensors of the backbone: conv1.weight"):
        encoder.backbone.load(tmp_path / "other.pth")
    with pytest.raises(MissingError, match=r"take model\.camera\.weights out"):
        encoder.backbone.load(tmp_path / "absent.pth")


def test_prepared_frames_are_trained_on(tmp_path: Path) -> None:
    """What `prepare` says of generated frames is what a run opens: their classes, their earlier sweep, their list."""
    from detui.engine.configuration import Configuration
    from detui.engine.data import prepare

    options = {"size": [64, 48], "rings": 12, "columns": 120, "reach": 18}
    wanted = {"name": "fusion-scenes", "train": {"images": 4}, "val": {"images": 2}, "options": options}
    prepared = prepare(wanted, Configuration.load(environ={"HOME": str(tmp_path)}), tmp_path / "cache", yolo=False)
    report = attempt(tmp_path / "run")
    TorchTrainer().train(spec_of({**prepared.info, "prepared": str(prepared.path)}, {}, epochs=1), report)
    (dumped,) = lines(report, "evaluation")
    found = json.loads((report.attempt.path / dumped["path"]).read_text())
    assert [one["token"] for one in found["frames"]] == ["val-000000", "val-000001"]
    assert found["classes"] == prepared.info["classes"] == ["car", "truck", "pedestrian", "traffic_cone"]
    assert lines(report, "alarm") == []


def test_a_device_that_computes_wrongly_trains_nothing(
    tmp_path: Path, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch.nn import functional

    right = functional.conv2d
    monkeypatch.setattr(functional, "conv2d", lambda *given, **more: right(*given, **more) * 1.01)
    report = attempt(tmp_path)
    with pytest.raises(RunError, match=r"convolution \(relative error 0\.01\)"):
        TorchTrainer().train(spec_of(data, {}), report)
    assert lines(report, "begin")[0]["arithmetic"]["wrong"][0] == "convolution" and lines(report, "step") == []
