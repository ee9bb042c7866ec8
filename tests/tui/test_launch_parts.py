"""What the launch form is made of: the command it stands for, completion, errors by option, the estimate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from command_lines import ABOUT, parsed
from pilots import play, shows, until
from textual.pilot import Pilot
from textual.widgets import Input

from detui.engine.errors import UsageError
from detui.engine.measured import Measured
from detui.engine.planning import Plan
from detui.engine.workspace import Workspace
from detui.tui import overrides
from detui.tui.app import DetuiApp
from detui.tui.launch import Choices
from detui.tui.launch_text import data_choices, start_note
from detui.tui.recipe_page import page
from detui.tui.widgets.launch_fields import Devices


@pytest.mark.parametrize(
    ("choices", "about"),
    [
        ({}, {}),
        ({"profile": "full"}, {}),
        ({"arms": ("no-mosaic",), "seeds": "3, 4"}, {}),
        ({"data": "bccd"}, {}),
        ({"devices": "cpu", "cpu_slots": "1", "on_busy": "fail"}, {}),
        ({"devices": "cpu", "executor": "slurm", "slurm": "partition=gpu options='--nice=5 -v'"}, {}),
        ({"overrides": ("train.lr0=0.01", "no-mosaic.augment.mixup=0.5", "milestones=[4, 24]")}, {}),
        (
            {"name": "mine", "tags": "a, b c", "note": "it's a $trial; -x", "evaluate": False},
            {"name": "mine", "tags": ("a", "b c"), "note": "it's a $trial; -x", "no_evaluate": True},
        ),
    ],
)
def test_the_command_makes_the_same_plan(workspace: Path, choices: dict[str, object], about: dict[str, object]) -> None:
    chosen = Choices("starter/mosaic", **{"profile": "quick", **choices})  # type: ignore[arg-type]
    plan = chosen.plan(Workspace.open(str(workspace)))
    assert parsed(chosen.command(plan), workspace) == (plan, {**ABOUT, **about})


@pytest.mark.parametrize(
    ("choices", "where"),
    [
        ({"arms": ()}, "--arm"),
        ({"seeds": "0,x"}, "--seeds"),
        ({"seeds": "1,1"}, "--seeds"),
        ({"cpu_slots": "many"}, "--cpu-slots"),
        ({"devices": "gpu"}, "--devices"),
        ({"executor": "slurm", "slurm": "partitoin=gpu"}, "--slurm partitoin=gpu"),
        ({"executor": "slurm", "slurm": "options='-v"}, "--slurm"),
        ({"executor": "slurm", "devices": "0,1"}, "--devices"),
        ({"slurm": "partition=gpu"}, "--slurm"),
        ({"devices": "cpu", "min_free_memory": "20G"}, "--min-free-memory"),
        ({"overrides": ("train.lr=1",)}, "--set train.lr=1"),
    ],
)
def test_what_is_wrong_names_its_option(workspace: Path, choices: dict[str, object], where: str) -> None:
    with pytest.raises(UsageError) as found:
        Choices("starter/mosaic", "quick", **choices).plan(Workspace.open(str(workspace)))  # type: ignore[arg-type]
    assert found.value.where == where


@pytest.fixture
def plan(workspace: Path) -> Plan:
    return Workspace.open(str(workspace)).plan("starter/mosaic", profile="quick")


@pytest.mark.parametrize(
    ("typed", "becomes"),
    [
        ("tr", "train."),
        ("train.l", "train.lr0="),
        ("no-m", "no-mosaic."),
        ("no-mosaic.augment.mo", "no-mosaic.augment.mosaic="),
        ("data.train.i", "data.train.images="),
        ("mile", "milestones="),
        ("train.lr0=", "train.lr0=0.002"),
        ("no-mosaic.augment.mosaic=", "no-mosaic.augment.mosaic=0.0"),
        ("train.accept=", "train.accept=[workers]"),
        ("train.lr0=0.1", None),
        ("nothing", None),
        ("nothing=", None),
    ],
)
def test_keys_and_values_are_completed(plan: Plan, typed: str, becomes: str | None) -> None:
    assert overrides.completed(plan, typed) == becomes


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("lr", "train.lr0=  train.lrf="),
        ("train.lr0=", "now 0.002 · number · profile quick, mosaic.yaml:"),
        ("augment.mosaic=1", "now baseline 1.0, no-mosaic 0.0 · number"),
        ("arm.no-mosaic.augment.mosaic=1", "now 0.0 · number · arm no-mosaic"),
        ("train.deterministic=", "now true · true or false"),
        ("train.amp=", "now false · "),
        ("model.weights=", "now null · text / null"),
        ("train.accept=", "now [workers] · list"),
        ("nothing=1", ""),
    ],
)
def test_a_field_is_described_while_it_is_typed(plan: Plan, typed: str, said: str) -> None:
    assert overrides.about(plan, typed).startswith(said)


def test_every_completed_key_can_be_set(plan: Plan, workspace: Path) -> None:
    opened = Workspace.open(str(workspace))
    for key in overrides.keys(plan):
        value = overrides.completed(plan, f"{key}=")
        if value is not None:
            opened.plan("starter/mosaic", profile="quick", overrides=[value])


def test_the_time_is_that_of_all_runs_on_what_there_is(plan: Plan) -> None:
    measured = Measured(1 << 30, "host", 1.0, 60.0)
    known = {name: replace(one, measured=measured) for name, one in plan.estimates.items()}
    placement = replace(plan.placement, candidates=("cpu:0", "cpu:1"))
    # 24 epochs of a minute each; four runs, two at a time.
    assert "about 48m" in start_note(replace(plan, estimates=known, placement=placement))
    known["baseline"] = replace(known["baseline"], measured=None)
    assert "time not yet known" in start_note(replace(plan, estimates=known, placement=placement))


def test_a_secret_is_not_completed(workspace: Path, toy_recipe: Callable[..., Path]) -> None:
    recipe = toy_recipe()
    recipe.write_text(recipe.read_text().replace("train: {lr: 0.01}", "train: {lr: 0.01, api_key: abcdef}"))
    plan = Workspace.open(str(workspace)).plan(str(recipe))
    assert overrides.completed(plan, "train.api_key=") is None
    assert "abcdef" not in overrides.about(plan, "train.api_key=")


def test_devices_are_offered() -> None:
    there = Devices([("auto", ""), ("cpu", ""), ("2", "all GPUs for each run"), ("0,", "NVIDIA A100")])
    assert [there.completed(text) for text in ("a", "c", "0", "cpu", "", "x")] == [
        "auto",
        "cpu",
        "0,",
        None,
        None,
        None,
    ]
    assert there.text == "auto   cpu   2 all GPUs for each run   0, NVIDIA A100"
    assert {"auto", "cpu"} <= {word for word, _ in Devices.here().words}


@pytest.mark.parametrize(
    ("profile", "said"),
    [("full", "crowded (coco-indoor)   simple (homeobjects)"), ("quick", "crowded (scenes)   simple (scenes)")],
)
def test_the_data_that_may_be_chosen_are_the_profiles(workspace: Path, profile: str, said: str) -> None:
    plan = Choices("scratch-vs-pretrained/scratch-l-vs-mnv4", profile, data="simple").plan(
        Workspace.open(str(workspace))
    )
    assert data_choices(plan) == said
    sections = {section.title: section.lines for section in page(plan)}
    assert [line.startswith("  ") for line in sections["Data"]] == [False, True, True]


def test_data_that_a_stage_alone_trains_on_are_not_offered(workspace: Path) -> None:
    plan = Choices("finetune/coco-to-voc", "quick").plan(Workspace.open(str(workspace)))
    assert data_choices(plan) == "target (scenes)" and len(plan.data) == 2

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        app.open_recipe("finetune/coco-to-voc")
        await shows(app, pilot, "$ detui run finetune/coco-to-voc")
        await pilot.press("s")
        await shows(app, pilot, "Start 4 runs")
        line = app.screen.query_one("#data", Input)
        await until(pilot, lambda: line.placeholder == "target")

    play(workspace, script)
