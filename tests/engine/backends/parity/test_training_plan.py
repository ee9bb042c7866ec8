"""The plan half: what the schema and the checks refuse, and arms with environments of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from detui.engine.backends.base import CheckContext
from detui.engine.backends.parity.plan import ParityBackend
from detui.engine.backends.parity.schema import ParityConfig
from detui.engine.closed import validate
from detui.engine.errors import MissingError, RecipeError
from detui.engine.planning import compared
from detui.engine.recipe.load import load_recipe
from detui.engine.recipe.resolve import resolve
from detui.tui.main import application


def problems(environment: str = "detui", images: int | None = 1000, **sections: Any) -> dict[str | None, str]:
    """Field → level of what is wrong."""
    config = ParityConfig.model_validate(sections).model_dump()
    context = CheckContext(arm="a", config=config, device="cpu", train_images=images, environment=environment)
    return {problem.where: problem.level for problem in ParityBackend().check(context)}


def test_a_framework_trains_where_it_is() -> None:
    assert problems() == {}
    assert problems("jittor", model={"framework": "jittor"}) == {}
    assert problems(model={"framework": "jittor"}) == {"model.framework": "error"}
    assert problems("jittor") == {"model.framework": "error"}


@pytest.mark.parametrize(
    ("sections", "found"),
    [
        ({"model": {"size": "r50"}}, {"model.backbone.frozen": "error"}),
        ({"model": {"size": "r50", "backbone": {"weights": "resnet50d.safetensors"}}}, {}),
        ({"model": {"size": "r50", "backbone": {"frozen": False}}}, {}),
        ({"train": {"image_size": 64}}, {"model.queries": "warning"}),
        ({"train": {"epochs": 1, "warmup_steps": 1000}}, {"train.warmup_steps": "error"}),
    ],
)
def test_contradictions_are_found(sections: dict[str, Any], found: dict[str, str]) -> None:
    assert problems(**sections) == found


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"model": {"channels": 20, "heads": 8}}, "8 heads cannot share 20 channels"),
        ({"model": {"weights": "a.pth", "backbone": {"weights": "b.pth"}}}, "name one of the two files"),
        ({"train": {"image_size": 100}}, "image_size"),
        ({"model": {"framework": "jax"}}, "jax"),
    ],
)
def test_what_the_schema_refuses(sections: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        validate(ParityConfig, sections, lambda keys: "recipe.yaml:1")


def test_arms_train_in_environments_of_their_own() -> None:
    recipe = load_recipe("parity/training")
    assert recipe.environments == ("detui", "jittor")
    resolved = resolve(recipe, profile="smoke")
    assert {arm.name: arm.environment for arm in resolved.arms} == {
        "torch": "detui", "torch-jitter": "detui", "jittor": "jittor",
    }  # fmt: skip
    assert resolved.environments == ("detui", "jittor")
    assert resolve(recipe, profile="smoke", arms=["torch"]).environments == ("detui",)
    assert compared(recipe, resolved.arms[2])["environment"] == "jittor"
    assert "environment" not in resolved.arms[2].config


def test_a_recipe_of_one_environment_compares_no_environments(tmp_path: Path) -> None:
    recipe = load_recipe("finetune/check")
    assert recipe.environments == ("mmdet",)
    (arm,) = resolve(recipe, profile="smoke").arms
    assert arm.environment == "mmdet" and "environment" not in compared(recipe, arm)


def test_an_environment_is_a_name(tmp_path: Path) -> None:
    text = Path(load_recipe("parity/training").document.source).read_text(encoding="utf-8")
    path = tmp_path / "wrong.yaml"
    path.write_text(text.replace("environment: jittor\n", "environment: [jittor]\n"), encoding="utf-8")
    with pytest.raises(RecipeError, match="environment"):
        load_recipe(str(path)).arms  # noqa: B018 - arms are read when they are asked for


def test_without_the_environment_nothing_starts_and_the_way_without_the_arm_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETUI_ENVIRONMENTS", str(tmp_path / "none"))
    monkeypatch.setenv("DETUI_CONFIG", str(tmp_path / "none.yaml"))
    command = ["--workspace", str(tmp_path / "logs"), "run", "parity/training", "--profile", "smoke", "--yes"]
    done = CliRunner().invoke(application, command)
    assert isinstance(done.exception, MissingError) and not list(tmp_path.glob("logs/*"))
    assert done.exception.message == "The environment 'jittor' is not made yet. It is that of the arm jittor."
    hint = "detui env create jittor, or leave it out: --arm torch --arm torch-jitter"
    assert done.exception.hint == hint
    alone = CliRunner().invoke(application, [*command, "--arm", "torch", "--arm", "jittor"])
    assert isinstance(alone.exception, MissingError) and alone.exception.hint == "detui env create jittor"
