"""What a goal or a claim may be about: what no run could ever report is refused, with field, line and the next step."""

from __future__ import annotations

from pathlib import Path

import pytest

from detui.engine.errors import RecipeError
from detui.engine.recipe.load import Recipe, read_recipe

RECIPE = """\
schema: 1
title: a test
question: does it work?
backend: torch
data: {name: fusion-scenes}
base: {train: {epochs: 1}}
arms:
  aqr: {}
goals:
  - {GOAL}
claims:
  - {CLAIM}
"""
GOAL = "metric: val/mAP, arm: aqr, at_least: 0.65"
CLAIM = "metric: val/mAP, arm: aqr, value: 0.6397, source: document 004"
CHANGE = "metric: aqr/camera_relative_change, arm: aqr"


def read(tmp_path: Path, goal: str = GOAL, claim: str = CLAIM) -> Recipe:
    path = tmp_path / "own.yaml"
    path.write_text(RECIPE.replace("{GOAL}", f"{{{goal}}}").replace("{CLAIM}", f"{{{claim}}}"), encoding="utf-8")
    return read_recipe("own/own", path)


@pytest.mark.parametrize(
    "goal",
    [
        f"{CHANGE}, at_least: 0.25, at_most: 0.30",
        f"{CHANGE}, iteration: 1000, at_most: 0.30",
        "metric: model.aqr.residual_weight, arm: aqr, at_least: 0.65, at_most: 0.7",
        "metric: train/loss, arm: aqr, iteration: 1000, at_most: 10.83",
    ],
)
def test_what_can_be_asked(tmp_path: Path, goal: str) -> None:
    (read_one,) = read(tmp_path, goal).file.goals
    assert read_one.arm == "aqr"


@pytest.mark.parametrize(
    ("goal", "words", "hint"),
    [
        (f"{CHANGE}, at_least: 0.3, at_most: 0.25", "at_least lies below at_most", None),
        (f"{CHANGE}, at_least: 0.3, at_most: 0.3", "at_least lies below at_most", None),
        (f"{CHANGE}, at_least: 0.3, at_most: 0.4, delta_at_least: 0.1", "exactly one of", None),
        ("metric: val/mAP, iteration: 5, at_least: 0.3", "val/mAP is neither", None),
        ("metric: model.aqr.sigma, iteration: 5, at_least: 0.3", "model.aqr.sigma is neither", None),
        ("metric: train/loss, at_most: 0.3", "needs iteration", None),
        (f"{CHANGE}, iteration: 0, at_least: 0.3", "greater than or equal to 1", None),
        ("metric: model.aqr.residual_wieght, at_least: 0.3", "no such field", "model.aqr.residual_weight"),
        ("metric: model.aqr, at_least: 0.3", "section of fields", "model.aqr.residual_weight"),
        ("metric: aqr/camera_relative_chnge, at_least: 0.3", "no such statistic", "aqr/camera_relative_change"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_its_place(
    tmp_path: Path, goal: str, words: str, hint: str | None
) -> None:
    with pytest.raises(RecipeError) as caught:
        read(tmp_path, goal)
    assert words in caught.value.message and "own.yaml:10:" in str(caught.value.where)
    assert hint is None or hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ("metric: train/loss, epoch: 1, iteration: 50, value: 1.0, source: a", "an epoch or of an iteration"),
        ("metric: val/NDS, iteration: 50, value: 1.0, source: a", "neither"),
        ("metric: aqr/lidar_wait_mean, value: 1.0, source: a", "no such statistic"),
        ("metric: model.aqr.sigmas, value: 1.0, source: a", "no such field"),
    ],
)
def test_claims_are_checked_alike(tmp_path: Path, claim: str, words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read(tmp_path, claim=claim)
    assert words in caught.value.message and "own.yaml:12:" in str(caught.value.where)


def test_another_backend_reports_nothing_of_aqr(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    text = RECIPE.replace("torch", "ultralytics").replace("{CLAIM}", f"{{{CLAIM}}}")
    path.write_text(text.replace("{GOAL}", f"{{{CHANGE}, at_most: 0.3}}"), encoding="utf-8")
    with pytest.raises(RecipeError, match="no such statistic"):
        read_recipe("own/own", path)
