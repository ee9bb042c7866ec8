"""What the arms of a plan would start from, before anything runs: where each file is, whether it is the right one, and
what a model would get of it, part by part.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from detui.engine.backends.base import WeightFile
from detui.engine.configuration import Configuration
from detui.engine.describe import classes_of
from detui.engine.environment import interpreter
from detui.engine.errors import DetuiError, MissingError, RunError
from detui.engine.planning import Plan
from detui.engine.process.borrow import Borrowed
from detui.engine.process.task import spec_task
from detui.engine.recipe.resolve import ResolvedArm
from detui.engine.weight_files import check_sum, form_of, promised

_TEXTS = (".yaml", ".yml")
"""A model's own file, which a backend counts among its weights."""


@dataclass(frozen=True, slots=True)
class FileCheck:
    """A weight file that arms name."""

    arms: tuple[str, ...]
    field: str
    name: str
    """As the recipe has it."""
    wanted: str | None
    """The SHA-256 that the recipe gives."""
    tried: tuple[Path, ...]
    """Every place where it may be."""
    path: Path | None
    """Where it is."""
    sha256: str | None = None
    form: str | None = None
    """How it is packed, and whether it holds tensors alone."""
    problem: DetuiError | None = None
    """What is wrong with it; MissingError where it is nowhere."""

    @property
    def known_by(self) -> str:
        """What its hash was held against: `recipe`, `name` (its eight digits) or `nothing`."""
        if self.wanted is not None:
            return "recipe"
        names = (self.name, self.path.name if self.path else "")
        return "name" if any(promised(name) for name in names) else "nothing"


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """What the models of arms that agree would get."""

    arms: tuple[str, ...]
    found: Mapping[str, Any]
    """As the backend says it: `parts`, `reinitialised`, `missing`, `unexpected`, `notices`, `error`; `random`."""
    problem: DetuiError | None = None
    """Why it could not be compared, or why the training would end before its first step."""


@dataclass(frozen=True, slots=True)
class WeightsCheck:
    """All of a plan."""

    files: tuple[FileCheck, ...]
    models: tuple[ModelCheck, ...]
    """Empty where the backend does not compare before the training."""
    compares: bool
    """Whether the backend compares before the training at all."""

    @property
    def exit_code(self) -> int:
        """1 where a check fails, 3 where something is absent and nothing fails, else 0."""
        every = [*(one.problem for one in self.files), *(one.problem for one in self.models)]
        problems = [problem for problem in every if problem is not None]
        absent = [problem for problem in problems if isinstance(problem, MissingError)]
        return RunError.exit_code if len(absent) < len(problems) else MissingError.exit_code if absent else 0


def check_weights(
    plan: Plan, configuration: Configuration, progress: Callable[[str, int, int], None] | None = None
) -> WeightsCheck:
    """Look at every weight file of a plan; where its backend can, build the models and compare.

    What is wrong or absent is in the result. `progress` is called with (text, done, all).
    """
    wanted = _wanted(plan)
    files = []
    for done, ((weight, arms), paths) in enumerate(wanted):
        if progress is not None:
            progress(f"reading {weight.name}", done, len(wanted))
        files.append(_file(weight, arms, paths, configuration))
    compares = plan.recipe.backend.compares_weights
    models = _models(plan, configuration, files) if compares and files else ()
    return WeightsCheck(tuple(files), tuple(models), compares)


def _wanted(plan: Plan) -> list[tuple[tuple[WeightFile, tuple[str, ...]], Path | None]]:
    """Each file once, with the arms that name it, and where it is."""
    arms: dict[tuple[WeightFile, Path | None], list[str]] = {}
    for arm in plan.arms:
        for weight in plan.recipe.backend.weights(arm.config):
            arms.setdefault((weight, plan.weights.get((arm.name, weight.keys))), []).append(arm.name)
    return [((weight, tuple(names)), path) for (weight, path), names in arms.items()]


def _file(weight: WeightFile, arms: tuple[str, ...], path: Path | None, configuration: Configuration) -> FileCheck:
    tried, field = tuple(configuration.weights_places(weight.name)), ".".join(weight.keys)
    found = FileCheck(arms, field, weight.name, weight.sha256, tried, path)
    if path is None:
        hint = f"detui weights add FILE --name {Path(weight.name).name}"
        return replace(found, problem=MissingError(f"There is no file {weight.name}.", where=field, hint=hint))
    try:
        where = ".".join((*weight.keys[:-1], "sha256"))
        digest = check_sum(path, [weight.name], weight.sha256, where)
        form = "a text" if path.suffix in _TEXTS else form_of(path)
    except DetuiError as error:
        return replace(found, problem=error)
    return replace(found, sha256=digest, form=form)


def _models(plan: Plan, configuration: Configuration, files: Sequence[FileCheck]) -> list[ModelCheck]:
    """Compare the models of arms whose files are here and right."""
    named = {arm for one in files for arm in one.arms}
    bad = {arm for one in files if one.problem is not None for arm in one.arms}
    groups: dict[str, list[ResolvedArm]] = {}
    models: dict[str, dict[str, Any]] = {}
    told: list[ModelCheck] = []
    for arm in plan.arms:
        if arm.name not in named or arm.name in bad:
            continue
        stage = arm.stages[0]  # later stages start from the one before
        try:
            classes = classes_of(stage.data or arm.data, configuration)
        except DetuiError as error:
            told.append(ModelCheck((arm.name,), {}, error))
            continue
        section = plan.placed(arm, stage.config)["model"]
        key = json.dumps([section, classes], sort_keys=True)
        groups.setdefault(key, []).append(arm)
        models[key] = {"section": section, "classes": classes}
    names = [tuple(arm.name for arm in arms) for arms in groups.values()]
    try:
        found = _compared(plan, configuration, next(iter(groups.values()))[0], [*models.values()]) if groups else []
    except DetuiError as error:  # the environment is absent, or cannot build the model
        return [*told, ModelCheck(tuple(name for one in names for name in one), {}, error)]
    told += [ModelCheck(arms, one, _problem(one)) for arms, one in zip(names, found, strict=True)]
    random = tuple(arm.name for arm in plan.arms if arm.name not in named)
    return [*told, *([ModelCheck(random, {"random": True})] if random else [])]


def _no_data(arm: ResolvedArm) -> dict[str | None, dict[str, Any]]:
    """Data need not be prepared to look at weights."""
    return {role: {} for role in (arm.data_set, *(stage.data_set for stage in arm.stages))}


def _compared(
    plan: Plan, configuration: Configuration, arm: ResolvedArm, models: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What the backend says of each model, all in one process."""
    recipe = plan.recipe
    bridge = configuration.workspace / ".environments"
    python = interpreter(arm.environment, recipe.backend.name, configuration, bridge)
    spec = plan.spec(arm, plan.seeds[0], experiment="weights", data=_no_data(arm), **python.asked)
    found: list[dict[str, Any]] = spec_task(spec, "weights", {"models": models}, Borrowed((), ()))["found"]
    return found


def _problem(found: Mapping[str, Any]) -> DetuiError | None:
    said = found.get("error")
    return RunError(said["message"], where=said["where"], hint=said["hint"]) if said else None


def named_by(name: str) -> list[str]:
    """The recipes that ship with detui and name a weight file so, in any of their profiles; those that cannot be read
    name none.
    """
    from detui.engine.recipe.library import recipe_files
    from detui.engine.recipe.load import FULL, read_recipe
    from detui.engine.recipe.resolve import resolve

    found = []
    for ref, path in recipe_files():
        with suppress(DetuiError, OSError, UnicodeDecodeError):
            if name not in path.read_text(encoding="utf-8"):  # reading each as a recipe takes a second
                continue
            recipe = read_recipe(ref, path)
            for profile in dict.fromkeys((FULL, *recipe.file.profiles)):
                arms = resolve(recipe, profile=profile).arms
                names = {Path(one.name).name for arm in arms for one in recipe.backend.weights(arm.config)}
                if name in names:
                    found.append(ref)
                    break
    return found
