"""Plans of the recipes of a family, on a host that has neither data nor weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from detui.engine.planning import Plan
from detui.engine.recipe.resolve import ResolvedArm
from detui.engine.workspace import Workspace

Planner = Callable[..., Plan]
"""`plan(recipe, profile)`; each is planned once."""


def planner(family: str, folder: Path) -> Planner:
    """Plans of `family`'s recipes in a workspace of `folder`, which is empty."""
    workspace = Workspace.open(str(folder))

    @cache
    def planned(name: str, profile: str = "full") -> Plan:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DETUI_DATA", str(folder))
            patch.setenv("DETUI_WEIGHTS", str(folder))
            return workspace.plan(f"{family}/{name}", profile=profile, devices="cpu")

    return planned


def arms(made: Plan) -> dict[str, ResolvedArm]:
    """The arms of a plan by name."""
    return {arm.name: arm for arm in made.arms}


def undeclared(plan: Planner, name: str) -> list[str]:
    """In what arms of a recipe differ, in any profile, that it does not declare."""
    made = [(profile, plan(name, profile)) for profile in ("full", *plan(name).recipe.file.profiles)]
    return [f"{profile}: {one.text}" for profile, each in made for one in each.fairness if one.level == "confounder"]
