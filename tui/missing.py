"""What is missing before a recipe can run: weights, data, an environment, packages, devices. Nothing is started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from detui.tui.language import tr

if TYPE_CHECKING:
    from detui.engine.configuration import Configuration
    from detui.engine.planning import Plan
    from detui.engine.workspace import Workspace


def missing(plan: Plan, configuration: Configuration) -> list[str]:
    """Return what is missing, each in a few words: "weights yolo11n.pt", "data bccd"."""
    return list(dict.fromkeys(_missing(plan, configuration)))


def _missing(plan: Plan, configuration: Configuration) -> Iterator[str]:
    if (name := absent_environment(plan, configuration)) is not None:
        yield tr("environment {name}", name=name)
    yield from (tr("data {name}", name=state.name) for state in plan.data if state.problem is not None)
    fields = set()
    for arm in plan.arms:
        for weight in plan.recipe.backend.weights(arm.config):
            if (arm.name, weight.keys) not in plan.weights:
                fields.add(".".join(weight.keys))
                yield tr("weights {name}", name=weight.name)
    for problem in plan.errors:
        # The data's and the weights' own errors are said above, in fewer words.
        said = problem.where in fields or problem.text in {state.problem for state in plan.data}
        if problem.missing and not said:
            yield problem.text.splitlines()[0]


def absent_environment(plan: Plan, configuration: Configuration) -> str | None:
    """Return the name of the environment that the recipe needs and nobody has configured, or None."""
    from detui.engine.environment import OWN

    name = plan.recipe.file.environment
    if name == OWN:
        return None
    python = configuration.environment(name)
    return name if python is None or not os.access(python, os.X_OK) else None


def first_profile(workspace: Workspace, ref: str) -> str:
    """Return the profile to show first: `quick` where there is no GPU, since the full one takes days there.

    Raises RecipeError for a recipe that cannot be read.
    """
    from detui.engine.placement import place
    from detui.engine.recipe.load import FULL

    quick = "quick" in workspace.recipe(ref).file.profiles
    return "quick" if quick and place().kind == "cpu" else FULL
