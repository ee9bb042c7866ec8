"""Event files hold what the runs measured, by TensorBoard's own reader, also of runs that are resumed or go on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from toy_runs import MakeRun, leases, make_run, steps_made, until  # noqa: F401
from tuned import Tuned

from detui.engine.errors import MissingError, UsageError
from detui.engine.process.launch import launch
from detui.engine.record.tensorboard import Events, export_events
from detui.engine.run.directory import RunDir
from detui.engine.run.files import read_json, write_json
from detui.engine.run.history import load_history
from detui.engine.run.lines import LineWriter, read_lines

pytest.importorskip("tensorboardX", reason="needs the extra `tensorboard`")
pytest.importorskip("tensorboard", reason="needs TensorBoard's own reader of event files")

DETUI = Path(sys.executable).with_name("detui")
Curves = dict[str, list[tuple[int, float]]]


def read(folder: Path):
    """What TensorBoard would know of a run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    found.Reload()
    return found


def curves(folder: Path) -> Curves:
    found = read(folder)
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def as_float(value: float) -> float:
    """A number as an event file keeps it: in 32 bits."""
    import numpy as np

    return float(np.float32(value))


def measured(run: RunDir) -> Curves:
    """The same, from the run's history and telemetry."""
    history = load_history(run)
    series = {name: history.series(name) for name in history.names()}
    steps = {line["epoch"]: line["step"] for line in (*history.epochs, *history.evaluations)}
    for name in history.epoch_names():
        epochs, values = history.epoch_series(name)
        if epochs:
            series[f"epoch/{name}" if name in series else name] = ([steps[epoch] for epoch in epochs], values)
    samples = [line for attempt in run.attempts() for line in read_lines(attempt.telemetry_path)]
    for key in ("cpu_percent", "rss"):
        if samples and key in samples[0]:
            series[f"host/{key}"] = (list(range(1, len(samples) + 1)), [line[key] for line in samples])
    return {name: [(step, as_float(value)) for step, value in zip(*pair, strict=True)] for name, pair in series.items()}


def test_every_number_of_every_run_is_there_and_no_other(finished, tmp_path: Path) -> None:
    folders = export_events(finished.path, tmp_path)
    assert folders == [tmp_path / name for name in finished.runs]
    for run in finished.runs.values():
        found = curves(tmp_path / run.name)
        assert found == measured(run)
        assert {"train/loss_box", "epoch/train/loss_box", "train/loss_cls", "val/AP", "val/AP/box|with pipe",
                "ultralytics/mAP50-95", "memory/reserved", "host/rss"} <= set(found)  # fmt: skip


def test_times_are_those_of_the_run(finished, tmp_path: Path) -> None:
    export_events(finished.path, tmp_path)
    run = finished.runs["baseline-s0"]
    at = next(line["at"] for line in read_lines(run.events_path) if line["state"] == "starting")
    began = datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp()
    found = read(tmp_path / run.name)
    assert [e.wall_time - began for e in found.Scalars("train/loss_box")] == pytest.approx(
        [3.0 * epoch for epoch in range(1, 31)], abs=1e-3
    )
    assert found.Scalars("val/AP")[0].wall_time - began == pytest.approx(30.0, abs=1e-3)
    assert found.Scalars("host/rss")[4].wall_time - began == pytest.approx(4.0, abs=1e-3)


def test_the_configuration_is_a_text_that_says_what_it_is_and_hides_secrets(finished, tmp_path: Path) -> None:
    copy = shutil.copytree(finished.path, tmp_path / finished.path.name)
    spec = copy / "runs" / "baseline-s0" / "spec.json"
    write_json(spec, read_json(spec) | {"config": {"train": {"batch": 16}, "api_key": "abc123"}})
    export_events(copy, tmp_path / "tb")
    found = read(tmp_path / "tb" / "baseline-s0")
    text = found.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "arm baseline, seed 0" in text and "quick run: not a result" in text
    assert '"batch": 16' in text and "abc123" not in text
    assert "lr0" in found.Tensors("used/attempt-1/text_summary")[0].tensor_proto.string_val[0].decode()


def test_a_resumed_run_is_one_curve_in_which_the_later_attempt_counts(trial, tmp_path: Path) -> None:
    name = "baseline-s0"
    trial.train(name, 20, ended="stopped")
    with Events(trial.path, tmp_path / "live") as events:
        events.update()  # what the first attempt measured beyond epoch 10 is in the file when the second begins
        assert len(curves(tmp_path / "live" / name)["train/loss_box"]) == 20
        trial.train(name, 30, number=2, after=10)
        assert events.update() and not events.update()
    export_events(trial.path, tmp_path / "after")
    expected = measured(trial.runs[name])
    assert [step for step, _ in expected["train/loss_box"]] == [6 * epoch for epoch in range(1, 31)]
    assert len(expected["host/rss"]) == 50
    assert curves(tmp_path / "live" / name) == expected
    assert curves(tmp_path / "after" / name) == expected


def test_numbers_that_are_none_stay_so(trial, tmp_path: Path) -> None:
    trial.train("baseline-s0", 10, evaluate=False)
    writer = LineWriter(trial.runs["baseline-s0"].attempt(1).metrics_path)
    writer.write({"kind": "step", "t": 99.0, "step": 61, "epoch": 11, "values": {"train/nan": float("nan")}})
    writer.write({"kind": "statistic", "t": 99.0, "step": 61, "values": {"router/融合 {a}": 0.25, "router/none": None}})
    writer.close()
    export_events(trial.path, tmp_path)
    found = curves(tmp_path / "baseline-s0")
    ((step, value),) = found["train/nan"]
    assert step == 61 and value != value
    assert found["router/融合 {a}"] == [(61, 0.25)] and "router/none" not in found


def test_gpus_go_by_their_index(trial, tmp_path: Path) -> None:
    trial.train("baseline-s0", 10, evaluate=False)
    writer = LineWriter(trial.runs["baseline-s0"].attempt(1).telemetry_path)
    writer.write({"t": 99.0, "gpus": [{"uuid": "GPU-1", "index": 3, "name": "A100", "utilization": 97, "power": None}]})
    writer.write({"kind": "alarm", "t": 99.5, "name": "x", "text": "y"})
    writer.close()
    export_events(trial.path, tmp_path)
    found = curves(tmp_path / "baseline-s0")
    assert found["gpu3/utilization"] == [(11, 97.0)]
    assert not [tag for tag in found if tag.startswith("gpu3/") and tag != "gpu3/utilization"]


def test_exported_again_the_new_files_take_the_place_of_the_old(finished, tmp_path: Path) -> None:
    export_events(finished.path, tmp_path)
    export_events(finished.path, tmp_path)
    assert len(list((tmp_path / "baseline-s0").iterdir())) == 1
    assert curves(tmp_path / "baseline-s0") == measured(finished.runs["baseline-s0"])


def test_event_files_of_others_are_left_alone(finished, tmp_path: Path) -> None:
    export_events(finished.path, tmp_path)
    theirs = tmp_path / "no-mosaic-s1" / "events.out.tfevents.1700000000.box"
    theirs.write_bytes(b"theirs")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match="mixed") as caught:
        export_events(finished.path, tmp_path)
    assert "--force" in str(caught.value) and sorted(tmp_path.rglob("*")) == before
    export_events(finished.path, tmp_path, force=True)
    assert theirs.read_bytes() == b"theirs"


def test_without_the_package_it_says_what_to_install(finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingError, match="tensorboardX") as caught:
        export_events(finished.path, tmp_path)
    assert "detui[tensorboard]" in str(caught.value) and not list(tmp_path.iterdir())


@pytest.fixture
def live(make_run: MakeRun) -> Iterator[RunDir]:  # noqa: F811
    """A toy run of a minute in an experiment of its own, which trains already."""
    run = make_run({"steps": 3000, "seconds": 0.02})
    facts = {"id": "toy", "recipe": "toy/parabola", "arms": [{"name": "baseline"}], "seeds": [0], "profile": "quick",
             "runs": [run.name], "checkpoint_rule": {"rule": "last"}}  # fmt: skip
    write_json(run.experiment_dir / "experiment.json", facts)
    launch(run)
    until(lambda: steps_made(run) > 5)
    return run


def test_a_run_is_followed_to_its_end(live: RunDir, tmp_path: Path) -> None:
    command = [str(DETUI), "record", "export", str(live.experiment_dir), "--format", "tensorboard", "--follow"]
    process = subprocess.Popen([*command, "--to", str(tmp_path / "tb")], stdout=subprocess.PIPE, text=True)
    folder = tmp_path / "tb" / live.name
    seen = until(lambda: list(folder.glob("*")) and len(curves(folder).get("train/loss_toy", ())))
    until(lambda: len(curves(folder)["train/loss_toy"]) > seen + 20)
    assert process.poll() is None
    write_json(live.control_dir / "stop", {})
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0 and out.strip() == str(folder)
    found = curves(folder)
    assert {tag: found[tag] for tag in measured(live)} == measured(live)
    assert [step for step, _ in found["train/loss_toy"]] == list(range(1, steps_made(live) + 1))


def test_interrupted_it_ends_with_130_and_whole_files(live: RunDir, tmp_path: Path) -> None:
    command = [str(DETUI), "record", "export", str(live.experiment_dir), "--format", "tensorboard", "--follow"]
    process = subprocess.Popen([*command, "--to", str(tmp_path / "tb")], stderr=subprocess.PIPE, text=True)
    folder = tmp_path / "tb" / live.name
    until(lambda: list(folder.glob("*")) and curves(folder))
    os.kill(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in told
    steps = [step for step, _ in curves(folder)["train/loss_toy"]]
    assert steps == list(range(1, len(steps) + 1))


def test_training_and_validation_of_a_fine_tuning_stand_apart(tmp_path: Path) -> None:
    """Training losses, the framework's validation losses, AP of boxes and masks, rates by part: a group each."""
    trial = Tuned(tmp_path, seeds=(0,))
    trial.train("coco-s0", 3)
    export_events(trial.path, tmp_path / "tb")
    found = curves(tmp_path / "tb" / "coco-s0")
    assert found == measured(trial.runs["coco-s0"])
    groups: dict[str, set[str]] = {}
    for tag in found:
        groups.setdefault(tag.split("/")[0], set()).add(tag)
    terms = ("rpn_cls", "rpn_bbox", "cls", "bbox", "mask")
    assert groups["train"] == {"train/loss", "train/acc", *(f"train/loss_{term}" for term in terms)}
    assert groups["mmdet"] == {"mmdet/val_loss", *(f"mmdet/val_loss_{term}" for term in terms)}
    assert {"val/AP", "val/AP50", "val/mask_AP", "val/mask_AP50", "val/mask_AP/disc"} <= groups["val"]
    assert groups["lr"] == {"lr/backbone", "lr/neck", "lr/head"}
    assert (
        [step for step, _ in found["mmdet/val_loss"]] == [10, 20, 30] == [step for step, _ in found["epoch/train/loss"]]
    )
    assert [step for step, _ in found["lr/neck"]] == list(range(1, 31))
