"""What nobody trained yet is made of: the backend builds each arm's model in its environment, and says it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

from detui.engine.analysis.fairness import flatten
from detui.engine.configuration import Configuration
from detui.engine.devices.host import processor
from detui.engine.environment import OWN, interpreter
from detui.engine.errors import DetuiError, MissingError, RecipeError, UsageError
from detui.engine.models import model_key, recall, remember
from detui.engine.planning import Plan
from detui.engine.process.borrow import Borrowed, borrow
from detui.engine.process.task import spec_task
from detui.engine.recipe.resolve import ResolvedArm
from detui.engine.recipe.schema import DataSelection

NICE = 10
"""How much everybody else goes before the building of a model. What is measured is measured with none of it."""


def describe(
    plan: Plan,
    configuration: Configuration,
    *,
    speed: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> None:
    """Build the models of a plan that are not remembered, and remember what they are made of.

    Arms with the same model have it built once. `speed`: measure a pass of each, too, on the planned device (the first
    that may be chosen), which nobody else may use meanwhile. `progress` is called with (text, models done, models).
    Data and weights need not be there, but a data.yaml or annotations that alone say the classes. Raises UsageError for
    a backend that cannot describe its models, MissingError for what is absent (exit code 3), RecipeError for a model
    that the plan says is wrong, RunError where it cannot be built or the device is taken.
    """
    models = _models(plan, configuration)
    for done, (key, arm) in enumerate(models.items()):
        known = recall(configuration.workspace, key, plan.placement, own=arm.environment == OWN)
        if known is not None and (known.speed is not None or not speed):
            continue
        if progress is not None:
            progress(f"building the model of {arm.name}", done, len(models))
        remember(configuration.workspace, key, plan.placement, _described(plan, arm, configuration, speed))


def _models(plan: Plan, configuration: Configuration) -> dict[str, ResolvedArm]:
    """Key → the first arm with that model."""
    found: dict[str, ResolvedArm] = {}
    for arm in plan.arms:
        key = model_key(plan.resolved, arm, configuration)
        if key is None:
            name = plan.recipe.backend.name
            message = f"The backend {name!r} cannot describe a model: it does not know what would be built."
            raise UsageError(message, where="backend", hint="a run's record shows what the program itself reports")
        _check(plan, arm)
        found.setdefault(key, arm)
    return found


def _check(plan: Plan, arm: ResolvedArm) -> None:
    """Raise what the plan has found wrong with the model itself; what else would stop a run does not matter here."""
    fields = flatten(plan.recipe.backend.architecture(arm.config) or {})
    for problem in plan.errors:
        if problem.where and any(name == problem.where or name.startswith(f"{problem.where}.") for name in fields):
            kind: type[DetuiError] = MissingError if problem.missing else RecipeError
            raise kind(problem.text, where=problem.where, hint=problem.hint)


def _described(plan: Plan, arm: ResolvedArm, configuration: Configuration, speed: bool) -> Mapping[str, Any]:
    recipe = plan.recipe
    bridge = configuration.workspace / ".environments"
    found = interpreter(arm.environment, recipe.backend.name, configuration, bridge)
    # The model is built for what the run is judged on; no stage is trained.
    told_of = {"classes": classes_of(arm.data, configuration), **_pictures(arm)}
    data = dict.fromkeys((arm.data_set, *(stage.data_set for stage in arm.stages)), told_of)
    spec = plan.spec(arm, plan.seeds[0], experiment="describe", data=data, **found.asked)
    with _alone(plan) if speed else nullcontext(Borrowed((), ())) as on:
        told = spec_task(spec, "describe", {"speed": speed}, on, nice=0 if speed else NICE)
    if told.get("speed") and on.kind == "cpu":
        told["speed"]["device"]["name"] = processor()
    return told


@contextmanager
def _alone(plan: Plan) -> Iterator[Borrowed]:
    """The planned device, with nobody else on it. Raises RunError where it is taken."""
    if plan.placement.slurm is not None:
        text = "A speed is measured on this machine, and the runs go to Slurm."
        raise UsageError(text, where="--executor", hint="leave --executor slurm out")
    device = plan.placement.candidates[0] if plan.placement.kind == "cuda" else "cpu"
    with ExitStack() as held:
        try:
            on = held.enter_context(borrow(device, f"detui show, {plan.recipe.ref}", alone=True))
        except DetuiError as error:  # in the words of the command that was given
            error.where = "--devices"
            error.hint = "wait until it is free (`detui gpus` shows that), or leave the measurement of speed out"
            raise
        yield on


def _pictures(arm: ResolvedArm) -> dict[str, Any]:
    """Cameras, height and width of frames, where that is known before they are read."""
    from detui.engine.data.frame_pictures import frame_pictures

    found = frame_pictures(arm.data.name, arm.data.options) if arm.data else None
    return {} if found is None else {"pictures": list(found)}


def classes_of(data: DataSelection | None, configuration: Configuration) -> list[str]:
    """The names of the classes, from the data's annotations where nothing else says them.

    Raises UsageError without data, MissingError where only annotations say it and are absent.
    """
    from detui.engine.data.class_names import class_names
    from detui.engine.data.definition import load_definition

    if data is None:
        raise UsageError("The recipe names no data, so that nobody knows how many classes there are.", where="data")
    definition = load_definition(data.name).with_options(data.options)
    names = class_names(definition, configuration)
    if names is None:
        from detui.engine.data.opening import open_dataset

        split = data.val.split
        names = open_dataset(
            definition, configuration, splits=(split,), limits={split: 1}, tolerate=True,
            cache=configuration.workspace / ".data",
        ).classes  # fmt: skip
    return list(names)
