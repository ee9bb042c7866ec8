"""Several data sets in one recipe, stages of single arms, and what a launch chooses of them."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path

import pytest

from detui.engine.errors import RecipeError, RunError
from detui.engine.origin import Origin
from detui.engine.plan_text import frozen_plan
from detui.engine.planning import Plan
from detui.engine.recipe.load import Recipe, read_recipe
from detui.engine.recipe.resolve import Resolved, resolve
from detui.engine.workspace import Workspace
from detui.tui.recipe_page import plan_page

CROSSED = """
schema: 1
title: two models on two data sets
question: which?
data_sets:
  crowded: {name: coco-indoor}
  simple: {name: homeobjects}
data: [crowded, simple]
base: {model: {name: yolo12n}, train: {epochs: 10}}
arms:
  large: {title: {en: large, zh: 大}, model: {name: yolo12s}}
  small: {}
varies: [model]
goals:
  - {metric: val/AP, arm: small, against: large, delta_at_least: 0.0}
  - {metric: val/AP, arm: small, data_set: simple, at_least: 0.2}
claims:
  - {metric: train/loss_cls, value: 0.38, source: d, arm: small, data_set: crowded, epoch: 1}
  - {metric: model/parameters, value: 11e6, source: d, arm: small}
profiles:
  quick:
    data_sets:
      crowded: {name: scenes, options: {objects: [16, 24]}}
      simple: {name: scenes, options: {objects: [8, 12]}}
    arms:
      large: {train: {epochs: 3}}
      small: {}
"""
STAGED = """
schema: 1
title: one after the other
question: does it help?
data_sets:
  crowded: {name: scenes, options: {objects: [16, 24]}}
  simple: {name: scenes, options: {objects: [8, 12]}}
data: crowded
base: {model: {name: yolo12n}, train: {epochs: 12}}
arms:
  flat: {}
  staged:
    stages:
      - {name: first, epochs: 4, data: simple, set: {augment: {mosaic: 0.0}}}
      - {name: second, epochs: 8}
varies: [stages]
profiles:
  short:
    base: {train: {epochs: 3}}
    arms:
      staged:
        stages: [{name: first, epochs: 1, data: simple}, {name: second, epochs: 2}]
"""


def read(folder: Path, text: str) -> Recipe:
    path = folder / "own.yaml"
    path.write_text(text)
    return read_recipe("own/own", path)


def planned(folder: Path, text: str, **chosen: object) -> Plan:
    (folder / "own.yaml").write_text(text)
    return Workspace.open(str(folder / "logs")).plan(str(folder / "own.yaml"), devices="cpu", **chosen)  # type: ignore[arg-type]


def told(resolved: Resolved) -> list[tuple[str, str, str | None]]:
    return [(arm.name, arm.of, arm.data_set) for arm in resolved.arms]


def test_every_arm_runs_on_every_data_set(tmp_path: Path) -> None:
    found = resolve(read(tmp_path, CROSSED))
    assert told(found) == [
        ("large-crowded", "large", "crowded"),
        ("small-crowded", "small", "crowded"),
        ("large-simple", "large", "simple"),
        ("small-simple", "small", "simple"),
    ]
    assert [arm.data.name for arm in found.arms if arm.data] == ["coco-indoor"] * 2 + ["homeobjects"] * 2
    assert found.arms[2].title.zh == "大，simple"


@pytest.mark.parametrize("name", ["simple", "homeobjects"])
def test_a_launch_chooses_among_them_by_role_or_name(tmp_path: Path, name: str) -> None:
    found = resolve(read(tmp_path, CROSSED), data=[name])
    assert [arm.name for arm in found.arms] == ["large-simple", "small-simple"]
    assert set(found.data_sets) == {"simple"}


def test_a_name_that_is_none_of_them_says_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="crowded, simple") as caught:
        resolve(read(tmp_path, CROSSED), data=["simpel"])
    assert caught.value.where == "--data" and "--data with simple" in str(caught.value.hint)


def test_one_data_set_is_replaced_and_its_options_with_it(tmp_path: Path) -> None:
    text = CROSSED.replace("data: [crowded, simple]", "data: {name: scenes, options: {size: 96}}")
    for line in ("  - {metric: val/AP, arm: small, data_set: simple, at_least: 0.2}\n", ", data_set: crowded"):
        text = text.replace(line, "")
    found = resolve(read(tmp_path, text), data=["homeobjects"])
    assert [(arm.data.name, arm.data.options) for arm in found.arms if arm.data] == [("homeobjects", {})] * 2
    with pytest.raises(RecipeError, match="one data set"):
        resolve(read(tmp_path, text), data=["a", "b"])


def test_arms_are_chosen_and_set_with_and_without_their_data_set(tmp_path: Path) -> None:
    recipe = read(tmp_path, CROSSED)
    assert [arm.name for arm in resolve(recipe, arms=["small"]).arms] == ["small-crowded", "small-simple"]
    found = resolve(
        recipe, arms=["small-simple", "large"], overrides=["small.train.lr0=0.5", "large-simple.train.lr0=2"]
    )
    assert {arm.name: arm.config["train"]["lr0"] for arm in found.arms} == {
        "large-crowded": 0.01, "large-simple": 2.0, "small-simple": 0.5,
    }  # fmt: skip


def test_a_profile_lays_values_over_single_arms(tmp_path: Path) -> None:
    found = resolve(read(tmp_path, CROSSED), profile="quick")
    assert {arm.name: arm.epochs for arm in found.arms}["large-simple"] == 3
    assert found.arms[1].epochs == 10
    assert found.data_sets["crowded"].options == {"objects": [16, 24]}
    assert found.arms[0].sources["train.epochs"].startswith("profile quick, own.yaml:")


def test_what_is_stated_of_arms_is_frozen_for_each_data_set(tmp_path: Path) -> None:
    facts = frozen_plan(planned(tmp_path, CROSSED, profile="quick"))
    goals = [(goal["arm"], goal.get("against"), goal["data_set"]) for goal in facts["goals"]]
    assert goals == [
        ("small-crowded", "large-crowded", "crowded"),
        ("small-simple", "large-simple", "simple"),
        ("small-simple", None, "simple"),
    ]
    claims = [(claim["arm"], claim["data_set"], claim["epoch"]) for claim in facts["claims"]]
    assert claims == [("small-crowded", "crowded", 1), ("small", None, None)]
    one = frozen_plan(planned(tmp_path, CROSSED, profile="quick", data=["crowded"]))
    assert [goal["arm"] for goal in one["goals"]] == ["small-crowded"]


def test_the_command_names_what_was_chosen(tmp_path: Path) -> None:
    plan = planned(tmp_path, CROSSED, profile="quick", data=["simple"], arms=["small"], seeds=[3])
    words = plan.command().split()
    assert words[words.index("--data") + 1] == "simple" and words[words.index("--arm") + 1] == "small"
    assert "--arm" not in planned(tmp_path, CROSSED, profile="quick").command()


@pytest.mark.parametrize("chosen", [["large-crowded"], ["large-crowded", "small-crowded"], ["large", "small-simple"]])
@pytest.mark.parametrize("data", [[], ["crowded"]])
def test_the_command_chooses_the_same_arms(tmp_path: Path, chosen: list[str], data: list[str]) -> None:
    chosen = [name for name in chosen if not (data and name.endswith("simple"))]
    plan = planned(tmp_path, CROSSED, profile="quick", arms=chosen, data=data)
    words = plan.command().split()
    again = [value for option, value in pairwise(words) if option == "--arm"]
    assert [arm.name for arm in planned(tmp_path, CROSSED, profile="quick", arms=again or None, data=data).arms] == [
        arm.name for arm in plan.arms
    ]


@pytest.mark.parametrize("given", ["nosuch", "[crowded,nosuch]"])
def test_a_role_that_is_none_is_no_crash(tmp_path: Path, given: str) -> None:
    with pytest.raises(RecipeError, match="no data set 'nosuch'"):
        resolve(read(tmp_path, CROSSED), overrides=[f"data={given}"])


def test_goals_follow_the_data_that_the_command_line_chose(tmp_path: Path) -> None:
    text = STAGED + "goals: [{metric: val/AP, arm: staged, against: flat, delta_at_least: 0.0}]\n"
    plan = planned(tmp_path, text, overrides=["data=[crowded]"])
    assert [(goal["arm"], goal["against"]) for goal in frozen_plan(plan)["goals"]] == [
        ("staged-crowded", "flat-crowded")
    ]


def test_a_profile_names_the_data_that_it_changes(tmp_path: Path) -> None:
    text = CROSSED.replace("  quick:\n", "  quick:\n    data: {train: {images: 4}}\n")
    with pytest.raises(RecipeError, match="by those names") as caught:
        resolve(read(tmp_path, text), profile="quick")
    assert "own.yaml:" in str(caught.value.where)


def test_the_plan_shows_what_each_stage_has_of_its_own(tmp_path: Path) -> None:
    sections = {section.title: section.lines for section in plan_page(planned(tmp_path, STAGED))}
    assert sections["Stages of staged"] == ("first: 4 epochs, data simple, augment.mosaic=0.0", "second: 8 epochs")


def test_an_arm_has_stages_of_its_own_and_each_stage_its_data(tmp_path: Path) -> None:
    found = resolve(read(tmp_path, STAGED))
    flat, staged = found.arms
    assert [stage.name for stage in flat.stages] == ["main"] and flat.epochs == 12
    assert [(s.name, s.epochs, s.data_set) for s in staged.stages] == [("first", 4, "simple"), ("second", 8, None)]
    assert staged.stages[0].data == found.data_sets["simple"] and staged.data == found.data_sets["crowded"]
    assert [s.epochs for s in resolve(read(tmp_path, STAGED), profile="short").arms[0].stages] == [1, 2]
    assert set(resolve(read(tmp_path, STAGED), arms=["flat"]).data_sets) == {"crowded"}


def test_the_last_stage_trains_on_what_the_arm_is_judged_on(tmp_path: Path) -> None:
    text = STAGED.replace("{name: second, epochs: 8}", "{name: second, epochs: 8, data: simple}")
    with pytest.raises(
        RecipeError, match="The last stage trains on simple, and the arm is judged on crowded"
    ) as caught:
        resolve(read(tmp_path, text))
    assert "own.yaml:15:" in str(caught.value.where)


def test_stages_are_what_the_arms_differ_in(tmp_path: Path) -> None:
    plan = planned(tmp_path, STAGED)
    assert [(finding.level, finding.field) for finding in plan.fairness] == [("varies", "stages")]
    assert plan.differs()["stages"]["staged"][0] == "first: 4 epochs, data simple, augment.mosaic=0.0"
    assert not [problem for problem in plan.problems if problem.level == "error"]


def test_a_stage_trains_on_what_was_prepared_for_it(tmp_path: Path) -> None:
    plan = planned(tmp_path, STAGED)
    data = {"crowded": {"fingerprint": "c"}, "simple": {"fingerprint": "s"}}
    spec = plan.spec(plan.arms[1], 0, data=data, experiment="e", python="python")
    assert spec.data == data["crowded"]
    assert [stage.data for stage in spec.stages] == [data["simple"], None]


@pytest.mark.parametrize(
    ("before", "after", "place", "hint"),
    [
        ("data: [crowded, simple]", "data: [crowded, simpel]", "own.yaml:8:", "simple"),
        ("data: [crowded, simple]", "data: [crowded, crowded]", "own.yaml:8:", None),
        ("data_set: simple", "data_set: simpel", "own.yaml:16:", "simple"),
        ("large: {train", "larg: {train", "own.yaml:26:", "large"),
        ("large: {train: {epochs: 3}}", "large: {train: {epoch: 3}}", "own.yaml:26:", "train.epochs"),
        ("small: {}\nvaries", "small: {stages: [{name: a}]}\nvaries", "own.yaml:12:", None),
    ],
)
def test_a_wrong_name_is_told_with_its_place(
    tmp_path: Path, before: str, after: str, place: str, hint: str | None
) -> None:
    assert before in CROSSED
    with pytest.raises(RecipeError) as caught:
        resolve(read(tmp_path, CROSSED.replace(before, after)), profile="quick")
    assert place in str(caught.value.where)
    assert hint is None or hint in str(caught.value.hint)


def test_a_value_of_named_data_is_set_under_its_name(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        resolve(read(tmp_path, CROSSED), overrides=["data.train.images=5"])
    assert caught.value.hint == "--set data_sets.crowded.train.images=5"
    found = resolve(read(tmp_path, CROSSED), overrides=["data_sets.simple.train.images=5"])
    assert found.data_sets["simple"].train.images == 5


@pytest.mark.parametrize(("found", "fits"), [(("s", None), True), (("other", None), False), ((None, None), False)])
def test_a_branch_trains_its_stages_on_the_same_data(found: tuple[str | None, ...], fits: bool) -> None:
    counts = {"attempt": 1, "step": 8, "epoch": 1, "stage": 0}
    origin = Origin(experiment="e", run="staged-s0", checkpoint=Path("c.pt"), overrides=(), changed={}, data="c",
                    stage_data=("s", None), **counts)  # fmt: skip
    with nullcontext() if fits else pytest.raises(RunError, match="staged-s0 trained on"):
        origin.check_data("c", found)
