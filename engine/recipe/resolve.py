"""From a recipe and the choices of one launch to the arms as they will run.

The layers, from below: the backend's defaults, base, profile, arm, `--set`;
a stage's own sections lie over those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detui.engine.analysis.fairness import flatten
from detui.engine.closed import Keys, Where, validate
from detui.engine.errors import RecipeError
from detui.engine.recipe.load import FULL, Arm, Recipe, check_fields, nearest
from detui.engine.recipe.merge import Layer, Merged, merge
from detui.engine.recipe.overrides import RECIPE_KEYS, Override, parse_overrides
from detui.engine.recipe.schema import DataSelection, Metric, Profile, RecipeFile, Stage, Words
from detui.engine.yaml import walk


@dataclass(frozen=True, slots=True)
class ResolvedStage:
    """One stage of one arm, complete."""

    name: str
    epochs: int
    config: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ResolvedArm:
    """One arm, complete: every field of the backend's schema has a value and a source."""

    name: str
    title: Words
    config: dict[str, Any]
    sources: dict[str, str]
    """`train.lr0` → `base, mosaic.yaml:14:5`, or `default of the ultralytics backend`."""
    stages: tuple[ResolvedStage, ...]

    @property
    def epochs(self) -> int:
        """Epochs over all stages."""
        return sum(stage.epochs for stage in self.stages)

    def flat(self) -> dict[str, Any]:
        """The configuration as `train.lr0` → value."""
        return flatten(self.config)


@dataclass(frozen=True, slots=True)
class Resolved:
    """A recipe with one launch's choices applied."""

    recipe: Recipe
    profile: str
    arms: tuple[ResolvedArm, ...]
    seeds: tuple[int, ...]
    data: DataSelection | None
    milestones: tuple[int, ...]
    """Epochs; the last epoch of the longest arm is always among them."""
    checkpoint_rule: dict[str, str]
    overrides: tuple[str, ...]


def resolve(
    recipe: Recipe,
    *,
    profile: str = FULL,
    arms: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    overrides: Sequence[str] = (),
) -> Resolved:
    """Apply a launch's choices. Raises RecipeError naming the file and line, or the argument, at fault."""
    laid = recipe.profile(profile)
    parsed = parse_overrides(recipe, overrides)
    chosen = _chosen_arms(recipe, arms or laid.arms)
    complete = tuple(_arm(recipe, profile, laid, arm, parsed) for arm in chosen)
    own = [o for o in parsed if o.arm is None and o.keys[0] in RECIPE_KEYS]
    settings = _recipe_settings(recipe, profile, laid, own)
    epochs = max(arm.epochs for arm in complete)
    rule = settings.checkpoint_rule
    return Resolved(
        recipe=recipe,
        profile=profile,
        arms=complete,
        seeds=tuple(_seeds(seeds) if seeds is not None else settings.seeds),
        data=_needed_data(recipe, settings),
        milestones=_milestones(recipe, settings.milestones, epochs),
        checkpoint_rule=rule.model_dump() if isinstance(rule, Metric) else {"rule": rule, "metric": "val/AP"},
        overrides=tuple(overrides),
    )


def _said(override: Override) -> Where:
    """The place of a value that the command line gave."""
    return lambda keys: f"--set {override.text}"


def _chosen_arms(recipe: Recipe, names: Sequence[str] | None) -> list[Arm]:
    known = {arm.name: arm for arm in recipe.arms}
    for name in names or ():
        if name not in known:
            raise RecipeError(f"{recipe.ref} has no arm {name!r}.", where="--arm", hint=nearest(name, list(known)))
    return [arm for arm in recipe.arms if names is None or arm.name in names]


def _seeds(seeds: Sequence[int]) -> list[int]:
    if not seeds or min(seeds) < 0 or len(set(seeds)) != len(seeds):
        raise RecipeError("Seeds are different numbers from 0 on, at least one.", where="--seeds", hint="--seeds 0,1,2")
    return list(seeds)


def _arm(recipe: Recipe, profile: str, laid: Profile, arm: Arm, overrides: Sequence[Override]) -> ResolvedArm:
    document = recipe.document
    sets = [o for o in overrides if o.arm in (None, arm.name) and o.keys[0] not in RECIPE_KEYS]
    for override in sets:
        check_fields(recipe.backend, override.nested, _said(override))
    layers = [
        Layer("base", recipe.file.base, document.below("base")),
        Layer(f"profile {profile}", laid.base, document.below("profiles", profile, "base")),
        Layer(f"arm {arm.name}", arm.overrides, document.below(*arm.keys)),
        *(Layer("--set", override.nested, _said(override)) for override in sets),
    ]
    merged = merge(layers)
    config = _complete(recipe, merged)
    stages = laid.stages if laid.stages is not None else recipe.file.stages
    profile_stages: Keys = ("profiles", profile, "stages") if laid.stages is not None else ("stages",)
    return ResolvedArm(
        name=arm.name,
        title=arm.title,
        config=config,
        sources=_sources(recipe, merged, config),
        stages=_stages(recipe, layers, merged, config, stages, profile_stages),
    )


def _complete(recipe: Recipe, merged: Merged) -> dict[str, Any]:
    """The merged sections, checked against the backend's schema and with its defaults filled in."""
    return validate(recipe.backend.config, merged.values, merged.where).model_dump(mode="json")


def _sources(recipe: Recipe, merged: Merged, config: Mapping[str, Any]) -> dict[str, str]:
    default = f"default of the {recipe.backend.name} backend"
    sources = {}
    for keys, _ in walk(dict(config)):
        layer, place = merged.origins.get(keys, ("", ""))
        reset = keys in merged.reset and layer
        dotted = ".".join(map(str, keys))
        if not layer:
            sources[dotted] = default
        elif layer == "--set":
            sources[dotted] = place
        else:
            sources[dotted] = f"{default}, reset by {layer}" if reset else f"{layer}, {_short(place)}"
    return sources


def _short(place: str) -> str:
    """`mosaic.yaml:14:5` of a whole path with line and column."""
    return place.rsplit("/", 1)[-1]


def _stages(
    recipe: Recipe,
    layers: Sequence[Layer],
    merged: Merged,
    config: Mapping[str, Any],
    stages: Sequence[Stage],
    at: Keys,
) -> tuple[ResolvedStage, ...]:
    key = recipe.backend.epochs_key()
    epochs = int(_get(config, key))
    if not stages:
        return (ResolvedStage("main", epochs, dict(config)),)
    _check_stages(recipe, merged, stages, at, key, epochs)
    resolved = []
    for index, stage in enumerate(stages):
        own: Any = stage.epochs
        for part in reversed(key):
            own = {part: own}
        over = [
            Layer(f"stage {stage.name}", stage.set, recipe.document.below(*at, index, "set")),
            Layer(f"stage {stage.name}", own, recipe.document.below(*at, index)),
        ]
        resolved.append(ResolvedStage(stage.name, stage.epochs, _complete(recipe, merge([*layers, *over]))))
    return tuple(resolved)


def _check_stages(
    recipe: Recipe, merged: Merged, stages: Sequence[Stage], at: Keys, key: tuple[str, ...], epochs: int
) -> None:
    """Stages have different names, do not set the epochs twice, and add up to the epochs that the base states."""
    where, dotted = recipe.document.where, ".".join(key)
    names = [stage.name for stage in stages]
    for index, stage in enumerate(stages):
        if stage.name in names[:index]:
            raise RecipeError(f"Two stages are called {stage.name!r}.", where=where((*at, index, "name")))
        if "model" in stage.set:
            message = f"Stage {stage.name!r} sets the model, and a stage continues with the weights of the one before."
            raise RecipeError(
                message, where=where((*at, index, "set", "model")), hint="set the model in base or in an arm"
            )
        if _get(stage.set, key) is not None:
            message = f"Stage {stage.name!r} has its epochs twice: here and in its own field `epochs`."
            raise RecipeError(message, where=where((*at, index, "set", *key)), hint=f"leave {dotted} out of set")
    total = sum(stage.epochs for stage in stages)
    if key in merged.origins and key not in merged.reset and total != epochs:
        message = f"The stages have {total} epochs together, and {dotted} says {epochs}."
        raise RecipeError(message, where=merged.where(key), hint=f"set {dotted} to {total}, or leave it out")


def _get(config: Mapping[str, Any], keys: Sequence[str]) -> Any:
    value: Any = config
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _recipe_settings(recipe: Recipe, profile: str, laid: Profile, overrides: Sequence[Override]) -> RecipeFile:
    """The recipe's own keys with the profile's and the command line's values laid over them."""
    document = recipe.document
    rule = laid.checkpoint_rule
    given: dict[str, Any] = {
        "data": laid.data or None,
        "seeds": laid.seeds,
        "milestones": laid.milestones,
        "checkpoint_rule": rule.model_dump() if isinstance(rule, Metric) else rule,
    }
    values = {key: value for key, value in given.items() if value is not None}
    layers = [
        Layer("recipe", document.value, document.where),
        Layer(f"profile {profile}", values, document.below("profiles", profile)),
        *(Layer("--set", override.nested, _said(override)) for override in overrides),
    ]
    merged = merge(layers)
    return validate(RecipeFile, merged.values, merged.where)


def _needed_data(recipe: Recipe, settings: RecipeFile) -> DataSelection | None:
    if settings.data is None and recipe.backend.needs_data:
        message = f"The {recipe.backend.name} backend trains on a data set, and this recipe names none."
        raise RecipeError(message, where=recipe.document.where(()), hint="data: {name: scenes}")
    return settings.data and settings.data.model_copy(update={"name": _beside(recipe, settings.data.name)})


def _beside(recipe: Recipe, name: str) -> str:
    """A definition file named relative to the recipe, as its absolute path; any other name as it is."""
    beside = Path(recipe.document.source).parent / name
    if name.endswith((".yaml", ".yml")) and not Path(name).is_file() and beside.is_file():
        return str(beside.absolute())
    return name


def _milestones(recipe: Recipe, milestones: Sequence[int], epochs: int) -> tuple[int, ...]:
    beyond = [m for m in milestones if m > epochs]
    if beyond:
        message = f"milestones: epoch {beyond[0]} lies beyond the last epoch, {epochs}."
        raise RecipeError(message, where=recipe.document.where(("milestones",)), hint=f"--set milestones=[{epochs}]")
    return tuple(sorted({*milestones, epochs}))
