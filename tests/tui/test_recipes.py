"""The list of recipes and a recipe's page: what is said, what is missing, every key."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from pilots import LARGE, SMALL, play, shows, text, until
from textual.pilot import Pilot
from textual.widgets import OptionList

from detui.engine.analysis import audit
from detui.engine.recipe.library import recipe_files
from detui.engine.recipe.schema import Claim, Goal
from detui.tui import language
from detui.tui.app import DetuiApp
from detui.tui.plan_text import finding_text
from detui.tui.recipe_page import claim_lines, goal_text
from detui.tui.screens.recipe import RecipeScreen
from detui.tui.screens.recipes import RecipesScreen
from detui.tui.screens.runs import RunsScreen
from detui.tui.settings import Settings

WEIGHTS = """\
schema: 1
title: {en: Fine-tuned, zh: 微调}
question: {en: Do pretrained weights help?, zh: 预训练权重有用吗？}
backend: ultralytics
data: {name: scenes}
base: {model: {name: yolo11n, weights: not-here.pt}, train: {epochs: 1, amp: false}}
arms: {baseline: {}}
"""


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Recipes of which none can run, instead of those that ship with detui."""
    folder = tmp_path / "shelf" / "poor"
    folder.mkdir(parents=True)
    (folder / "weights.yaml").write_text(WEIGHTS)
    (folder / "place.yaml").write_text(
        WEIGHTS.replace("weights: not-here.pt", "").replace("base:", "environment: far\nbase:")
    )
    (folder / "broken.yaml").write_text(WEIGHTS.replace("arms:", "armz:"))
    monkeypatch.setattr("detui.engine.recipe.library.shipped", lambda: folder.parent)
    return folder


def test_the_list_says_what_is_missing(workspace: Path, shelf: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("2")
        await shows(app, pilot, "missing: weights not-here.pt", "missing: environment far", "armz: there is no")
        await pilot.press("g", "enter")
        assert isinstance(app.screen, RecipesScreen)  # a broken recipe has no page
        await pilot.press("G", "enter")
        await shows(app, pilot, "Missing", "weights not-here.pt", "To be mended", "There is no file not-here.pt")

    play(workspace, script, LARGE)


def test_data_that_is_absent_is_missing(workspace: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("2")
        await shows(app, pilot, "finetune")
        await pilot.press("G")
        await shows(app, pilot, "starter/blood-cells", "missing: data bccd")

    play(workspace, script)


def test_the_filter_works_as_it_is_typed(workspace: Path, shelf: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("2")
        options = app.screen.query_one(OptionList)
        await until(pilot, lambda: options.option_count == 4)
        await pilot.press("slash", *"weights q")
        await until(pilot, lambda: options.option_count == 0)
        await shows(app, pilot, "No recipe fits")
        await pilot.press("backspace", "backspace")
        await until(pilot, lambda: options.option_count == 3)  # the family, and two that speak of weights
        await pilot.press("enter", "G")
        assert options.highlighted_option is not None
        assert options.highlighted_option.id == "poor/weights"
        await pilot.press("slash", "escape")
        await until(pilot, lambda: options.option_count == 4)
        assert options.highlighted_option.id == "poor/weights"
        assert options.has_focus

    play(workspace, script)


def test_titles_are_in_the_language_of_the_interface(workspace: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("2")
        await shows(app, pilot, "finetune")
        await pilot.press("G")
        await shows(app, pilot, "从零训练的轻量检测器与马赛克增强", "马赛克增强能否提高")
        await pilot.press("G", "enter")
        await shows(app, pilot, "使用马赛克增强")

    play(workspace, script, settings=Settings(language="zh"))


@pytest.mark.parametrize("size", [SMALL, LARGE, (60, 16)])
def test_wrapped_lines_hang(workspace: Path, size: tuple[int, int]) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("2", "slash", *"starter", "enter")  # all recipes are more than the narrowest shows
        await shows(app, pilot, "starter/mosaic", "bccd")
        lines = [line for line in text(app).splitlines()[1:-1] if line.strip()]
        headings = [line.split()[0] for line in lines if not line.startswith(" ")]
        assert set(headings) <= {name.split("/")[0] for name, _ in recipe_files()}, "the families alone"
        await pilot.press("G", "enter")
        await shows(app, pilot, "Question")
        await pilot.press("G")
        for line in text(app).splitlines()[1:-2]:
            assert not line.strip() or line.startswith(" "), line

    play(workspace, script, size)


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_recipe_shows_its_page_and_command(workspace: Path, size: tuple[int, int]) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await pilot.press("2")
        assert isinstance(app.screen, RecipesScreen)
        await shows(app, pilot, "finetune")
        await pilot.press("G")
        await shows(app, pilot, "starter/mosaic", "Does mosaic augmentation raise")
        await pilot.press("G", "g", "j", "k", "pagedown", "pageup", "end", "enter")
        await shows(app, pilot, "Question", "$ detui run starter/")
        assert isinstance(app.screen, RecipeScreen)
        await pilot.press("y")
        first = app.clipboard
        assert first.startswith("detui run starter/")
        await pilot.press("p")
        await until(pilot, lambda: f"$ {first}\n" not in text(app) + "\n")
        await pilot.press("j", "k", "G", "g", "pagedown", "pageup", "q", "1")
        assert isinstance(app.screen, RunsScreen)

    play(workspace, script, size)


def test_the_page_says_whether_the_comparison_is_fair(workspace: Path, toy_recipe: Callable[..., Path]) -> None:
    recipe = toy_recipe()
    recipe.write_text(recipe.read_text().replace("varies: [train]", "varies: [epochs]"))

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        app.open_recipe(str(recipe))
        await shows(app, pilot, "Is the comparison fair?", "! train.lr differs", "epochs is declared in `varies`",
                    "not yet known: parameters", "Memory and time", "no history", "Built model")  # fmt: skip

    play(workspace, script, (120, 60))


def test_the_recipe_is_edited_and_read_again(
    workspace: Path, toy_recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = toy_recipe()
    editor = recipe.with_name("editor")
    editor.write_text("#!/bin/sh\nsed -i s/armz:/arms:/ $1\n")
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    monkeypatch.setattr(DetuiApp, "suspend", lambda self: nullcontext())  # there is no terminal to give away
    recipe.write_text(recipe.read_text().replace("arms:", "armz:"))

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        app.open_recipe(str(recipe))
        await shows(app, pilot, "armz: there is no such field")
        await pilot.press("enter", "s", "p", "y")
        assert isinstance(app.screen, RecipeScreen)
        await pilot.press("e")
        await shows(app, pilot, "A toy program", "$ detui run")

    play(workspace, script, LARGE)


def test_a_profile_that_is_wrong_does_not_hide_the_others(workspace: Path, toy_recipe: Callable[..., Path]) -> None:
    recipe = toy_recipe()
    recipe.write_text(recipe.read_text() + "milestones: [3]\nprofiles: {short: {base: {epochs: 2}}}\n")

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        app.open_recipe(str(recipe))
        await shows(app, pilot, "A toy program")
        await pilot.press("p")
        await shows(app, pilot, "try: --set milestones=[2]")
        await pilot.press("p")
        await shows(app, pilot, "A toy program")

    play(workspace, script, LARGE)


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        (Goal(metric="val/AP50", at_least=0.4), "val/AP50: every arm at least 40 %"),
        (Goal(metric="val/AP", arm="a", at_most=0.125, title="low"), "low – val/AP: a at most 12.5 %"),
        (Goal(metric="val/AP", arm="a", against="b", delta_at_least=0.01), "a at least 1 percentage point above b"),
        (Goal(metric="val/AP", arm="a", against="b", delta_at_least=0.005), "at least 0.5 percentage points above b"),
        (Goal(metric="val/AP", arm="a", against="b", delta_at_least=-0.01), "a at most 1 percentage point below b"),
        (Goal(metric="model/parameters", at_most=3e6), "model/parameters: every arm at most 3,000,000"),
        (Goal(metric="cost/training_seconds", arm="a", against="b", delta_at_least=2), "a at least 2 above b"),
        (Goal(metric="val/mAP", arm="a", at_least=0.65, at_most=0.68), "val/mAP: a from 65 to 68 %"),
        (Goal(metric="val/mATE", arm="a", at_most=0.3373), "val/mATE: a at most 0.3373 m"),
        (
            Goal(metric="model.aqr.residual_weight", arm="a", at_least=0.65, at_most=0.7),
            "model.aqr.residual_weight as the training used it: a from 0.65 to 0.70",
        ),
        (
            Goal(metric="aqr/camera_relative_change", arm="a", at_least=0.25, at_most=0.3, iteration=50),
            "all features counted (those of zero as unchanged)), iteration 50: a from 25 to 30 %",
        ),
    ],
)
def test_goals_are_in_percent(goal: Goal, said: str) -> None:
    assert said in goal_text(goal)


def test_a_band_and_an_iteration_are_said_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "_current", "zh")
    goal = Goal(metric="aqr/camera_relative_change", arm="a", at_least=0.25, at_most=0.3)
    assert goal_text(goal).endswith("（零特征按未变化计）): a 在 25 至 30 % 之间")
    claim = Claim(metric="train/loss", value=13.35, source="文献 004", arm="a", iteration=50)
    assert [*claim_lines([claim])] == ["声称值：train/loss 13.35 (a, 第 50 次迭代) – 文献 004"]


def test_claims_are_labelled_as_claimed() -> None:
    claim = Claim(metric="val/AP", value=0.406, source="seeds/a.md", arm="b", note="of another split")
    assert [*claim_lines([claim])] == ["claimed: val/AP 40.6 % (b) – seeds/a.md – of another split"]


def test_what_is_claimed_of_one_metric_over_time_is_one_line() -> None:
    losses = [Claim(metric="train/loss", value=value, source="a.md", arm="b", iteration=at)
              for at, value in ((50, 13.35), (1000, 10.83))]  # fmt: skip
    final = [Claim(metric="val/AP", value=value, source=source) for value, source in ((0.4, "a.md"), (0.5, "b.md"))]
    assert [*claim_lines([*losses, *final])] == [
        "claimed: train/loss 13.35; 10.83 (b, iteration 50, 1000) – a.md",
        "claimed: val/AP 40 % – a.md",
        "claimed: val/AP 50 % – b.md",
    ]


DETECTORS = """\
schema: 1
title: Two detectors
question: Which is larger?
data: {name: scenes, options: {size: 64, classes: [disc, box, cross]}}
base:
  train: {epochs: 5, imgsz: 64, deterministic: false, warmup_epochs: 1.0}
  model:
    name: rtdetr-timm
    backbone: {name: mobilenetv4_conv_small_050}
    decoder: {hidden: 64, queries: 50, layers: 2, heads: 4, points: 2, feedforward: 96, denoising: 20, neck_blocks: 1}
arms: {deep: {}, shallow: {model: {decoder: {layers: 1}}}}
varies: [model]
"""


def told(app: DetuiApp) -> str:
    """The notices that are shown."""
    return "\n".join(note.message for note in app._notifications)


@pytest.fixture
def detectors(tmp_path: Path) -> Path:
    path = tmp_path / "detectors.yaml"
    path.write_text(DETECTORS)
    return path


def test_the_page_says_how_the_models_become_known(workspace: Path, detectors: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        app.open_recipe(str(detectors))
        await shows(app, pilot, "Models", "not built yet: deep, shallow; m builds them", "not yet known: parameters")

    play(workspace, script, (120, 60))


def test_a_program_has_no_models_to_build(workspace: Path, toy_recipe: Callable[..., Path]) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        app.open_recipe(str(toy_recipe()))
        await shows(app, pilot, "$ detui run")
        assert "Models" not in [line.strip() for line in text(app).splitlines()]
        await pilot.press("m")
        await until(pilot, lambda: "'command' cannot describe a model" in told(app))

    play(workspace, script, (120, 60))


@pytest.mark.slow
def test_models_are_built_in_the_background_whoever_looks(workspace: Path, detectors: Path) -> None:
    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        app.open_recipe(str(detectors))
        await shows(app, pilot, "not built yet: deep, shallow")
        await pilot.press("m")
        await shows(app, pilot, "building model 1 of 2…")
        await pilot.press("m")
        await until(pilot, lambda: "The models are being built." in told(app))
        await pilot.press("q")
        assert isinstance(app.screen, RunsScreen)
        await until(pilot, lambda: len(list((workspace / ".models").glob("*.json"))) == 2, 60)
        app.open_recipe(str(detectors))
        await shows(app, pilot, "channels at P5, stride 32", "ratio: to deep")
        assert "not built yet" not in text(app) and "not yet known: parameters" not in text(app)
        await pilot.press("m")
        await until(pilot, lambda: "The models are built: see Models." in told(app))

    play(workspace, script, (120, 90))


@pytest.mark.parametrize(("field", "value"), [("api_key", "hunter2"), ("server", "https://me:hunter2@host")])
def test_a_secret_that_differs_is_told_without_it(field: str, value: str) -> None:
    (finding,) = audit({"a": {field: value}, "b": {field: "other"}}, [field])
    said = finding_text(finding)
    assert said.startswith(f"{field} differs, as declared (a: ") and "***" in said and "hunter2" not in said
