"""From a recipe and the choices of one launch to the arms as they will run.

The layers, from below: the backend's defaults, base, profile, arm, `--set`;
a stage's own sections lie over those. Where `data` names several data sets, each arm becomes one arm on each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detui.engine.analysis.fairness import covers, flatten
from detui.engine.closed import Keys, Where, validate
from detui.engine.errors import RecipeError
from detui.engine.recipe.library import shipped
from detui.engine.recipe.load import FULL, Arm, Recipe, check_fields, nearest, profile_arms
from detui.engine.recipe.merge import Layer, Merged, merge
from detui.engine.recipe.overrides import RECIPE_KEYS, Override, parse_overrides
from detui.engine.recipe.schema import DataSelection, Metric, Profile, RecipeFile, SplitSelection, Stage, Words
from detui.engine.yaml import walk


@dataclass(frozen=True, slots=True)
class ResolvedStage:
    """One stage of one arm, complete."""

    name: str
    epochs: int
    config: dict[str, Any]
    data_set: str | None = None
    """The role of the data that it trains on, where that is not the arm's own."""
    data: DataSelection | None = None
    """That data."""


@dataclass(frozen=True, slots=True)
class ResolvedArm:
    """One arm, complete: every field of the backend's schema has a value and a source."""

    name: str
    """As the run is called: with its data set where the recipe's arms run on several (`l-crowded`)."""
    of: str
    """As the recipe calls it (`l`)."""
    data_set: str | None
    """The role of its data (`crowded`); None where the recipe gives no roles."""
    data: DataSelection | None
    """What it is judged on, and trains on unless a stage says otherwise."""
    title: Words
    config: dict[str, Any]
    sources: dict[str, str]
    """`train.lr0` → `base, mosaic.yaml:14:5`, or `default of the ultralytics backend`."""
    stages: tuple[ResolvedStage, ...]
    environment: str
    """The one that it trains in: its own, or the recipe's."""

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
    data_sets: Mapping[str | None, DataSelection]
    """By role, all that an arm or a stage needs; by None the one of a recipe that gives no roles."""
    roles: tuple[str | None, ...]
    """Of the data sets that arms are run on; (None,) of a recipe that gives no roles."""
    crossed: bool
    """Whether each arm is run on each of them, and named after it."""
    chosen_data: tuple[str, ...]
    """What the launch chose (`--data`); empty: the recipe's."""
    usual: tuple[str, ...]
    """Names of the arms that run when none are chosen."""
    milestones: tuple[int, ...]
    """Epochs; the last epoch of the longest arm is always among them."""
    checkpoint_rule: dict[str, str]
    devices: int
    """How many each run trains on, unless the launch says it."""
    overrides: tuple[str, ...]

    @property
    def environments(self) -> tuple[str, ...]:
        """Those that the arms train in, each once."""
        return tuple(dict.fromkeys(arm.environment for arm in self.arms))


def resolve(
    recipe: Recipe,
    *,
    profile: str = FULL,
    arms: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    overrides: Sequence[str] = (),
    data: Sequence[str] = (),
) -> Resolved:
    """Apply a launch's choices. `data`: of several data sets those to run on, by role or by name; else one to take.

    Raises RecipeError naming the file and line, or the argument, at fault.
    """
    laid = recipe.profile(profile)
    parsed = parse_overrides(recipe, overrides)
    own = [o for o in parsed if o.arm is None and o.keys[0] in RECIPE_KEYS]
    settings = _recipe_settings(recipe, profile, laid, own)
    data_sets, roles, crossed = _data_sets(recipe, settings, data)
    places = [(arm, role) for role in roles for arm in recipe.arms]
    usual = [place for place in places if laid.arms is None or place[0].name in laid.arms]
    chosen = usual if arms is None else _chosen_arms(recipe, places, arms, crossed=crossed)
    over = profile_arms(recipe, profile, laid)

    def made(place: tuple[Arm, str | None]) -> ResolvedArm:
        arm, role = place
        return _arm(recipe, profile, laid, arm, over.get(arm.name), parsed, role, data_sets, crossed=crossed)

    complete = tuple(map(made, chosen))
    others = (made(place).epochs for place in usual if place not in chosen)
    rule = settings.checkpoint_rule
    needed = {s.data_set or arm.data_set for arm in complete for s in arm.stages} | {arm.data_set for arm in complete}
    return Resolved(
        recipe=recipe,
        profile=profile,
        arms=complete,
        seeds=tuple(_seeds(seeds) if seeds is not None else settings.seeds),
        data_sets={role: one for role, one in data_sets.items() if role in needed},
        roles=tuple(roles),
        crossed=crossed,
        chosen_data=tuple(data),
        usual=tuple(arm_name(arm.name, role, crossed=crossed) for arm, role in usual),
        milestones=_milestones(recipe, settings.milestones, max(arm.epochs for arm in complete), others),
        checkpoint_rule=rule.model_dump() if isinstance(rule, Metric) else {"rule": rule, "metric": "val/AP"},
        devices=settings.devices,
        overrides=tuple(overrides),
    )


def _said(override: Override) -> Where:
    """The place of a value that the command line gave."""
    return lambda keys: f"--set {override.text}"


def arm_name(arm: str, role: str | None, *, crossed: bool) -> str:
    """What an arm of the recipe is called as it is run: `l` on crowded data is `l-crowded` where it runs on several."""
    return f"{arm}-{role}" if crossed else arm


def _chosen_arms(
    recipe: Recipe, places: Sequence[tuple[Arm, str | None]], names: Sequence[str], *, crossed: bool
) -> list[tuple[Arm, str | None]]:
    """The arms that are named, by what the recipe calls them or, on one of several data sets, by what the run is."""
    known = {arm.name for arm, _ in places} | {arm_name(arm.name, role, crossed=crossed) for arm, role in places}
    for name in names:
        if name not in known:
            raise RecipeError(f"{recipe.ref} has no arm {name!r}.", where="--arm", hint=nearest(name, sorted(known)))
    return [(arm, role) for arm, role in places if {arm.name, arm_name(arm.name, role, crossed=crossed)} & {*names}]


def _seeds(seeds: Sequence[int]) -> list[int]:
    if not seeds or min(seeds) < 0 or len(set(seeds)) != len(seeds):
        raise RecipeError("Seeds are different numbers from 0 on, at least one.", where="--seeds", hint="--seeds 0,1,2")
    return list(seeds)


def _arm(
    recipe: Recipe,
    profile: str,
    laid: Profile,
    arm: Arm,
    over: tuple[tuple[Stage, ...] | None, Mapping[str, Any]] | None,
    overrides: Sequence[Override],
    role: str | None,
    data_sets: Mapping[str | None, DataSelection],
    *,
    crossed: bool,
) -> ResolvedArm:
    """One arm on one data set. `over`: stages and sections that the profile lays over this arm."""
    document, name = recipe.document, arm_name(arm.name, role, crossed=crossed)
    sets = [o for o in overrides if o.arm in (None, arm.name, name) and o.keys[0] not in RECIPE_KEYS]
    for override in sets:
        check_fields(recipe.backend, override.nested, _said(override))
    stages, at = _stages_of(recipe, profile, laid, arm, over[0] if over else None)
    layers = [
        Layer("base", recipe.file.base, document.below("base")),
        Layer(f"profile {profile}", laid.base, document.below("profiles", profile, "base")),
        Layer(f"arm {arm.name}", arm.overrides, document.below(*arm.keys)),
        Layer(f"profile {profile}", over[1] if over else {}, document.below("profiles", profile, "arms", arm.name)),
        *(Layer("--set", override.nested, _said(override)) for override in sets),
    ]
    merged = merge(layers)
    config = _complete(recipe, merged)
    return ResolvedArm(
        name=name,
        of=arm.name,
        data_set=role,
        data=data_sets.get(role),
        title=_on(arm.title, role) if crossed else arm.title,
        config=config,
        sources=_sources(recipe, merged, config),
        stages=_stages(recipe, layers, merged, config, stages, at, role, data_sets),
        environment=arm.environment or recipe.file.environment,
    )


def _on(title: Words, role: str | None) -> Words:
    """The title of an arm on one of several data sets."""
    return Words(en=f"{title.en}, {role}", zh=f"{title.zh}，{role}" if title.zh else None)


def _stages_of(
    recipe: Recipe, profile: str, laid: Profile, arm: Arm, over: tuple[Stage, ...] | None
) -> tuple[Sequence[Stage], Keys]:
    """The stages of an arm and where they stand: the profile's for it, its own, the profile's, the recipe's."""
    if over is not None:
        return over, ("profiles", profile, "arms", arm.name, "stages")
    if arm.stages is not None:
        return arm.stages, (*arm.keys, "stages")
    if laid.stages is not None:
        return laid.stages, ("profiles", profile, "stages")
    return recipe.file.stages, ("stages",)


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
    role: str | None,
    data_sets: Mapping[str | None, DataSelection],
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
        other = stage.data if stage.data != role else None
        config = _complete(recipe, merge([*layers, *over]))
        resolved.append(ResolvedStage(stage.name, stage.epochs, config, other, data_sets[other] if other else None))
    if resolved[-1].data_set:
        message = f"The last stage trains on {resolved[-1].data_set}, and the arm is judged on {role or 'other data'}: "
        where = recipe.document.where((*at, len(stages) - 1, "data"))
        hint = "let the last stage train on the arm's own data: leave its `data` out"
        raise RecipeError(f"{message}no checkpoint could be its best.", where=where, hint=hint)
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
        if strange := _other_model(stage.set, recipe.backend.model_of_stage):
            message = f"Stage {stage.name!r} sets {strange}, and it continues with the weights of the stage before."
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


def _other_model(sections: Mapping[str, Any], allowed: Sequence[str]) -> str | None:
    """The first field of the model that would make it another one, or None."""
    fields = flatten({"model": sections["model"]}) if "model" in sections else {}
    return next((field for field in fields if not any(covers(one, field) for one in allowed)), None)


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
        "data_sets": laid.data_sets or None,
        "seeds": laid.seeds,
        "devices": laid.devices,
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


def _data_sets(
    recipe: Recipe, settings: RecipeFile, names: Sequence[str]
) -> tuple[dict[str | None, DataSelection], Sequence[str | None], bool]:
    """All data by role, the roles that arms run on, and whether each arm runs on each of them.

    `names`: what the launch chose. Raises RecipeError for a name that is none of several, and where none is needed.
    """
    given = settings.data
    if given is None:
        if recipe.backend.needs_data or names:
            message = f"The {recipe.backend.name} backend trains on a data set, and this recipe names none."
            if not recipe.backend.needs_data:
                message = "This recipe brings its own data."
            where = "--data" if names else recipe.document.where(())
            raise RecipeError(message, where=where, hint="data: {name: scenes}")
        return {}, (None,), False
    if isinstance(given, DataSelection):
        return {None: _selection(recipe, _replaced(given, names))}, (None,), False
    known: dict[str | None, DataSelection] = {k: _selection(recipe, v) for k, v in settings.data_sets.items()}
    roles = [given] if isinstance(given, str) else given
    if unknown := [role for role in roles if role not in settings.data_sets]:
        message = f"data: there is no data set {unknown[0]!r} among the recipe's."
        raise RecipeError(message, where="--set data", hint=nearest(unknown[0], list(settings.data_sets)))
    words = {role: (role, settings.data_sets[role].name) for role in roles}
    for name in names:
        if not any(name in both for both in words.values()):
            message = f"{recipe.ref} runs on {', '.join(words)}, and not on {name!r}."
            hint = f"--data with {nearest(name, list(words))}; or --set data_sets.{roles[0]}.name={name}"
            raise RecipeError(message, where="--data", hint=hint)
    chosen = [role for role in roles if not names or set(words[role]) & set(names)]
    return known, chosen, isinstance(given, list)


def _replaced(given: DataSelection, names: Sequence[str]) -> DataSelection:
    """The recipe's selection of another data set, whose format may not have its options.

    Lists of ids are of the recipe's own choice out of its data: `--data`, also by the same name, takes none of them.
    """
    if not names:
        return given
    if len(names) > 1:
        raise RecipeError("This recipe runs on one data set.", where="--data", hint="one run for each: --data NAME")
    options = given.options if names[0] == given.name else {}
    unlisted = {role: part.model_copy(update={"ids": None}) for role, part in given.parts().items()}
    return given.model_copy(update={"name": names[0], "options": options, **unlisted})


def _selection(recipe: Recipe, data: DataSelection) -> DataSelection:
    parts = {role: _listed(recipe, part) for role, part in data.parts().items()}
    return data.model_copy(update={"name": _beside(recipe, data.name), **parts})


def _listed(recipe: Recipe, part: SplitSelection) -> SplitSelection:
    """A part whose list of ids is named by its absolute path: beside the recipe, or among those that ship."""
    if part.ids is None:
        return part
    beside = Path(recipe.document.source).absolute().parent / part.ids.file
    shipped_list = shipped() / "lists" / part.ids.file
    path = shipped_list if not beside.is_file() and shipped_list.is_file() else beside
    return part.model_copy(update={"ids": part.ids.model_copy(update={"file": str(path)})})


def _beside(recipe: Recipe, name: str) -> str:
    """A definition file named relative to the recipe, as its absolute path; any other name as it is."""
    beside = Path(recipe.document.source).parent / name
    if name.endswith((".yaml", ".yml")) and not Path(name).is_file() and beside.is_file():
        return str(beside.absolute())
    return name


def _milestones(recipe: Recipe, milestones: Sequence[int], epochs: int, others: Iterable[int]) -> tuple[int, ...]:
    """The milestones of the chosen arms, whose longest has `epochs`.

    `others`: the epochs of arms that were not chosen; milestones that only such an arm reaches are no mistake.
    """
    beyond = [m for m in milestones if m > epochs]
    if beyond and max(beyond) > max(others, default=0):
        message = f"milestones: epoch {beyond[0]} lies beyond the last epoch, {epochs}."
        raise RecipeError(message, where=recipe.document.where(("milestones",)), hint=f"--set milestones=[{epochs}]")
    return tuple(sorted({*(m for m in milestones if m <= epochs), epochs}))
