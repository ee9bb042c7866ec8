"""The launch form: every key, the command it stands for, completion and errors as one types, and a real start."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from command_lines import parsed
from pilots import LARGE, SMALL, play, shows, text, until
from textual.pilot import Pilot
from textual.widgets import Input

from detui.engine.placement import Placement
from detui.engine.workspace import Workspace
from detui.tui.app import DetuiApp
from detui.tui.screens.confirm import ConfirmScreen
from detui.tui.screens.launch import LaunchScreen
from detui.tui.screens.recipe import RecipeScreen
from detui.tui.screens.run import RunScreen
from detui.tui.widgets.launch_fields import LaunchFields


async def opened(app: DetuiApp, pilot: Pilot[int], key: str = "enter") -> LaunchScreen:
    app.open_recipe("starter/mosaic")
    await shows(app, pilot, "$ detui run starter/mosaic")
    await pilot.press(key)
    await shows(app, pilot, "Profile", "[ Start 4 runs ]")
    assert isinstance(app.screen, LaunchScreen)
    return app.screen


async def typed(pilot: Pilot[int], id: str, value: str) -> None:
    """Go to a line by the keyboard alone, and type."""
    screen = pilot.app.screen
    for _ in range(30):
        focused = screen.focused
        if focused is not None and (focused.id == id or focused.has_class(id)) and not getattr(focused, "value", ""):
            break
        await pilot.press("down")
    await pilot.press(*value)


@pytest.mark.parametrize("size", [SMALL, LARGE, (60, 16)])
def test_the_form_says_what_it_stands_for(workspace: Path, size: tuple[int, int]) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        form = await opened(app, pilot)
        await typed(pilot, "seeds", "7")
        await typed(pilot, "override", "train.lr0=0.01")
        await typed(pilot, "override", "train.lrf=0.1")
        await typed(pilot, "name", "q1 2?")  # letters that are keys elsewhere
        await typed(pilot, "tags", "x,y")
        await typed(pilot, "note", "j k")
        await until(pilot, lambda: form.plan is not None)
        await pilot.press("ctrl+y")
        command = app.clipboard
        assert command == (
            "detui run starter/mosaic --profile quick --seeds 7 --set train.lr0=0.01 --set train.lrf=0.1"
            " --name 'q1 2?' --tag x --tag y --note 'j k'"
        )
        assert parsed(command, workspace)[0] == form.plan
        await shows(app, pilot, "[ Start 2 runs ]", "$ detui run starter/mosaic")

    play(workspace, script, size)


def test_every_key_of_the_form(workspace: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        form = await opened(app, pilot)

        def at(id: str) -> None:
            assert form.focused is not None
            assert form.focused.id == id

        at("profile")
        await pilot.press("space")
        await shows(app, pilot, "[smoke]", "--profile smoke")
        await pilot.press("left")
        await shows(app, pilot, "[quick]", "--profile quick")
        await pilot.press("right", "left", "enter")
        at("arm-0")
        await pilot.press("space", "j", "k")
        await shows(app, pilot, "[ ] baseline", "--arm no-mosaic", "[ Start 2 runs ]")
        await pilot.press("down", "space")
        await shows(app, pilot, "Choose at least one arm.", "$ …")
        await pilot.press("up", "space", "down", "space", "tab")
        at("data")
        await shows(app, pilot, "another data set in place of the recipe's")
        await pilot.press(*"bccd")
        await shows(app, pilot, "--data bccd")
        await pilot.press("ctrl+u", "tab")
        at("seeds")
        await pilot.press("shift+tab", "shift+tab")
        at("arm-1")
        await pilot.press("G")
        at("start")
        await pilot.press("g")
        at("profile")
        await pilot.press("home", "pagedown", "pageup", "end")
        at("start")
        await shows(app, pilot, "[ Start 4 runs ]")
        await pilot.press("enter")
        await shows(app, pilot, "Start 4 runs on CPU", "baseline-s0", "no-mosaic-s1", "--profile quick")
        await pilot.press("n", "up", "space")
        await shows(app, pilot, "--no-evaluate")
        await pilot.press("ctrl+r")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("n")
        await typed(pilot, "name", "1q")
        assert app.screen is form
        await pilot.press("escape")
        at("start")
        await pilot.press("escape")
        assert isinstance(app.screen, RecipeScreen)
        await pilot.press("s")  # what was chosen is still there
        await shows(app, pilot, "--no-evaluate", "1q")
        assert isinstance(app.screen, LaunchScreen)
        assert app.screen.focused is not None
        assert app.screen.focused.id == "start"

    play(workspace, script, LARGE)


def test_errors_stand_at_their_line_while_it_is_typed(workspace: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        form = await opened(app, pilot)
        await typed(pilot, "override", "train.lr")
        await shows(app, pilot, "train.lr0=  train.lrf=")
        await pilot.press("right")
        assert isinstance(form.focused, Input)
        assert form.focused.value == "train.lr0="
        await shows(app, pilot, "now 0.002 · number")
        await until(pilot, lambda: form.focused._suggestion == "train.lr0=0.002")
        await pilot.press(*"high")
        await shows(app, pilot, "found 'high', expected a valid number", "[ Start ]")
        await pilot.press("ctrl+r")
        assert app.screen is form
        await pilot.press("ctrl+u", *"train.epoch=1")
        await shows(app, pilot, "no such field", "try: train.epochs")
        await pilot.press("ctrl+u")
        await typed(pilot, "seeds", "0,a")
        await shows(app, pilot, "'0,a' is not a list of seeds.")
        await pilot.press("ctrl+u")
        await typed(pilot, "devices", "gp")
        await shows(app, pilot, "'gp' names no device", "--devices auto, cpu")
        await pilot.press("ctrl+u", "c")
        await until(pilot, lambda: getattr(form.focused, "_suggestion", "") == "cpu")
        await pilot.press("right")
        await shows(app, pilot, "--devices cpu")

    play(workspace, script, LARGE)


def test_what_is_typed_and_started_at_once_is_planned_first(workspace: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await opened(app, pilot)
        await typed(pilot, "seeds", "1,2,3")
        await pilot.press("ctrl+r")
        await shows(app, pilot, "Start 6 runs on CPU", "--seeds 1,2,3")

    play(workspace, script, LARGE)


def test_errors_of_the_plan_stop_the_start(workspace: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        form = await opened(app, pilot)
        await pilot.press("left")
        await shows(app, pilot, "--", "bf16 mixed precision needs a GPU", "try: --set train.amp=false")
        await pilot.press("ctrl+r", "end", "enter")
        assert app.screen is form

    play(workspace, script)


def test_a_form_that_only_looks_starts_nothing(workspace: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        form = await opened(app, pilot, "s")
        await pilot.press("enter", "ctrl+r")
        await until(pilot, lambda: any("--read-only" in one.message for one in app._notifications))
        assert app.screen is form

    play(workspace, script, read_only=True)


@pytest.mark.usefixtures("own_leases")
def test_a_real_recipe_is_started_from_the_form(workspace: Path, toy_recipe: Callable[..., Path]) -> None:
    recipe = toy_recipe()

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        app.open_recipe(str(recipe))
        await shows(app, pilot, "$ detui run")
        await pilot.press("enter")
        await shows(app, pilot, "[ Start 2 runs ]")
        await pilot.press("down", "down", "space")
        await typed(pilot, "override", "train.lr=0.5")
        await typed(pilot, "name", "first")
        await typed(pilot, "tags", "toy")
        await typed(pilot, "note", "by hand")
        await pilot.press("ctrl+r")
        await shows(app, pilot, "Start 1 run on CPU", "baseline-s0")
        await pilot.press("y")
        await until(pilot, lambda: isinstance(app.screen, RunScreen), 40)
        await shows(app, pilot, "baseline-s0")

    play(workspace, script, LARGE)
    facts = Workspace.open(str(workspace)).experiment("first").facts()
    assert (facts["tags"], facts["note"], facts["runs"]) == (["toy"], "by hand", ["baseline-s0"])
    assert facts["arms"][0]["config"]["train"]["lr"] == 0.5
    assert facts["command"].endswith("--arm baseline --set train.lr=0.5 --name first --tag toy --note 'by hand'")


@pytest.mark.usefixtures("own_leases")
def test_a_start_that_fails_is_told_and_can_be_mended(workspace: Path, toy_recipe: Callable[..., Path]) -> None:
    recipe = toy_recipe()

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        app.open_recipe(str(recipe))
        await shows(app, pilot, "$ detui run")
        await pilot.press("s", "enter")
        await shows(app, pilot, "Start 2 runs on CPU")
        workspace.rmdir()
        workspace.write_text("in the way")
        await pilot.press("y")
        await shows(app, pilot, str(workspace)[:20], "[ Start 2 runs ]", "Ready.")
        assert isinstance(app.screen, LaunchScreen)
        assert not app.screen.query_one("#form").disabled
        workspace.unlink()
        workspace.mkdir()

    play(workspace, script, LARGE)


def test_what_was_missing_may_be_there_by_now(
    workspace: Path, toy_recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, python = toy_recipe(), tmp_path / "later" / "bin" / "python"
    recipe.write_text(recipe.read_text(encoding="utf-8") + "\nenvironment: later\n", encoding="utf-8")
    (tmp_path / "config.yaml").write_text(f"environments: {{later: {python}}}\n", encoding="utf-8")
    monkeypatch.setenv("DETUI_CONFIG", str(tmp_path / "config.yaml"))

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        app.open_recipe(str(recipe))
        await shows(app, pilot, "$ detui run")
        await pilot.press("s")
        await shows(app, pilot, "The environment later has no interpreter")
        await pilot.press("ctrl+r")
        await until(pilot, lambda: any("later" in one.message for one in app._notifications))
        assert isinstance(app.screen, LaunchScreen)
        python.parent.mkdir(parents=True)
        python.symlink_to(sys.executable)
        await pilot.press("ctrl+r")
        await shows(app, pilot, "Start 2 runs on CPU")
        assert isinstance(app.screen, ConfirmScreen)

    play(workspace, script, LARGE)


@pytest.mark.slow
def test_the_screen_is_narrow_and_nothing_is_lost(workspace: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        form = await opened(app, pilot)
        await typed(pilot, "override", "train.lr0=0.01")
        await typed(pilot, "note", "a long note that takes more than one line of the command " * 2)
        await until(pilot, lambda: form.plan is not None)
        lines = text(app).splitlines()
        assert any("[ Start 4 runs ]" in line for line in lines)
        assert any("$ detui run" in line for line in lines)

    play(workspace, script, (60, 16))


@pytest.mark.usefixtures("own_leases")
def test_what_came_of_a_start_is_told_wherever_one_is(workspace: Path, toy_recipe: Callable[..., Path]) -> None:
    recipe = toy_recipe()

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        app.open_recipe(str(recipe))
        await shows(app, pilot, "$ detui run")
        await pilot.press("s", "enter")
        await shows(app, pilot, "Start 2 runs on CPU")
        await pilot.press("y", "escape")
        await until(pilot, lambda: any(one.message.startswith("Started mine.toy") for one in app._notifications), 40)

    play(workspace, script, LARGE)


def test_lines_that_do_not_apply_to_the_devices_are_not_asked(workspace: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        form = await opened(app, pilot)
        assert form.plan is not None
        fields = form.query_one(LaunchFields)
        assert "Free memory" not in text(app)
        await typed(pilot, "cpu-slots", "1")
        await until(pilot, lambda: form.plan is not None and form.plan.placement.cpu_slots == 1)
        gpu = Placement("cuda", "auto", ("GPU-1",), ("GPU 0, NVIDIA A100 (GPU-1)",), 4)
        fields.show(replace(form.plan, placement=gpu))
        await shows(app, pilot, "Free memory", "20G")
        assert "CPU slots" not in text(app)
        assert fields.choices().cpu_slots == ""
        fields.query_one("#min-free-memory", Input).value = "8G"
        assert fields.choices().min_free_memory == "8G"

    play(workspace, script, LARGE)
