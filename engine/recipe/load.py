"""A recipe file as a checked value: schema, names that arms and goals refer to, and every section's fields.

All errors are RecipeErrors with file, line and column.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from detui.engine.analysis.fairness import covers
from detui.engine.backends import Backend, backend
from detui.engine.closed import Keys, Where, has_field, submodel, validate
from detui.engine.errors import RecipeError, UsageError
from detui.engine.evaluate.tables import MASKS, is_setting, of_masks
from detui.engine.recipe.library import find_recipe, shipped
from detui.engine.recipe.schema import SCHEMA, ArmEnvironment, ArmStages, Profile, RecipeFile, Stage, Words, words
from detui.engine.run.alarms import ALARMS
from detui.engine.yaml import Document, load_yaml, walk

FULL = "full"
"""The profile that lays nothing over the base."""


@dataclass(frozen=True)
class Arm:
    """One arm as it is written: a title and the sections it overrides."""

    name: str
    title: Words
    overrides: Mapping[str, Any]
    stages: tuple[Stage, ...] | None
    """Its own; None: the recipe's."""
    keys: Keys
    """Where the arm stands in the file."""
    environment: str | None = None
    """Its own; None: the recipe's."""


@dataclass(frozen=True)
class Recipe:
    """A recipe that was read and checked."""

    ref: str
    """`family/name`."""
    file: RecipeFile
    document: Document

    @property
    def family(self) -> str:
        """The family, by which recipes are grouped."""
        return self.file.family or self.ref.split("/")[0]

    @property
    def title(self) -> Words:
        """The title."""
        return words(self.file.title)

    @property
    def question(self) -> Words:
        """The question that the arms answer."""
        return words(self.file.question)

    @property
    def name(self) -> str:
        """What a command line calls it: `family/name`, or the path of a file of one's own."""
        path = Path(self.document.source)
        return self.ref if path.is_relative_to(shipped()) else str(path)

    @cached_property
    def backend(self) -> Backend:
        """The plan half of the recipe's backend."""
        return backend(self.file.backend, where=self.document.where(("backend",)))

    @cached_property
    def arms(self) -> tuple[Arm, ...]:
        """All arms: those written out, and one for each entry of `each_of`."""
        where = self.document.where
        written = [_arm(name, values, ("arms", name), where) for name, values in self.file.arms.items()]
        single = [_single(name, value) for name, value in self.file.each_of.items()]
        return (*written, *single)

    @cached_property
    def environments(self) -> tuple[str, ...]:
        """The environments that its arms train in; one, unless an arm names its own."""
        return tuple(dict.fromkeys(arm.environment or self.file.environment for arm in self.arms))

    def profile(self, name: str) -> Profile:
        """A profile by name. Raises RecipeError with the names there are."""
        if name in self.file.profiles:
            return self.file.profiles[name]
        if name == FULL:
            return Profile()
        names = sorted({FULL, *self.file.profiles})
        raise RecipeError(f"{self.ref} has no profile {name!r}.", hint=f"--profile {' or '.join(names)}")


def load_recipe(ref: str) -> Recipe:
    """Read and check a recipe given as `family/name`, `name` or a path. Raises RecipeError."""
    name, path = find_recipe(ref)
    return read_recipe(name, path)


def read_recipe(name: str, path: Path) -> Recipe:
    """Read and check one recipe file. Raises RecipeError with file, line and column."""
    try:
        document = load_yaml(path)
    except UsageError as error:
        raise RecipeError(error.message, where=error.where, hint=error.hint) from None
    return check_recipe(name, document)


def check_recipe(name: str, document: Document) -> Recipe:
    """Check a recipe that was read. Raises RecipeError with file, line and column."""
    value = document.value
    if not isinstance(value, dict):
        raise RecipeError("A recipe is a mapping of keys.", where=document.where(()), hint="detui show --schema")
    newer = value.get("schema")
    if isinstance(newer, int) and newer > SCHEMA:
        message = f"This recipe has schema {newer}, and this detui knows {SCHEMA}."
        raise RecipeError(message, where=document.where(("schema",)), hint="a newer detui")
    recipe = Recipe(name, validate(RecipeFile, value, document.where), document)
    _check_names(recipe)
    _check_sections(recipe)
    return recipe


def _arm(name: str, values: Mapping[str, Any], keys: Keys, where: Where) -> Arm:
    title = values.get("title", name)
    stated = {key: value for key, value in values.items() if key == "environment"}
    environment = validate(ArmEnvironment, stated, lambda below: where((*keys, *below))).environment
    rest = {key: value for key, value in values.items() if key not in ("title", "environment")}
    stages, overrides = own_stages(rest, keys, where)
    said = title if isinstance(title, dict) else {"en": str(title)}
    titled = validate(Words, said, lambda inner: where((*keys, "title", *inner)))
    return Arm(name, titled, overrides, stages, keys, environment)


def own_stages(values: Mapping[str, Any], keys: Keys, where: Where) -> tuple[tuple[Stage, ...] | None, dict[str, Any]]:
    """The stages that an arm states for itself at `keys`, and the sections beside them. Raises RecipeError."""
    stated = {key: value for key, value in values.items() if key == "stages"}
    stages = validate(ArmStages, stated, lambda below: where((*keys, *below))).stages
    return None if stages is None else tuple(stages), {key: value for key, value in values.items() if key != "stages"}


def _single(dotted: str, value: Any) -> Arm:
    """The arm of one `each_of` entry: it changes that field and nothing else."""
    overrides: Any = value
    for part in reversed(dotted.split(".")):
        overrides = {part: overrides}
    name = f"{dotted.replace('_', '-').replace('.', '-')}-{value}".lower()
    return Arm(name, Words(en=f"{dotted} = {value}"), overrides, None, ("each_of", dotted))


def _check_names(recipe: Recipe) -> None:
    """Every arm that a goal, a claim or a profile names exists, and so does every field that `varies` names."""
    arms = [arm.name for arm in recipe.arms]
    where = recipe.document.where
    named: list[tuple[Keys, str | None]] = []
    for index, goal in enumerate(recipe.file.goals):
        named += [(("goals", index, "arm"), goal.arm), (("goals", index, "against"), goal.against)]
    for index, decision in enumerate(recipe.file.decisions):
        named += [(("decisions", index, key), getattr(decision, key)) for key in ("arm", "against")]
    named += [(("claims", index, "arm"), claim.arm) for index, claim in enumerate(recipe.file.claims)]
    for name, profile in recipe.file.profiles.items():
        mapped = isinstance(profile.arms, dict)
        named += [(("profiles", name, "arms", a if mapped else i), a) for i, a in enumerate(profile.arms or ())]
    for keys, arm in named:
        if arm is not None and arm not in arms:
            raise RecipeError(f"There is no arm {arm!r}.", where=where(keys), hint=nearest(arm, arms))
    for index, alarm in enumerate(recipe.file.stop_on):
        if alarm not in ALARMS:
            message = f"There is no alarm {alarm!r}."
            raise RecipeError(message, where=where(("stop_on", index)), hint=nearest(alarm, list(ALARMS)))
    for index, dotted in enumerate(recipe.file.varies):
        _check_field(recipe, tuple(dotted.split(".")), ("varies", index))
    for dotted in recipe.file.each_of:
        _check_field(recipe, tuple(dotted.split(".")), ("each_of", dotted))
    _check_best_of(recipe)
    for key in ("goals", "claims"):
        for index, one in enumerate(getattr(recipe.file, key)):
            _check_metric(recipe, one.metric, (key, index, "metric"))
    for key in ("goals", "decisions"):
        for index, one in enumerate(getattr(recipe.file, key)):
            if of_masks(one.metric) and recipe.backend.masks is False:
                message = f"{one.metric}: the {recipe.backend.name} backend predicts no masks."
                hint = one.metric.replace(MASKS, "", 1)
                raise RecipeError(message, where=where((key, index, "metric")), hint=hint)
    _check_data_sets(recipe)


def _check_best_of(recipe: Recipe) -> None:
    """The setting that groups arms is one field in which they may differ, and all are judged on the same pictures."""
    asked, where = recipe.file.record.best_of, recipe.document.where
    if asked is None:
        return
    keys: Keys = ("record", "best_of", "by")
    field = tuple(asked.by.split("."))
    _check_field(recipe, field, keys)
    if submodel(recipe.backend.config, field) is not None:
        raise RecipeError(f"{asked.by} is a section of fields, and arms are grouped by one.", where=where(keys))
    if not any(covers(name, asked.by) for name in recipe.file.varies):
        message = f"The arms do not differ in {asked.by}, by which the best of each is to be chosen."
        raise RecipeError(message, where=where(keys), hint=f"varies: [{asked.by}]")
    if isinstance(recipe.file.data, list):
        message = "Arms on several data sets are judged on different pictures: no best one is chosen among them."
        raise RecipeError(message, where=where(("record", "best_of")), hint="data: one of them")


def _check_data_sets(recipe: Recipe) -> None:
    """Every one of `data_sets` that is named exists; goals, decisions and claims name one that the arms run on."""
    file, where = recipe.file, recipe.document.where
    chosen = [file.data] if isinstance(file.data, str) else file.data if isinstance(file.data, list) else []
    for laid, profile in file.profiles.items():
        if profile.data and chosen:
            hint = f"data_sets: {{{chosen[0]}: {{…}}}}"
            message = "The recipe names its data, and a profile lays values over it by those names."
            raise RecipeError(message, where=where(("profiles", laid, "data")), hint=hint)
    if len(set(chosen)) != len(chosen):
        raise RecipeError("`data` names one data set twice.", where=where(("data",)))
    named: list[tuple[Keys, str | None, Sequence[str]]] = [
        (("data", index) if isinstance(file.data, list) else ("data",), name, [*file.data_sets])
        for index, name in enumerate(chosen)
    ]
    for keys, stages in _all_stages(recipe):
        own = file.profiles[str(keys[1])].data_sets if keys[0] == "profiles" else {}
        roles = [*file.data_sets, *own]
        named += [((*keys, index, "data"), stage.data, roles) for index, stage in enumerate(stages)]
    for key in ("goals", "decisions", "claims"):
        named += [((key, i, "data_set"), one.data_set, chosen) for i, one in enumerate(getattr(file, key))]
    for keys, name, known in named:
        if name is not None and name not in known:
            hint = nearest(name, list(known)) if known else "data_sets: {crowded: {name: coco-indoor}}"
            raise RecipeError(f"There is no data set {name!r} among the recipe's.", where=where(keys), hint=hint)


def _all_stages(recipe: Recipe) -> Iterator[tuple[Keys, Sequence[Stage]]]:
    """Every list of stages that the recipe has, and where it stands."""
    yield ("stages",), recipe.file.stages
    for arm in recipe.arms:
        yield (*arm.keys, "stages"), arm.stages or ()
    for name, profile in recipe.file.profiles.items():
        yield ("profiles", name, "stages"), profile.stages or ()
        for arm_name, (stages, _) in profile_arms(recipe, name, profile).items():
            yield ("profiles", name, "arms", arm_name, "stages"), stages or ()


def profile_arms(
    recipe: Recipe, name: str, profile: Profile
) -> dict[str, tuple[tuple[Stage, ...] | None, dict[str, Any]]]:
    """What a profile lays over single arms: stages and sections of each. Raises RecipeError for wrong stages."""
    if not isinstance(profile.arms, dict):
        return {}
    where = recipe.document.where
    return {arm: own_stages(values, ("profiles", name, "arms", arm), where) for arm, values in profile.arms.items()}


def _check_field(recipe: Recipe, field: Keys, keys: Keys) -> None:
    if field in (("stages",), ("environment",)) and keys[0] == "varies":
        return
    unknown = _unknown(recipe.backend, field)
    if unknown:
        raise _no_such_field(recipe.backend, unknown, recipe.document.where(keys))


def _check_metric(recipe: Recipe, metric: str, keys: Keys) -> None:
    """A field must be there and no section of fields; a statistic of AQR one that the backend's trainings report."""
    of, field = recipe.backend, tuple(metric.split("."))
    if is_setting(metric):
        _check_field(recipe, field, keys)
        if (section := submodel(of.config, field)) is not None:
            message = f"{metric} is a section of fields, and a goal or a claim is about one number."
            hint = f"one of {', '.join(f'{metric}.{name}' for name in section.model_fields)}"
            raise RecipeError(message, where=recipe.document.where(keys), hint=hint)
    elif of.statistics is not None and metric.startswith("aqr/") and metric not in of.statistics:
        message = f"{metric}: the {of.name} backend reports no such statistic."
        hint = nearest(metric, list(of.statistics)) if of.statistics else "backend: torch"
        raise RecipeError(message, where=recipe.document.where(keys), hint=hint)


def _check_sections(recipe: Recipe) -> None:
    """Every field of every layer is one of the backend's, also where another layer hides it."""
    stacks: list[tuple[Keys, Mapping[str, Any]]] = [(("base",), recipe.file.base)]
    stacks += [(arm.keys, arm.overrides) for arm in recipe.arms if arm.keys[0] == "arms"]
    for name, profile in recipe.file.profiles.items():
        stacks.append((("profiles", name, "base"), profile.base))
        for arm, (_, sections) in profile_arms(recipe, name, profile).items():
            stacks.append((("profiles", name, "arms", arm), sections))
    for keys, stages in _all_stages(recipe):
        stacks += [((*keys, index, "set"), stage.set) for index, stage in enumerate(stages)]
    for at, values in stacks:
        check_fields(recipe.backend, values, recipe.document.below(*at))


def check_fields(of: Backend, values: Mapping[str, Any], where: Where) -> None:
    """Raise RecipeError for the first key in `values` that the backend's schema does not know."""
    for leaf, _ in walk(dict(values)):
        unknown = _unknown(of, leaf)
        if unknown:
            raise _no_such_field(of, unknown, where(unknown))


def _unknown(of: Backend, keys: Keys) -> Keys | None:
    """The beginning of `keys` that the schema does not know, or None. Below a free mapping everything is known."""
    for end in range(1, len(keys) + 1):
        if not has_field(of.config, keys[:end]):
            return keys[:end]
        if submodel(of.config, keys[:end]) is None:
            return None
    return None


def _no_such_field(of: Backend, keys: Keys, where: str) -> RecipeError:
    name = ".".join(map(str, keys))
    message = f"{name}: the {of.name} backend has no such field."
    return RecipeError(message, where=where, hint=nearest(name, dotted_fields(of)))


def dotted_fields(of: Backend) -> list[str]:
    """Every field of a backend's schema as `train.lr0`; those below sections of sections at the end."""
    found, deeper = [], []
    for section in of.config.model_fields:
        found.append(section)
        names = _below(of, (section,))
        found += names
        deeper += [name for inner in names for name in _below(of, tuple(inner.split(".")))]
    return found + deeper


def _below(of: Backend, keys: Keys) -> list[str]:
    inner = submodel(of.config, keys)
    return [".".join(map(str, (*keys, name))) for name in inner.model_fields] if inner else []


def nearest(name: str, known: list[str]) -> str:
    """The name that was probably meant, or the list of those there are."""
    close = difflib.get_close_matches(name, known, 1, 0.5)
    if not close:
        tails = {full.rsplit(".", 1)[-1]: full for full in known}
        close = [tails[tail] for tail in difflib.get_close_matches(name.rsplit(".", 1)[-1], tails, 1, 0.6)]
    return close[0] if close else f"one of {', '.join(known[:12])}"


def recipe_json_schema() -> dict[str, Any]:
    """The JSON Schema of a recipe file, with the sections of every backend, for editors."""
    from detui.engine.backends import BACKENDS

    schema = RecipeFile.model_json_schema(by_alias=True)
    definitions = schema.setdefault("$defs", {})
    for name in BACKENDS:
        sections = backend(name).config.model_json_schema()
        definitions.update(sections.pop("$defs", {}))
        sections.pop("required", None)  # a layer may give any part
        definitions[f"{name}_sections"] = sections
    anything = {"anyOf": [{"$ref": f"#/$defs/{name}_sections"} for name in BACKENDS]}
    schema["properties"]["base"] = anything
    definitions["Profile"]["properties"]["base"] = anything
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema
