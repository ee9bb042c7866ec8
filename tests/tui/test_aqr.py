"""What the terminal shows of AQR: the panel, its curves, NDS instead of AP, and the gain of a recipe's arms."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from aqr_runs import report, statistic, written
from pilots import LARGE, SMALL, WIDE, play, shows, text, until
from textual.pilot import Pilot

from detui.engine.backends.command.aqr_blocks import AqrBlocks
from detui.engine.backends.torch.gain import gain_table
from detui.engine.importing import import_arms
from detui.engine.run.directory import RunDir
from detui.engine.run.history import History, load_history
from detui.engine.workspace import Workspace
from detui.tui.app import DetuiApp
from detui.tui.aqr import DOWN, LEVEL, UP, AqrPicture, Cell, aqr_picture, sparkline, trend
from detui.tui.columns import NAMED, fitting, ordered
from detui.tui.filters import parse
from detui.tui.glance import glance
from detui.tui.recipe_page import page
from detui.tui.run_charts import charts
from detui.tui.settings import Settings
from detui.tui.watch import line
from detui.tui.widgets.aqr_panel import AqrPanel
from detui.tui.widgets.chart import Chart
from detui.tui.widgets.run_list import header

Writer = Callable[..., Path]
Command = Callable[..., subprocess.CompletedProcess[str]]
PRINTED = """\
AQR Debug Info (Forward #1000):
lidar_weights_stats:
mean: 0.75
std: 0.25
shape: [4, 1290]
weight_map_bev_stats:
max: 2.5
modulation_effect_bev:
mean_change: -0.018159
relative_change: 0.09169
weight_map_pers_stats:
max: 1.25
modulation_effect_pers:
relative_change: 0.34863
"""
RECIPE = """\
schema: 1
title: {en: AQR, zh: AQR}
question: {en: Which one?, zh: 哪一个？}
backend: torch
data: {name: nuscenes, train: {split: train}, val: {split: val}, evaluator: nuscenes-devkit}
base: {train: {epochs: 1}}
arms:
  none: {model: {aqr: {weights: "off"}}}
  first: {model: {aqr: {max_weight_clamp: 2.0, residual_weight: 0.65}}}
  b: {model: {aqr: {max_weight_clamp: 2.2, residual_weight: 0.68}}}
  c: {model: {aqr: {max_weight_clamp: 2.0, residual_weight: 0.65}}}
  constant: {model: {aqr: {weights: constant, max_weight_clamp: 2.0, residual_weight: 0.65}}}
  grows: {model: {aqr: {clamp_from: 1.0, max_weight_clamp: 2.0, residual_weight: 0.65, mode: additive}}}
varies: [model.aqr]
seeds: [0]
"""


def of(lines: list[dict[str, object]]) -> AqrPicture:
    found = aqr_picture(History(statistics=lines))
    assert found is not None
    return found


def cells(picture: AqrPicture) -> dict[str, list[str]]:
    return {row.label: [cell.text for cell in row.cells] for row in picture.rows}


class TestPicture:
    """What the panel says."""

    def test_everything_that_the_backend_reports(self) -> None:
        picture = of([statistic(step) for step in range(8, 97, 8)])
        assert picture.step == 96
        assert cells(picture) == {
            "weight, mean ± std": ["0.850 ±0.020", "0.938 ±0.020"],
            "weight, min–max": ["0.800–0.890", "0.888–0.978"],
            "map maximum (raw)": ["0.185 (0.370)", "1.300 (2.600)"],
            "change, all features": ["16.9 %", "9.1 %"],
            "change, active ones": ["38.7 %", "32.2 %"],
            "mean change": ["-0.167", "-0.167"],
            "largest change": ["1.498", "1.498"],
            "active features": ["43.7 %", "28.3 %"],
            "cells of weight 0": ["40.0 %", "40.0 %"],
            "cells clamped": ["2.5 %", "2.5 %"],
            "gain, measured": ["0.600–0.674", "0.600–1.450"],
            "gain, allowed": ["0.600–1.600"],
            "clamp now": ["2.500"],
            "queries of padding": ["4.1 %"],
            "queries unseen": ["1.9 %"],
            "camera : LiDAR weight": ["1.050"],
            "gradient norm": ["0.042"],
        }

    @pytest.mark.parametrize(
        ("values", "wrong"),
        [
            ({}, False),
            ({"aqr/camera_gain_max": 1.6 + 1e-7}, False),
            ({"aqr/camera_gain_max": 1.61}, True),
            ({"aqr/camera_gain_min": 0.59}, True),
            ({"aqr/camera_gain_max": 1.61, "aqr/camera_active_fraction": 0.0}, False),
        ],
    )
    def test_a_gain_out_of_its_bounds_is_marked(self, values: dict[str, float], wrong: bool) -> None:
        rows = {row.label: row.cells for row in of([statistic(8, **values)]).rows}
        lidar, camera = rows["gain, measured"]
        assert (lidar.wrong, camera.wrong, camera.text.endswith(" !")) == (False, wrong, wrong)

    @pytest.mark.parametrize(("spelled", "said"), [("NaN", "nan"), ("Infinity", "inf")])
    def test_a_training_that_came_apart_is_shown_as_such(self, spelled: str, said: str) -> None:
        line = statistic(16)
        known = {"aqr/gain_low": 0.6, "aqr/gain_high": 1.6, "aqr/lidar_active_fraction": 0.5}
        picture = of([statistic(8), {**line, "values": dict.fromkeys(line["values"], spelled) | known}])
        found = cells(picture)
        assert found["weight, min–max"] == [f"{said}–{said}"] * 2 and found["change, all features"] == [f"{said} %"] * 2
        assert found["gain, measured"][0] == f"{said}–{said} !"
        assert {len(cell.past) for row in picture.rows for cell in row.cells if said in cell.text} == {0, 1}

    def test_what_forks_print_has_fewer_rows_and_no_gain(self) -> None:
        told: list[dict[str, object]] = []
        blocks = AqrBlocks(lambda step, values: told.append({"step": step, "values": values}), print)
        for row in PRINTED.splitlines():
            blocks.read(row)
        blocks.end()
        assert cells(of(told)) == {
            "weight, mean ± std": ["0.750 ±0.250", "–"],
            "map maximum (raw)": ["2.500", "1.250"],
            "change, all features": ["9.2 %", "34.9 %"],
            "mean change": ["-0.018", "–"],
            "queries": ["1290"],
            "processes, mean of": ["1"],
        }

    def test_an_imported_training_has_what_its_log_printed(self, shared_data: Path, tmp_path: Path) -> None:
        logs = shared_data / "aqr_logs"
        both = [logs / "aqr_2.5_0.6.log", logs / "aqr_blocks_2ranks.txt"]
        (run,) = import_arms(tmp_path / "logs", [("aqr-2.5-0.6", both)]).runs()
        picture = aqr_picture(load_history(run))
        assert picture is not None and picture.step == 1000
        said = cells(picture)
        assert said["change, all features"] == ["9.6 %", "35.4 %"] and said["map maximum (raw)"] == ["2.500", "2.500"]
        assert said["processes, mean of"] == ["2"] and "gain, measured" not in said
        assert glance(run, {}).metric is None, "its validation is the framework's"

    def test_others_report_nothing_of_it(self) -> None:
        assert aqr_picture(History()) is None
        assert aqr_picture(History(statistics=[{"step": 1, "values": {"router/camera": 0.5}}])) is None

    def test_trends_compare_with_ten_lines_before(self) -> None:
        rising = [float(one) for one in range(1, 12)]
        assert (trend(rising), trend(rising[::-1]), trend([1.0, 1.005]), trend([1.0])) == (UP, DOWN, LEVEL, None)
        assert sparkline(rising) == "▁▁▂▃▄▅▅▆▇██" and sparkline([0.0, 0.0]) == "▄▄" and sparkline([1.0]) == ""
        picture = of([{"step": s, "values": {"aqr/clamp": float(s), "x/y": 1.0}} for s in range(1, 40)])
        (row,) = picture.rows
        assert row.cells == (Cell("39", tuple(float(s) for s in range(29, 40))),)


class TestScreen:
    """Where it is shown."""

    def test_a_key_shows_it_where_there_is_no_room_beside(self, workspace: Path, writer: Writer) -> None:
        written(workspace, writer)

        async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
            await shows(app, pilot, "aqr-2.5-0.6-s0")
            await pilot.press("enter")
            await shows(app, pilot, "a━box", "v AQR", "NDS 36.0 %")
            panel = app.screen.query_one(AqrPanel)
            assert not panel.display
            await pilot.press("v")
            await shows(app, pilot, "AQR, step 96", "LiDAR", "0.938 ±0.020  ▁", "gradient norm")
            assert "a━box" not in text(app) and "epoch 12: loss" not in text(app)
            await pilot.press("m")
            await shows(app, pilot, "a━box", "epoch 12: loss")
            await pilot.press("v", "v")
            await until(pilot, lambda: not panel.display)

        play(workspace, script, SMALL)

    def test_it_stands_beside_a_chart_and_follows(self, workspace: Path, writer: Writer) -> None:
        run = written(workspace, writer)

        async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
            await shows(app, pilot, "aqr-2.5-0.6-s0")
            await pilot.press("enter")
            await shows(app, pilot, "v AQR")
            await pilot.press("v")
            await shows(app, pilot, "AQR, step 96", "a━box", "0.938 ±0.020  ↗", "epoch 12: loss")
            report(run, statistic(104, **{"aqr/lidar_gain_max": 1.7}))
            await shows(app, pilot, "AQR, step 104", "0.600–1.700 !")

        play(workspace, script, LARGE)

    @pytest.mark.slow
    def test_a_large_terminal_shows_it_beside_everything(self, workspace: Path, writer: Writer) -> None:
        written(workspace, writer)

        async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
            await shows(app, pilot, "aqr-2.5-0.6-s0")
            await pilot.press("enter")
            await shows(app, pilot, "AQR, step 96", "AQR weights ± std", "Validation mAP, NDS, %", "after epoch 12")
            assert sum(chart.display for chart in app.screen.query(Chart)) == 4
            await pilot.press("v")
            await until(pilot, lambda: sum(chart.display for chart in app.screen.query(Chart)) == 6)

        play(workspace, script, WIDE)

    @pytest.mark.slow
    def test_ascii_stays_ascii(self, workspace: Path, writer: Writer) -> None:
        written(workspace, writer)

        async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
            await shows(app, pilot, "aqr-2.5-0.6-s0")
            await pilot.press("enter")
            await shows(app, pilot, "v AQR")
            await pilot.press("v")
            await shows(app, pilot, "0.888-0.978")
            assert not [row for row in text(app).splitlines()[3:22] if not row.isascii()]

        play(workspace, script, SMALL, Settings(language="en", ascii=True))

    def test_a_run_without_it_says_so(self, workspace: Path, written: Path) -> None:
        async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
            await shows(app, pilot, "baseline-s0")
            await pilot.press("enter")
            await shows(app, pilot, "a━box")
            assert "v AQR" not in text(app)
            await pilot.press("v")
            await until(pilot, lambda: any("nothing of AQR" in note.message for note in app._notifications))
            assert not app.screen.query_one(AqrPanel).display

        play(workspace, script, SMALL)


class TestCurves:
    """Its curves by iteration."""

    def test_each_has_its_lines(self, workspace: Path, writer: Writer) -> None:
        run = written(workspace, writer)
        found = charts(load_history(run))
        assert [one.label for one in found["aqr_weights"].series] == ["LiDAR", "camera"]
        (_, camera) = found["aqr_weights"].series
        assert list(camera.x)[-1] == 96 and camera.y[-1] == pytest.approx(0.938)
        assert camera.low is not None and camera.low[-1] == pytest.approx(0.918)
        assert {one.label: one.y[-1] for one in found["aqr_change"].series} == {
            "LiDAR, all": 0.169, "LiDAR, active": 0.387, "camera, all": 0.091, "camera, active": 0.322
        }  # fmt: skip
        assert [one.y[-1] for one in found["aqr_gain"].series] == [0.6, 0.674, 0.6, 1.45, 0.6, 1.6]
        assert len(found["aqr_maps"].series) == 5 and len(found["aqr_gradient"].series) == 1
        assert "statistics" not in found
        by_epoch = charts(load_history(run), "epoch")["aqr_change"]
        assert by_epoch.x_label == "epoch" and by_epoch.series[0].x[-1] == 12

    def test_others_have_none(self, written: Path) -> None:
        found = charts(load_history(RunDir(written / "runs/baseline-s0")))
        assert not [name for name in found if name.startswith("aqr")]

    def test_the_gradients_norm_is_no_loss(self, workspace: Path, writer: Writer) -> None:
        run = written(workspace, writer)
        values = {"train/loss_box": 1.0, "train/gradient_norm": 35.0}
        report(run, {"kind": "step", "t": 99.0, "step": 97, "epoch": 13, "stage": "main", "values": values})
        found = charts(load_history(run))
        assert "gradient_norm" not in {one.label for one in found["loss"].series}
        assert [list(one.y) for one in found["gradient"].series] == [[35.0]]


class TestMetric:
    """NDS in the place of AP."""

    def test_a_glance_names_it(self, workspace: Path, writer: Writer) -> None:
        seen = glance(written(workspace, writer), {})
        assert (seen.metric, seen.metric_name) == (pytest.approx(0.36), "NDS")
        assert seen.to_json()["val/AP"] is None and seen.to_json()["val/NDS"] == pytest.approx(0.36)
        assert line(seen).endswith("NDS 36.0")

    def test_a_list_names_each_where_they_differ(self, workspace: Path, writer: Writer) -> None:
        run = written(workspace, writer)
        other = RunDir(writer(workspace) / "runs/baseline-s0")
        nds, ap = glance(run, {}), glance(other, {})
        assert [NAMED.text(one) for one in (nds, ap)] == ["NDS 36.0", "AP 12.0"]
        assert ordered([nds, ap], "AP %", False) == [ap, nds], "two metrics are not compared"
        for columns in range(57, 200, 9):
            chosen = fitting(columns, named=True)
            assert NAMED in chosen and len(chosen) == len(fitting(columns)), "no other column falls away"
            assert len(header(columns + 2, named=True)) == columns + 2
        assert "sorted by metric %" in header(160, "AP %", named=True) and "sorted by AP %" in header(160, "AP %")
        assert [parse(query)(nds, {}) for query in ("nds:>30", "nds:<30", "ap:>30")] == [True, False, False]
        assert [parse(query)(ap, {}) for query in ("ap:>10", "nds:>1")] == [True, False]

        async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
            await shows(app, pilot, "metric %", "NDS 36.0", "AP 12.0")

        play(workspace, script, SMALL)

    def test_commands_name_it(self, workspace: Path, writer: Writer, detui: Command) -> None:
        run = written(workspace, writer)
        said = detui("ls").stdout
        assert "METRIC" in said and "NDS 36.0" in said
        tail = detui("tail", f"{run.experiment_dir.name}/{run.name}").stdout
        assert "NDS   epoch 12  step 96  val: mAP 24.0  NDS 36.0" in tail


class TestRecipe:
    """What a page says before anything runs."""

    def test_the_gain_of_each_arm_is_computed(self, tmp_path: Path) -> None:
        file = tmp_path / "aqr.yaml"
        file.write_text(RECIPE, encoding="utf-8")
        plan = Workspace.open(str(tmp_path / "logs")).plan(str(file), devices="cpu")
        (section,) = [one for one in page(plan) if one.title == "Gain of AQR, computed"]
        assert [" ".join(row.split()) for row in section.lines[:-1]] == [
            "clamp residual mode smallest largest",
            "none – – – – – no AQR",
            "first 2 0.65 convex 0.65 1.35",
            "b 2.2 0.68 convex 0.68 1.384",
            "c 2 0.65 convex 0.65 1.35 equal to first",
            "constant 2 0.65 convex 0.65 1.35 same bounds as first, constant weights",
            "grows 1→2 0.65 additive 0.65 2.65",
        ]

    def test_other_backends_have_no_table(self, tmp_path: Path) -> None:
        plan = Workspace.open(str(tmp_path / "logs")).plan("starter/mosaic", profile="quick", devices="cpu")
        assert "Gain of AQR, computed" not in [one.title for one in page(plan)]

    @pytest.mark.parametrize(("recipe", "held"), [("aqr/one-frame", "frames"), ("starter/mosaic", "images")])
    def test_frames_are_called_frames(self, tmp_path: Path, recipe: str, held: str) -> None:
        plan = Workspace.open(str(tmp_path)).plan(recipe, profile="smoke", devices="cpu")
        (data,) = [one.lines for one in page(plan) if one.title == "Data"]
        assert [held in line for line in data if "the first" in line] == [True, True], data

    def test_arms_without_a_model_have_no_gain(self) -> None:
        (row,) = gain_table({"arm": {"train": {}}})
        assert (row.weights, row.low, row.high, row.same_as) == ("off", None, None, None)

    def test_what_is_missing_names_the_environment_of_the_evaluator(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from detui.tui.missing import missing

        monkeypatch.setenv("DETUI_ENVIRONMENTS", str(tmp_path / "none"))
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.delenv("DETUI_DATA", raising=False)
        file = tmp_path / "aqr.yaml"
        file.write_text(RECIPE, encoding="utf-8")
        workspace = Workspace.open(str(tmp_path / "logs"))
        plan = workspace.plan(str(file), devices="cpu")
        assert missing(plan, workspace.configuration) == [
            "data nuscenes",
            "environment nuscenes (detui env create nuscenes)",
        ]

    @pytest.mark.slow
    def test_json_has_it(self, tmp_path: Path, detui: Command) -> None:
        file = tmp_path / "aqr.yaml"
        file.write_text(RECIPE, encoding="utf-8")
        rows = json.loads(detui("show", str(file), "--json").stdout)["aqr_gain"]
        assert [row["high"] for row in rows] == [None, 1.35, pytest.approx(1.384), 1.35, 1.35, 2.65]
