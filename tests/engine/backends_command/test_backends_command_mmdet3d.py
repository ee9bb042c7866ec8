"""A repository in the style of OpenMMLab: how it is started, what its logs become, how it goes on."""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import training_repository
from going_on import resume
from toy_runs import MakeRun, until
from watching_cases import Watched

from detui.engine.backends.base import CheckContext
from detui.engine.backends.command.mmdet3d import expanded
from detui.engine.backends.command.openmmlab import loss_name, text_line, validation
from detui.engine.backends.command.plan import CommandBackend, CommandConfig
from detui.engine.process.control import request, wait
from detui.engine.process.launch import launch
from detui.engine.run.history import load_history

MMCV = """
2025-10-13 12:10:28,291 - mmdet - INFO - workflow: [('train', 1)], max: 2 epochs
2025-10-13 12:10:28,291 - mmdet - INFO - Epoch [1][50/100]\tlr: 1.429e-06, eta: 1:15:26, time: 1.145, data_time: 0.168, memory: 2, loss_cls: 0.4, d0.dn_loss_bbox: 0.6, loss: 1.0, grad_norm: nan
2025-10-13 12:10:29,291 - mmdet - INFO - Epoch [1][100/100]\tlr: 1.0e-06, eta: 1:15:26, time: 1.0, loss_cls: 0.2, loss: nan, grad_norm: 5.5
2025-10-13 12:11:28,291 - mmdet - INFO - Epoch(val) [1][753]\tpts_bbox_NuScenes/car_AP_dist_0.5: 0.1, pts_bbox_NuScenes/car_AP_dist_1.0: 0.2, pts_bbox_NuScenes/car_AP_dist_2.0: 0.3, pts_bbox_NuScenes/car_AP_dist_4.0: 0.4, pts_bbox_NuScenes/barrier_vel_err: nan, pts_bbox_NuScenes/mATE: 0.33, pts_bbox_NuScenes/NDS: 0.69, pts_bbox_NuScenes/mAP: 0.65
2025-10-13 12:12:28,291 - mmdet - INFO - Epoch [2][50/100]\tlr: 1.0e-06, eta: 0:00:26, time: 1.0, loss_cls: 0.1, loss: 0.5, grad_norm: 4.5
"""  # noqa: E501 - the lines are as long in the logs


def config(**repository: Any) -> dict[str, Any]:
    given = {"repository": "/cmt", "config": "configs/cmt.py", **repository}
    return expanded(CommandConfig(mmdet3d=given).model_dump(mode="json"))


def test_a_text_log_of_mmcv(tmp_path: Path) -> None:
    found = Watched(tmp_path, watch="mmcv1").history(*MMCV.splitlines())
    assert found.series("train/loss_cls") == ([50, 100, 150], [0.4, 0.2, 0.1])
    assert found.series("train/loss_d0.dn_bbox") == ([50], [0.6])
    assert found.series("gradient/norm") == ([100, 150], [5.5, 4.5]), "nan is not available"
    assert found.series("memory/peak") == ([50], [2 * 2**20])
    epoch, last = found.epochs
    assert (epoch["epoch"], epoch["step"]) == (1, 100)
    assert (last["epoch"], last["values"]) == (2, {"train/loss_cls": 0.1, "train/loss": 0.5}), "it ended well"
    assert epoch["values"]["mmdet3d/NDS"] == 0.69 and epoch["values"]["mmdet3d/mATE"] == 0.33
    assert epoch["values"]["mmdet3d/mAP/car"] == pytest.approx(0.25)
    assert epoch["values"]["mmdet3d/vel_err/barrier"] is None
    assert epoch["values"]["train/loss_cls"] == pytest.approx(0.3)
    assert [line["name"] for line in found.alarms] == ["nan"], "of the loss alone"
    assert not any(name.startswith("val/") for name in found.epoch_names())


def test_rows_of_mmengine(tmp_path: Path) -> None:
    watched = Watched(tmp_path, watch={"format": "mmengine", "file": "work/*/vis_data/scalars.json"})
    watched.start()
    folder = watched.out / "work" / "20251013_121028" / "vis_data"
    folder.mkdir(parents=True)
    rows: list[dict[str, Any]] = [
        {"lr": 0.1, "loss": 2.0, "loss_cls": 1.5, "acc": 50.0, "epoch": 1, "iter": 10, "memory": 1, "step": 10},
        {"coco/bbox_mAP": 0.25, "coco/bbox_mAP_s": float("nan"), "data_time": 0.1, "time": 0.2, "step": 1},
        {"lr": 0.1, "loss": 1.0, "loss_cls": 0.5, "acc": 60.0, "epoch": 2, "iter": 20, "memory": 1, "step": 20},
    ]
    (folder / "scalars.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = watched.history()
    assert found.series("train/loss") == ([10, 20], [2.0, 1.0]) and found.series("mmdet/acc")[1] == [50.0, 60.0]
    epoch = found.epochs[0]
    assert epoch["values"]["mmdet/bbox_mAP"] == 0.25 and epoch["values"]["mmdet/bbox_mAP_s"] is None
    assert (epoch["epoch"], epoch["step"]) == (1, 10)


def test_iterations_without_epochs_count_their_validations(tmp_path: Path) -> None:
    found = Watched(tmp_path, watch="mmcv1").history(
        "Iter [50/200]\tlr: 1.0e-01, loss: 3.0", "Iter(val) [10]\tmIoU: 0.25", "Iter [100/200]\tlr: 1.0e-01, loss: 2.0",
        "Iter(val) [10]\tmIoU: 0.5",
    )  # fmt: skip
    assert found.series("train/loss") == ([50, 100], [3.0, 2.0])
    assert found.epoch_series("mmdet/mIoU") == ([1, 2], [0.25, 0.5])


def test_aqr_blocks_of_several_ranks_are_folded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for forward in (1000, 2000):
        for rank in (0, 1):
            training_repository.block(forward, rank)
    found = Watched(tmp_path, watch="aqr").history(*capsys.readouterr().out.splitlines())
    assert [line["step"] for line in found.statistics] == [1000, 2000]
    values = found.statistics[0]["values"]
    assert values["aqr/lidar_weight_mean"] == pytest.approx(0.55)
    assert (values["aqr/lidar_weight_mean/rank_min"], values["aqr/lidar_weight_mean/rank_max"]) == (0.5, 0.6)
    assert values["aqr/lidar_weight_mean/rank_sd"] == pytest.approx(0.0707, abs=1e-4)
    assert values["aqr/perspective_change_relative"] == pytest.approx(0.35) and values["aqr/ranks"] == 2
    assert "aqr/bev_map_max" not in values, "nan is not available"


def test_lines_between_the_blocks_of_two_ranks_do_not_part_them(tmp_path: Path) -> None:
    block = ("AQR Debug Info (Forward #7):", "lidar_weights_stats:", "mean: {}")
    first, second = ([line.format(mean) for line in block] for mean in (0.5, 0.7))
    between = ["/env/torch/functional.py:445: UserWarning: indexing", "mean: 9.0"]
    found = Watched(tmp_path, watch="aqr").history(*first, *between, *second, *["step"] * 6, *second)
    assert [line["values"]["aqr/ranks"] for line in found.statistics] == [2, 1], (
        "of a pass that is told nothing is kept"
    )
    assert found.statistics[0]["values"]["aqr/lidar_weight_mean"] == pytest.approx(0.6)


def test_blocks_printed_into_each_other_are_told_and_left_out(tmp_path: Path) -> None:
    head, section = "AQR Debug Info (Forward #7):", "lidar_weights_stats:"
    lines = (head, section, "mean: 0.5", "mean: 0.6", "weight_map_bev_stats:", "mean: 0.1")
    found = Watched(tmp_path, watch="aqr").history(*lines)
    assert found.statistics[0]["values"] == {"aqr/bev_map_mean": 0.1, "aqr/ranks": 1}
    assert "aqr/lidar_weight_mean" in found.alarms[0]["text"]


def test_the_real_blocks_of_two_ranks(tmp_path: Path, shared_data: Path) -> None:
    text = (shared_data / "aqr_logs" / "aqr_blocks_2ranks.txt").read_text()
    found = Watched(tmp_path, watch="aqr").history(*text.splitlines())
    assert [line["step"] for line in found.statistics] == [1000] and found.alarms == []
    values = found.statistics[0]["values"]
    assert values["aqr/lidar_weight_mean"] == pytest.approx(fmean((0.734678, 0.665072)))
    assert values["aqr/perspective_change_relative/rank_max"] == 0.359604
    assert (values["aqr/queries/rank_min"], values["aqr/queries/rank_max"]) == (1270, 1290)
    assert not any("gain" in name for name in values), "the log does not say in which mode features were modulated"


def test_the_words_of_a_command_line() -> None:
    options = {"model": {"head": {"clamp": 2.5, "on": True, "kernel": None}}, "lr": [1e-4, 2]}
    found = config(python="/env/bin/python", options=options, launcher="pytorch", processes=2, arguments=["--x"])
    assert found["command"] == [
        "/env/bin/python", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "tools/train.py",
        "configs/cmt.py", "--work-dir", "{out}/work", "--launcher", "pytorch", "--seed", "{seed}", "--cfg-options",
        "model.head.clamp=2.5", "model.head.on=True", "model.head.kernel=None", "lr=[0.0001,2]", "--x",
    ]  # fmt: skip
    assert found["resume"] == ["--resume-from", "{resume}"] and found["cwd"] == "/cmt"
    assert [one["format"] for one in found["watch"]] == ["mmcv1", "aqr"]
    assert found["env"] == {"PYTHONPATH": "/cmt"}
    newer = config(stack="mmengine")
    assert newer["command"][-2:] == ["--cfg-options", "randomness.seed={seed}"]
    assert newer["watch"][0]["file"] == "{out}/work/*/vis_data/scalars.json"


def test_what_is_absent_is_said_before_the_start(tmp_path: Path) -> None:
    def found(**repository: Any) -> list[tuple[str | None, bool]]:
        given = {"repository": str(tmp_path / "cmt"), "config": "cmt.py", "python": sys.executable, **repository}
        full = CommandConfig(mmdet3d=given).model_dump(mode="json")
        context = CheckContext(arm="a", config=full, device="cpu", train_images=None)
        return [(problem.where, problem.missing) for problem in CommandBackend().check(context)]

    assert found(python="/no/python") == [("mmdet3d.repository", True), ("mmdet3d.python", True)]
    (tmp_path / "cmt" / "tools").mkdir(parents=True)
    (tmp_path / "cmt" / "tools" / "train.py").touch()
    assert found() == [("mmdet3d.config", True)]
    (tmp_path / "cmt" / "cmt.py").touch()
    assert found() == []


@pytest.mark.slow
@pytest.mark.parametrize("hostile_path", ["with space 'quote\" 数据"], indirect=True)
def test_a_repository_is_started_watched_stopped_and_goes_on(make_run: MakeRun, tmp_path: Path) -> None:
    repository = tmp_path / "a repository"
    (repository / "tools").mkdir(parents=True)
    shutil.copy(training_repository.__file__, repository / "tools" / "train.py")
    (repository / "cmt.py").write_text("model = 1")
    given = {
        "repository": str(repository), "config": "cmt.py", "options": {"model": {"clamp": 2.5}},
        "arguments": ["--seconds", "0.3"],
    }  # fmt: skip
    full = CommandConfig(mmdet3d=given, env={"MINE": "s{seed}"}, epochs=3).model_dump(mode="json")
    run = make_run(full, trainer=CommandBackend.trainer, backend="command")
    launch(run)
    until(lambda: load_history(run).checkpoints)
    request(run, "stop")
    assert wait([run], 30)[0].state.word == "stopped"
    saved = load_history(run).checkpoints[-1]
    resume(run)
    assert wait([run], 30)[0].state.word == "finished"
    found = load_history(run)
    assert found.begins[2]["resumed_from_step"] == saved["step"] == 10 * saved["epoch"]
    assert found.epoch_series("mmdet3d/NDS") == ([1, 2, 3], [0.1, 0.2, 0.3])
    assert found.series("train/loss_d0.cls")[0] == [5, 10, 15, 20, 25, 30]
    assert [line["step"] for line in found.statistics] == [10, 20, 30]
    assert [Path(line["path"]).name for line in found.checkpoints][-1] == "epoch_3.pth"
    console = run.attempt(1).console_path.read_text()
    assert f"config model = 1 options model.clamp=2.5 in {repository}" in console and "seed 0 mine s0" in console


def test_names_of_losses_and_lines_of_others() -> None:
    assert loss_name("loss") == "train/loss" and loss_name("loss_cls") == "train/loss_cls"
    assert text_line("mAP: 0.6397") is None and text_line("Epoch [1] starts") is None
    assert validation({"bbox_mAP_50": 0.5, "time": 1.0}) == {"mmdet/bbox_mAP_50": 0.5}


@pytest.mark.parametrize(("last", "mean"), [(0.4, 0.25), (math.nan, None)])
def test_the_ap_of_a_class_is_the_mean_of_all_four_distances(last: float, mean: float | None) -> None:
    aps = zip(("0.5", "1.0", "2.0", "4.0"), (0.1, 0.2, 0.3, last), strict=True)
    found = validation({f"pts_bbox_NuScenes/car_AP_dist_{at}": value for at, value in aps})
    assert found.get("mmdet3d/mAP/car") == (None if mean is None else pytest.approx(mean))
    assert found["mmdet3d/AP_dist_4.0/car"] == (None if mean is None else last)
