"""What other tools left becomes finished runs: labelled, compared, recorded, and with nothing made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from left_files import LOG, SECOND, ultralytics, work_directory, written

from detui.engine.branch import branch
from detui.engine.comparison import compare_sides, sides
from detui.engine.errors import DetuiError, FormatError, MissingError, RecipeError, RunError, UsageError
from detui.engine.experiment import Experiment
from detui.engine.importing import import_arms
from detui.engine.process.control import settled
from detui.engine.record.fill import fill
from detui.engine.record.gather import gather
from detui.engine.run.history import load_history
from detui.engine.run.state import read_state


def one(experiment: Experiment, place: int = 0) -> Any:
    return gather(experiment.path).runs[place]


def test_a_work_directory_with_two_starts(hostile_path: Path) -> None:
    experiment = import_arms(hostile_path / "logs", [("cmt", [work_directory(hostile_path / "work")])])
    (run,) = experiment.runs()
    assert run.name == "cmt-s7", "the seed that the log states"
    found, history = one(experiment), load_history(run)
    assert found.state == "finished" and "reaches the last of 2 epochs" in found.reason
    assert history.series("train/loss") == ([5, 10, 15, 20], [2.0, 1.0, 0.75, 0.5])
    assert [line["attempt"] for line in history.evaluations] == [1, 2]
    assert found.chosen["values"] == {"mmdet/bbox_mAP": 0.375, "mmdet/bbox_mAP_50": None}
    assert found.chosen["imported"] is True and found.chosen["framework"] == "mmdet"
    assert history.begins[2]["resumed_from_step"] == 10
    assert {line["epoch"]: Path(line["path"]).name for line in history.checkpoints} == {
        1: "epoch_1.pth", 2: "epoch_2.pth"
    }  # fmt: skip
    assert history.evaluations[0]["t"] == 30.5
    arm = experiment.facts()["arms"][0]
    assert arm["config"] == {"model": {"head": {"clamp": 2.5, "on": True}}, "big": [1, [2]]}
    origin = run.imported() or {}
    assert [Path(one["path"]).name for one in origin["weights"]] == ["epoch_1.pth", "epoch_2.pth"]
    assert all(len(one["sha256"]) == 64 for one in origin["files"])
    assert origin["clock"]["zone"] is None


@pytest.mark.parametrize(("patience", "state"), [(2, "finished"), (1, "lost")])
def test_early_stopping_is_an_end(tmp_path: Path, patience: int, state: str) -> None:
    folder = ultralytics(tmp_path / "train", epochs=100)
    with (folder / "args.yaml").open("a") as args:
        args.write(f"patience: {patience}\n")
    text = (folder / "results.csv").read_text().replace(",0.2,0.1,", ",0.05,0.02,").replace(",0.3,0.15,", ",0.05,0.02,")
    written(folder / "results.csv", text)
    assert one(import_arms(tmp_path / "logs", [("a", [folder])])).state == state


def test_rows_of_mmengine_in_their_work_directory(tmp_path: Path) -> None:
    rows = [
        {"lr": 0.1, "loss": 2.0, "epoch": 1, "iter": 10, "step": 10},
        {"coco/bbox_mAP": 0.25, "coco/bbox_mAP_50": 0.5, "step": 1},
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    written(tmp_path / "work" / "20251013_120000" / "vis_data" / "scalars.json", text)
    written(tmp_path / "work" / "20251013_120000" / "vis_data" / "config.py", "train_cfg = dict(max_epochs=3)")
    experiment = import_arms(tmp_path / "logs", [("a", [tmp_path / "work"])])
    found = one(experiment)
    assert found.state == "lost" and "ends in epoch 1 of 3" in found.reason, "nobody saw it end"
    assert found.chosen["headline"] == ["mmdet/bbox_mAP", "mmdet/bbox_mAP_50"]


def test_a_run_directory_of_ultralytics(hostile_path: Path) -> None:
    folder = ultralytics(hostile_path / "runs" / "train")
    stopped = ultralytics(hostile_path / "runs" / "train2", epochs=100)
    experiment = import_arms(hostile_path / "logs", [("a", [folder]), ("b", [stopped / "results.csv"])])
    finished, open_ = gather(experiment.path).runs
    assert (finished.name, finished.state, open_.state) == ("a-s3", "finished", "lost")
    assert "ends at epoch 3 of 100, and not where early stopping would" in open_.reason
    assert finished.losses["train/loss_box"] == ((1, 2, 3), (1.0, 0.5, 0.333))
    assert finished.chosen["values"]["ultralytics/mAP50-95"] == 0.15
    assert finished.chosen["values"]["ultralytics/val_box_loss"] == 1.0
    assert finished.begin["asked"]["args"]["model"] == "yolo12n-rgbd.yaml"
    assert experiment.facts()["differs"] == {"args.epochs": {"a": 3, "b": 100}}
    last = load_history(experiment.runs()[0]).checkpoints
    assert [(Path(line["path"]).name, line["epoch"]) for line in last] == [("last.pt", 3)]


@pytest.mark.slow
def test_the_record_says_imported_in_both_languages(tmp_path: Path) -> None:
    experiment = import_arms(tmp_path / "logs", [("a", [ultralytics(tmp_path / "train")])], title="old runs")
    english, chinese = (path.read_text() for path in fill(experiment.path))
    assert "**Imported:**" in english and "# old runs" in english and "mAP50-95 (ultralytics) | 15.00" in english
    assert "**导入**" in chinese and "Ultralytics 运行目录" in chinese and "有全部 3 轮" in chinese
    assert (experiment.path / "figures" / "ap.png").is_file() and "val/" not in english
    assert "not a result" not in english


def test_an_imported_run_does_not_go_on(tmp_path: Path) -> None:
    experiment = import_arms(tmp_path / "logs", [("a", [written(tmp_path / "a.log", LOG)])])
    (run,) = experiment.runs()
    assert read_state(run).word == "lost"
    with pytest.raises(RunError, match="was imported"):
        settled(run)
    with pytest.raises(RecipeError, match="was imported"):
        branch(experiment, run)


def test_what_is_stated_is_declared_and_what_is_not_known_is_said(tmp_path: Path) -> None:
    logs = [written(tmp_path / f"{name}.log", LOG + SECOND) for name in "ab"]
    experiment = import_arms(tmp_path / "logs", [("a", [logs[0]]), ("b", [logs[1]])], stated={"b": {"clamp": 2.5}})
    report = compare_sides(sides([(experiment, None)]), replicates=0)
    assert [(row.metric, row.seeds.delta) for row in report.rows] == [("mmdet/bbox_mAP", 0.0)]
    assert {(one.field, one.level) for one in report.findings} == {("clamp", "varies"), ("configuration", "note")}
    with pytest.raises(UsageError, match="no arm 'c'"):
        import_arms(tmp_path / "logs", [("a", [logs[0]])], stated={"c": {}})


def test_what_is_stated_lies_over_what_was_read_and_each_run_has_its_own(tmp_path: Path) -> None:
    folders = [work_directory(tmp_path / name) for name in "ab"]
    written(folders[1] / "cmt.py", "model = dict(head=dict(clamp=9, on=True))\nseed = None")
    log = folders[1] / "20251013_120000.log"
    log.write_text(log.read_text().replace("random seed to 7", "random seed to 8"))
    arms = [("cmt", [folder]) for folder in folders]
    stated = {"cmt": {"model": {"head": {"mode": "additive"}}}}
    experiment = import_arms(tmp_path / "logs", arms, stated=stated)
    head = {"clamp": 2.5, "on": True, "mode": "additive"}
    assert experiment.facts()["arms"][0]["config"] == {"model": {"head": head}, "big": [1, [2]]}
    first, second = (run.spec().config for run in experiment.runs())
    assert first["model"]["head"] == head
    assert second == {"model": {"head": {**head, "clamp": 9}}, "seed": None}
    record = fill(experiment.path)[0].read_text()
    assert "Within cmt, model.head.clamp differs" in record, "their mean is none of repetitions"
    assert "Within cmt, seed" not in record


def test_secrets_among_the_settings_are_kept_nowhere(tmp_path: Path) -> None:
    folder, other = ultralytics(tmp_path / "one"), ultralytics(tmp_path / "two")
    with (folder / "args.yaml").open("a") as args:
        args.write("api_key: hunter2\nproject: https://me:hunter2@host/x\n")
    experiment = import_arms(
        tmp_path / "logs", [("a", [folder]), ("b", [other])], stated={"b": {"hub_token": "hunter2"}}
    )
    fill(experiment.path)
    told = [path for path in experiment.path.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
    assert told == []


def test_several_trainings_of_an_arm(tmp_path: Path) -> None:
    unnamed = (LOG + SECOND).replace("Set random seed to 7", "no seed")
    logs = [written(tmp_path / f"{n}.log", unnamed) for n in range(3)]
    experiment = import_arms(tmp_path / "logs", [("a", [path]) for path in logs], best="mmdet/bbox_mAP")
    facts = gather(experiment.path)
    assert [run.name for run in facts.runs] == ["a-s0", "a-s1", "a-s2"] and facts.info["seeds"] == []
    assert facts.values("a", "mmdet/bbox_mAP") == {0: 0.375, 1: 0.375, 2: 0.375}
    same = [written(tmp_path / f"same{n}.log", LOG) for n in range(2)]
    with pytest.raises(UsageError, match="have the seed 7"):
        import_arms(tmp_path / "logs", [("a", [path]) for path in same])


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda folder: folder / "absent.log", MissingError, "no such file"),
        (lambda folder: written(folder / "talk.txt", "hello\n"), UsageError, "Nothing here is known"),
        (lambda folder: folder, UsageError, "Nothing here is known"),
        (lambda folder: written(folder / "results.csv", "time\n1\n"), FormatError, "no column `epoch`"),
        (lambda folder: written(folder / "results.csv", "epoch,a\n1,x\n"), FormatError, "results.csv:2"),
    ],
)
def test_what_cannot_be_read_is_refused_and_leaves_nothing(
    tmp_path: Path, make: Any, error: type[DetuiError], text: str
) -> None:
    (tmp_path / "left").mkdir()
    with pytest.raises(error, match=text) as caught:
        import_arms(tmp_path / "logs", [("a", [make(tmp_path / "left")])])
    assert str(tmp_path) in str(caught.value.where)
    assert not (tmp_path / "logs").exists()


def test_the_real_logs_give_the_corrected_table(shared_data: Path, tmp_path: Path) -> None:
    logs = shared_data / "aqr_logs"
    both = [logs / "aqr_2.5_0.6.log", logs / "aqr_blocks_2ranks.txt"]
    experiment = import_arms(tmp_path / "logs", [("no-aqr", [logs / "no_aqr.log"]), ("aqr-2.5-0.6", both)])
    facts = gather(experiment.path)
    assert [run.finished for run in facts.runs] == [True, True]
    scores = {arm: [facts.values(arm, f"mmdet3d/{name}")[0] for name in ("mAP", "NDS")] for arm in facts.arms}
    assert scores == {"no-aqr": [0.6575, 0.6908], "aqr-2.5-0.6": [0.6397, 0.6825]}
    rows = {row.metric: row for row in compare_sides(sides([(experiment, None)]), replicates=0).rows}
    assert rows["mmdet3d/mAP"].seeds.delta == pytest.approx(-0.0178, abs=1e-9)
    assert rows["mmdet3d/NDS"].seeds.delta == pytest.approx(-0.0083, abs=1e-9)
    assert rows["mmdet3d/NDS"].seeds.verdict == "inconclusive", "one training each"
    printed = {"car": 0.851, "truck": 0.602, "bus": 0.729, "trailer": 0.416, "construction_vehicle": 0.289,
               "pedestrian": 0.822, "motorcycle": 0.695, "bicycle": 0.594, "traffic_cone": 0.692,
               "barrier": 0.708}  # fmt: skip
    for name, value in printed.items():
        assert facts.values("aqr-2.5-0.6", f"mmdet3d/mAP/{name}")[0] == pytest.approx(value, abs=5.1e-4)
    record = fill(experiment.path)[0].read_text()
    for part in (
        "mAP -1.78, NDS -0.83",
        "| mAP (mmdet3d) | 65.75 | 63.97 | -1.78 |",
        "| NDS (mmdet3d) | 69.08 | 68.25 | -0.83 |",
        "| mATE (mmdet3d) | 0.3353 | 0.3373 | +0.0020 |",
        "| 50 | 10.0520 | 13.3535 |",
        "| 4000 | 9.9272 | 10.1168 |",
        "| train/loss_dn_bbox | 0.5091 | 0.5209 |",
        "| -0.0038 [-0.0041, -0.0036] | 35.41 [34.86, 35.96] |",
        "How the arms were configured is not known",
    ):
        assert part in record
    assert "val/" not in record and "1.6" not in record.split("## Results")[0]
