"""Layers, their order, and where each value came from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detui.engine.errors import RecipeError
from detui.engine.recipe.library import recipe_files
from detui.engine.recipe.load import read_recipe, recipe_json_schema
from detui.engine.recipe.resolve import resolve

SHIPPED = dict(recipe_files())


def test_layers_lie_over_each_other_in_order() -> None:
    """base < profile < arm < --set."""
    recipe = read_recipe("starter/mosaic", SHIPPED["starter/mosaic"])
    full = {arm.name: arm for arm in resolve(recipe).arms}
    quick = {arm.name: arm for arm in resolve(recipe, profile="quick").arms}
    set_ = {arm.name: arm for arm in resolve(recipe, profile="quick", overrides=["augment.mosaic=0.5"]).arms}
    assert full["baseline"].config["train"]["epochs"] == 100
    assert quick["baseline"].config["train"]["epochs"] < 100
    assert quick["no-mosaic"].config["augment"]["mosaic"] == 0.0
    assert set_["no-mosaic"].config["augment"]["mosaic"] == 0.5


def test_every_value_has_a_source_with_file_and_line() -> None:
    recipe = read_recipe("starter/mosaic", SHIPPED["starter/mosaic"])
    arm = resolve(recipe, profile="quick", overrides=["no-mosaic.train.lr0=1e-4"]).arms[1]
    assert set(arm.sources) == set(arm.flat())
    assert arm.sources["augment.mosaic"].startswith("arm no-mosaic, mosaic.yaml:")
    assert arm.sources["train.imgsz"].startswith("profile quick, mosaic.yaml:")
    assert arm.sources["train.optimizer"].startswith("base, mosaic.yaml:")
    assert arm.sources["train.lr0"] == "--set no-mosaic.train.lr0=1e-4"
    assert arm.sources["loss.box"] == "default of the ultralytics backend"
    assert arm.config["train"]["lr0"] == 1e-4


def test_an_override_for_one_arm_leaves_the_others() -> None:
    recipe = read_recipe("starter/mosaic", SHIPPED["starter/mosaic"])
    arms = resolve(recipe, overrides=["arm.no-mosaic.train.lr0=0.5"]).arms
    assert [arm.config["train"]["lr0"] for arm in arms] == [0.001, 0.5]


def test_each_of_makes_one_arm_for_each_field(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "schema: 1\ntitle: t\nquestion: q\ndata: {name: scenes}\n"
        "base: {model: {name: yolo12n}}\narms: {baseline: {}}\n"
        "each_of: {train.lr0: 0.5, augment.mosaic: 0.0}\n"
    )
    arms = resolve(read_recipe("own/own", path)).arms
    assert [arm.name for arm in arms] == ["baseline", "train-lr0-0.5", "augment-mosaic-0.0"]
    flats = [arm.flat() for arm in arms]
    changed = [{k for k in flats[0] if flats[0][k] != flat[k]} for flat in flats]
    assert changed == [set(), {"train.lr0"}, {"augment.mosaic"}]


@pytest.mark.parametrize("ref", SHIPPED)
def test_every_shipped_recipe_resolves_in_every_profile(ref: str) -> None:
    recipe = read_recipe(ref, SHIPPED[ref])
    for profile in ("full", *recipe.file.profiles):
        resolved = resolve(recipe, profile=profile)
        assert resolved.arms and resolved.seeds
        assert resolved.milestones[-1] == max(arm.epochs for arm in resolved.arms)
    assert "smoke" in recipe.file.profiles
    assert recipe.title.zh and recipe.question.zh


def test_json_schema_describes_sections_of_every_backend() -> None:
    schema = recipe_json_schema()
    text = json.dumps(schema)
    assert "no-mosaic" not in text
    assert {"ultralytics_sections", "command_sections"} <= set(schema["$defs"])
    assert schema["additionalProperties"] is False


def test_a_profile_may_have_fewer_devices(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    text = (
        "schema: 1\ntitle: t\nquestion: q\nbackend: command\nbase: {command: ['true'], epochs: 1}\narms: {one: {}}\n"
        "devices: 4\nprofiles: {quick: {devices: 1}, smoke: {}}\n"
    )
    path.write_text(text)
    recipe = read_recipe("own/own", path)
    assert {name: resolve(recipe, profile=name).devices for name in ("full", "quick", "smoke")} == {
        "full": 4, "quick": 1, "smoke": 4}  # fmt: skip
    path.write_text(text.replace("devices: 4", "devices: 0"))
    with pytest.raises(RecipeError, match=r"(?s)own.yaml:7:\d+.*devices.*found 0"):
        read_recipe("own/own", path)
