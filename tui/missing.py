"""What is missing before a recipe can run: weights, data, an environment, packages, devices. Nothing is started."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from detui.tui.language import tr

if TYPE_CHECKING:
    from detui.engine.backends.base import Problem
    from detui.engine.configuration import Configuration
    from detui.engine.environment.standing import Standing
    from detui.engine.planning import Plan
    from detui.engine.workspace import Workspace


def missing(plan: Plan, configuration: Configuration) -> list[str]:
    """Return what is missing, each in a few words: "weights yolo11n.pt", "data bccd"."""
    return list(dict.fromkeys(_missing(plan, configuration)))


def _missing(plan: Plan, configuration: Configuration) -> Iterator[str]:
    from detui.engine.planning import ENVIRONMENT

    yield from map(environment_text, absent_environments(plan, configuration))
    yield from (tr("data {name}", name=state.name) for state in plan.data if state.problem is not None)
    fields = set()
    for arm in plan.arms:
        for weight in plan.recipe.backend.weights(arm.config):
            if (arm.name, weight.keys) not in plan.weights:
                fields.add(".".join(weight.keys))
                yield tr("weights {name}", name=weight.name)
    for problem in plan.errors:
        # The data's and the weights' own errors are said above, in fewer words.
        said = problem.where in (ENVIRONMENT, *fields) or problem.text in {state.problem for state in plan.data}
        if problem.missing and not said:
            yield _evaluators(problem, configuration) or problem.text.splitlines()[0]


def _evaluators(problem: Problem, configuration: Configuration) -> str | None:
    """Return the environment that an evaluator needs, with the command that makes it; None for another problem."""
    if not (problem.where or "").endswith(".evaluator"):
        return None
    from detui.engine.environment.standing import standing

    return environment_text(standing("nuscenes", configuration))


def absent_environments(plan: Plan, configuration: Configuration) -> list[Standing]:
    """Return how the environments stand that the arms need, of those that cannot be used."""
    from detui.engine.environment import OWN

    found = (_standing(name, configuration) for name in plan.resolved.environments if name != OWN)
    return [one for one in found if not one.usable]


def _standing(name: str, configuration: Configuration) -> Standing:
    from detui.engine.environment.standing import Standing, standing
    from detui.engine.errors import DetuiError

    try:
        return standing(name, configuration)
    except DetuiError as error:  # its pin file is wrong
        return Standing(name, "unreadable", None, problem=str(error).splitlines()[0], hint=error.hint)


def environment_text(absent: Standing) -> str:
    """Return an environment that is missing in a few words, with the command that makes it."""
    text = tr("environment {name}", name=absent.name)
    made = f" ({absent.command})" if absent.command else ""
    return f"{text}{made}"


def environment_problem(absent: Standing) -> str:
    """Return what keeps an environment from being used, as a sentence in the language in use."""
    name = absent.name
    sentences = {
        "outdated": tr("The environment {name} was made from other pins.", name=name),
        "being made": tr("The environment {name} is being made right now.", name=name),
        "incomplete": tr("The environment {name} was not made to its end.", name=name),
        "broken": tr("The environment {name} has no interpreter any more.", name=name),
        "absent": tr("The environment {name} is not made yet.", name=name),
    }
    if absent.state == "unreadable":
        return absent.problem or ""
    return sentences.get(absent.state, tr("There is no environment {name}.", name=name))


def first_profile(workspace: Workspace, ref: str) -> str:
    """Return the profile to show first: `quick` where there is no GPU, since the full one takes days there.

    Raises RecipeError for a recipe that cannot be read.
    """
    from detui.engine.placement import place
    from detui.engine.recipe.load import FULL

    quick = "quick" in workspace.recipe(ref).file.profiles
    return "quick" if quick and place().kind == "cpu" else FULL
