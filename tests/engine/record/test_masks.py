"""Masks where boxes are: the choice of a checkpoint, goals, claims, comparisons, charts, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from masked import Masked

from detui.engine.analysis.goals import judge_goal
from detui.engine.comparison import compare_sides, sides
from detui.engine.configuration import Configuration
from detui.engine.errors import RecipeError
from detui.engine.evaluate.judging import check_judging
from detui.engine.evaluate.tables import grids
from detui.engine.experiment import Experiment
from detui.engine.recipe.load import read_recipe
from detui.engine.record.gather import gather
from detui.engine.run.history import load_history
from detui.engine.workspace import Workspace
from detui.tui.run_charts import charts

BEST = {"rule": "best", "metric": "val/mask_AP"}


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Masked:
    trial = Masked(tmp_path_factory.mktemp("masked"), seeds=(0,))
    trial.train_all()
    return trial


def test_the_checkpoint_is_the_best_by_masks(masked: Masked) -> None:
    for run in gather(masked.path).runs:
        told = {line["epoch"]: line["values"]["val/mask_AP"] for line in run.evaluations}
        assert run.chosen and run.chosen["epoch"] == max(told, key=lambda epoch: told[epoch])
        assert run.chosen["values"]["val/AP"] != run.chosen["values"]["val/mask_AP"] > 0


def test_goals_are_judged_on_masks(masked: Masked) -> None:
    facts = gather(masked.path)
    at_least, difference = (judge_goal(goal, facts.results()) for goal in facts.info["goals"])
    assert (at_least.word, difference.word, difference.reason) == ("met", "inconclusive", "too few seeds")
    values = [facts.values(arm, "val/mask_AP")[0] for arm in ("baseline", "no-mosaic")]
    assert difference.measured == pytest.approx(values[1] - values[0])


def test_arms_are_compared_by_masks(masked: Masked) -> None:
    report = compare_sides(sides([(Experiment(masked.path), None)]), replicates=20)
    rows = {row.metric: row for row in report.rows}
    assert {"val/AP", "val/mask_AP", "val/mask_AP50", "val/mask_AP_small"} <= set(rows)
    (images,) = report.images
    of_images = {one.metric: one for one in images.deltas}
    assert of_images["mask_AP"].delta == pytest.approx(rows["val/mask_AP"].seeds.delta)
    assert of_images["mask_AP"].interval[0] < of_images["mask_AP"].delta < of_images["mask_AP"].interval[1]
    (claim,) = report.claims
    assert (claim.metric, claim.value) == ("val/mask_AP", 0.65)
    assert claim.measured.mean == pytest.approx(rows["val/mask_AP"].against.mean)


def test_the_chart_of_a_run_has_masks(masked: Masked) -> None:
    series = {one.label: one for one in charts(load_history(masked.runs["baseline-s0"]))["validation"].series}
    assert {"AP", "mask_AP", "AP50"} <= set(series)
    assert len(series["mask_AP"].y) == 3


def test_tables_have_masks_by_class(masked: Masked) -> None:
    (run, *_) = gather(masked.path).runs
    found = grids({name.removeprefix("val/"): value for name, value in run.chosen["values"].items()})
    assert [grid.title for grid in found] == ["Overall (%)", "Per class (%)", "Per class, masks (%)"]
    assert found[2].head[:3] == ("class", "mask AP", "mask AP50")
    assert not any("mask" in name for name in found[1].head)


@pytest.mark.parametrize(
    ("data", "rule", "backend", "field"),
    [
        ({"masks": True}, BEST, False, "checkpoint_rule"),
        ({"name": "x"}, BEST, None, "checkpoint_rule"),
        ({"metric": "nuscenes"}, {"rule": "best", "metric": "val/mask_AP50"}, None, "checkpoint_rule"),
        ({"name": "x"}, {"rule": "last"}, True, "data"),
    ],
)
def test_what_masks_cannot_be_judged_is_refused(data: Any, rule: Any, backend: bool | None, field: str) -> None:
    with pytest.raises(RecipeError, match="mask") as caught:
        check_judging(data, rule, backend)
    assert caught.value.where == field


def test_what_masks_can_be_judged_is_not_refused() -> None:
    check_judging({"masks": True}, BEST, True)
    check_judging({"masks": True}, BEST, None)
    check_judging({"name": "x"}, {"rule": "best", "metric": "val/AP"}, False)
    check_judging(None, BEST, None)


RECIPE = """\
schema: 1
title: t
question: q
data: {DATA}
checkpoint_rule: {rule: best, metric: val/mask_AP}
arms: {only: {}}
"""
YOLO = "base: {model: {name: yolo12n}}\n"
PROGRAM = "backend: command\nbase: {command: [/bin/true], epochs: 1}\n"
SCENES = "{name: scenes, options: {masks: true}}"


def errors(tmp_path: Path, data: str, more: str) -> list[str]:
    path = tmp_path / "own.yaml"
    path.write_text(RECIPE.replace("{DATA}", data) + more, encoding="utf-8")
    workspace = Workspace(tmp_path / "logs", Configuration.load(environ={"HOME": str(tmp_path)}))
    plan = workspace.plan(str(path), devices="cpu")
    assert plan.spec(plan.arms[0], 0, data={None: {}}, experiment="e", python="p").masks is (more == PROGRAM or False)
    return [problem.text for problem in plan.errors]


def test_a_plan_says_that_masks_are_missing(tmp_path: Path) -> None:
    assert errors(tmp_path, SCENES, PROGRAM) == []
    (of_data,) = errors(tmp_path, "{name: scenes}", PROGRAM)
    assert of_data == "Not every object of the data has a mask, so val/mask_AP would never choose a checkpoint."
    assert "The backend predicts no masks, so val/mask_AP would never choose a checkpoint." in errors(
        tmp_path, SCENES, YOLO
    )


@pytest.mark.parametrize(
    "goal",
    [
        "goals: [{metric: val/mask_AP50, at_least: 0.3}]",
        "decisions: [{metric: val/mask_AP50, arm: only, against: other,"
        " steps: [{at_least: 0.1, title: a}, {title: b}]}]",
    ],
)
def test_a_goal_that_nothing_can_measure(tmp_path: Path, goal: str) -> None:
    path = tmp_path / "own.yaml"
    text = RECIPE.replace("{DATA}", "{name: scenes}").replace("{only: {}}", "{only: {}, other: {}}")
    path.write_text(f"{text}{YOLO}{goal}\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="val/mask_AP50: the ultralytics backend predicts no masks") as caught:
        read_recipe("own/own", path)
    assert caught.value.hint == "val/AP50"


def test_void_stands_in_the_prepared_truth(masked: Masked) -> None:
    truth = json.loads((Path(masked.data["prepared"]) / "val.json").read_text())
    assert len(truth["void"]) == len(truth["images"])
