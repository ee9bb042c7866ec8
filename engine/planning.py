"""A plan: what a launch would run, on what, with which values from where, and what is wrong with it.

Nothing here imports a framework. Facts that only the built model knows
(parameters, FLOPs) are in a plan where a run, or describe.py, has found them
before.
"""

from __future__ import annotations

import copy
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detui.engine.analysis.fairness import LEVELS, Finding, audit, flatten, with_consequences
from detui.engine.backends import several
from detui.engine.backends.base import CheckContext, Problem, WeightFile
from detui.engine.configuration import Configuration
from detui.engine.devices.logind import mortal
from detui.engine.errors import DetuiError, MissingError, RecipeError
from detui.engine.estimates import estimate, gpus
from detui.engine.evaluate.tables import of_masks
from detui.engine.measured import BUILT, Estimate, min_free
from detui.engine.models import Description, descriptions
from detui.engine.origin import Origin
from detui.engine.placement import Placement
from detui.engine.recipe.load import FULL, Recipe, nearest
from detui.engine.recipe.resolve import Resolved, ResolvedArm, ResolvedStage, arm_name
from detui.engine.recipe.schema import DataSelection
from detui.engine.run.spec import DeviceRequest, RunSpec, StageSpec

if TYPE_CHECKING:
    from detui.engine.data.definition import DatasetDefinition

ENVIRONMENT = "environment"
"""Where a problem of the environment that a recipe trains in is."""


@dataclass(frozen=True, slots=True)
class DataState:
    """Whether the data of a plan is here."""

    role: str | None
    """Which of several data sets it is; None where the recipe gives no roles."""
    name: str
    title: str
    generated: bool
    place: Path | None
    """None where it is generated, or absent."""
    problem: str | None
    """Why it cannot be used, with every place that was tried."""
    lists: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """Role → file, sha256 and images of the list of ids that chooses them."""

    @property
    def text(self) -> str:
        """One line for a person."""
        name = f"{self.role}: {self.name}" if self.role else self.name
        if self.problem:
            return f"{name}: absent"
        listed = (f"{role} {one['file']} (SHA-256 {one['sha256'][:12]})" for role, one in self.lists.items())
        return "; ".join(
            [f"{name}: " + ("generated, nothing to download" if self.generated else str(self.place)), *listed]
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a launch decides, before anything is written."""

    resolved: Resolved
    placement: Placement
    data: tuple[DataState, ...]
    """Every data set that is needed; none where the program brings its own."""
    problems: tuple[Problem, ...]
    fairness: tuple[Finding, ...]
    weights: Mapping[tuple[str, tuple[str, ...]], Path]
    """(arm, keys in its configuration) → the file that was found."""
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    """Arm → what it will probably need."""
    gpus: tuple[tuple[str, int | None, int | None], ...] = ()
    """(name as in "GPU 3", free bytes, all bytes) of the GPUs that may be chosen."""
    origin: Origin | None = None
    """Where the run begins, of a branch."""
    models: Mapping[str, Description] = field(default_factory=dict)
    """Arm → what its model is made of, where it was built to be looked at before."""

    @property
    def recipe(self) -> Recipe:
        """The recipe."""
        return self.resolved.recipe

    @property
    def profile(self) -> str:
        """The profile's name."""
        return self.resolved.profile

    @property
    def arms(self) -> tuple[ResolvedArm, ...]:
        """The arms that would run."""
        return self.resolved.arms

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of each arm."""
        return self.resolved.seeds

    @property
    def runs(self) -> list[str]:
        """The names of the runs, in the order in which they are submitted: arms alternate within a seed."""
        return [f"{arm.name}-s{seed}" for seed in self.seeds for arm in self.arms]

    @property
    def ranks(self) -> int:
        """How many processes of each run train."""
        return several.ranks(self.recipe.backend, self.placement.devices)

    @property
    def threads(self) -> int:
        """CPU threads of each process that trains."""
        return several.threads(self.recipe.backend, self.placement.kind, self.placement.threads, self.placement.count)

    @property
    def shares(self) -> dict[tuple[str, str], several.Share]:
        """(arm, stage) → how the devices of a run share a step; {} with one device, or where nobody can say."""
        devices, backend = self.placement.devices, self.recipe.backend
        found = {(arm.name, s.name): several.share(backend, s.config, devices) for arm in self.arms for s in arm.stages}
        return {place: share for place, share in found.items() if share is not None}

    @property
    def errors(self) -> list[Problem]:
        """What stops the launch."""
        return [problem for problem in self.problems if problem.level == "error"]

    def raise_errors(self) -> None:
        """Raise the first error, the others in its text: MissingError (exit 3) or RecipeError (exit 2)."""
        errors = self.errors
        if not errors:
            return
        first, rest = errors[0], errors[1:]
        text = first.text + "".join(f"\n{e.where + ': ' if e.where else ''}{e.text}" for e in rest)
        kind: type[DetuiError] = MissingError if first.missing else RecipeError
        raise kind(text, where=first.where, hint=first.hint)

    def raise_confounders(self) -> None:
        """Raise RecipeError where arms differ in what the recipe does not declare: what `--strict` refuses."""
        found = _only_confounders(self.fairness)
        if found:
            text = "Arms differ in what the recipe does not declare:\n  " + "\n  ".join(one.text for one in found)
            raise RecipeError(text, where="--strict", hint=_confounder(found[0]).hint)

    def differs(self) -> dict[str, dict[str, Any]]:
        """The fields in which the arms differ, with each arm's value."""
        flats = {arm.name: flatten(compared(self.recipe, arm)) for arm in self.arms}
        fields = sorted({field for flat in flats.values() for field in flat})
        values = {field: {name: flat.get(field) for name, flat in flats.items()} for field in fields}
        return {field: v for field, v in values.items() if len({repr(x) for x in v.values()}) > 1}

    def command(
        self, *, name: str | None = None, tags: Sequence[str] = (), note: str | None = None, evaluate: bool = True
    ) -> str:
        """The command line that does the same."""
        words = self._chosen() if self.origin is None else self.origin.words()
        words += self.placement.words()
        words += ["--name", name] if name else []
        words += [word for tag in tags for word in ("--tag", tag)]
        words += ["--note", note] if note else []
        words += [] if evaluate else ["--no-evaluate"]
        return shlex.join(words)

    def _chosen(self) -> list[str]:
        words = ["detui", "run", self.recipe.name]
        if self.profile != FULL:
            words += ["--profile", self.profile]
        words += [word for name in self.resolved.chosen_data for word in ("--data", name)]
        if {arm.name for arm in self.arms} != set(self.resolved.usual):
            words += [word for name in self._named() for word in ("--arm", name)]
        if list(self.seeds) != (self.recipe.profile(self.profile).seeds or self.recipe.file.seeds):
            words += ["--seeds", ",".join(map(str, self.seeds))]
        return words + [word for override in self.resolved.overrides for word in ("--set", override)]

    def _named(self) -> list[str]:
        """The fewest names that choose these arms: an arm that runs on every data set is named once."""
        chosen, found = {arm.name for arm in self.arms}, self.resolved
        everywhere = {a.of: {arm_name(a.of, role, crossed=found.crossed) for role in found.roles} for a in self.arms}
        whole = {arm for arm, names in everywhere.items() if names <= chosen}
        names = [arm.of if arm.of in whole else arm.name for arm in self.arms]
        return list(dict.fromkeys(names))

    def spec(
        self,
        arm: ResolvedArm,
        seed: int,
        *,
        data: Mapping[str | None, dict[str, Any]],
        environ: Mapping[str, str] | None = None,
        **more: Any,
    ) -> RunSpec:
        """The run spec of one arm and seed.

        `data`: prepared, by role as in `Resolved.data_sets`. `environ`: the variables of the named environment, over
        which the backend's go. `more`: what the workspace adds (experiment, python …).
        """
        backend = self.recipe.backend
        return RunSpec(
            recipe=self.recipe.ref,
            arm=arm.name,
            seed=seed,
            profile=self.profile,
            backend=backend.name,
            trainer=backend.trainer,
            environ={**(environ or {}), **backend.environ()},
            device=self._request(arm),
            threads=self.threads,
            ranks=self.ranks,
            nodes=self.placement.nodes,
            config=self.placed(arm, arm.config),
            stages=tuple(
                StageSpec(
                    name=stage.name,
                    epochs=stage.epochs,
                    config=self.placed(arm, stage.config),
                    data=data[stage.data_set] if stage.data_set else None,
                )
                for stage in arm.stages
            ),
            data=data.get(arm.data_set),
            masks=self._masks(),
            milestones=tuple(sorted(m for m in {*self.resolved.milestones, arm.epochs} if m <= arm.epochs)),
            checkpoint_rule=self.resolved.checkpoint_rule,
            stop_on=tuple(self.recipe.file.stop_on),
            **more,
        )

    def _masks(self) -> bool | None:
        """Whether detections carry masks; of any program they must where a checkpoint is chosen by masks."""
        by_masks = of_masks(str(self.resolved.checkpoint_rule.get("metric")))
        return True if self.recipe.backend.masks is None and by_masks else self.recipe.backend.masks

    def _request(self, arm: ResolvedArm) -> DeviceRequest:
        """The devices of one run; where nobody said how much memory must be free, as much as was needed before."""
        request, known = self.placement.request(), self.estimates.get(arm.name)
        if request.kind != "cuda" or request.granted or request.named or request.min_free_memory or known is None:
            return request
        return replace(request, min_free_memory=min_free(known.measured, [total for _, _, total in self.gpus]))

    def placed(self, arm: ResolvedArm, config: Mapping[str, Any]) -> dict[str, Any]:
        """A configuration with the names of weight files replaced by where they are."""
        placed = copy.deepcopy(dict(config))
        for (name, keys), path in self.weights.items():
            if name == arm.name:
                inner: Any = placed
                for key in keys[:-1]:
                    inner = inner[key]
                inner[keys[-1]] = str(path)
        return placed


def make_plan(
    resolved: Resolved, placement: Placement, configuration: Configuration, origin: Origin | None = None
) -> Plan:
    """Look at what the launch needs: data, weights, each backend's own checks, fairness between arms.

    A branch (`origin`) starts from a checkpoint, so that the weights which its origin started from may be gone.
    """
    data, problems = _data(resolved, configuration)
    weights, absent = _weights(resolved, configuration)
    if origin is not None:
        absent = []
    done = origin.epoch if origin is not None else 0
    estimates = {arm.name: estimate(resolved, arm, placement, configuration.workspace, done) for arm in resolved.arms}
    models = descriptions(resolved, placement, configuration)
    findings = _audit(resolved, built_before(resolved, estimates, models)) if len(resolved.arms) > 1 else []
    return Plan(
        resolved=resolved,
        placement=placement,
        data=tuple(data),
        problems=(
            *_environments(resolved, configuration),
            *{problem.text: problem for problem in problems}.values(),
            *absent,
            *_checks(resolved, placement),
            *map(_busy_device, placement.warnings),
            *([_refused(placement.refusal)] if placement.refusal else []),
            *(_logout() if placement.slurm is None else ()),
            *map(_confounder, _only_confounders(findings)),
        ),
        fairness=tuple(findings),
        weights=weights,
        estimates=estimates,
        gpus=gpus(placement),
        origin=origin,
        models=models,
    )


def built_before(
    resolved: Resolved, estimates: Mapping[str, Estimate], models: Mapping[str, Description]
) -> dict[str, dict[str, Any]]:
    """Arm → what is known of its built model: of all arms by runs, or of all by descriptions, which count FLOPs in
    another way; {} where neither knows all.
    """
    runs = {arm: known.measured.built for arm, known in estimates.items() if known.measured and known.measured.built}
    told = {arm: {name: one.facts[name] for name in BUILT if name in one.facts} for arm, one in models.items()}
    return next((found for found in (runs, told) if len(found) == len(resolved.arms)), {})


def _audit(resolved: Resolved, built: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """Compare the arms in their configuration and, where all have been built before, in what was built.

    What was built is compared between arms on the same data alone: other classes make another model.
    """
    varies = resolved.recipe.file.varies
    found = audit({arm.name: compared(resolved.recipe, arm) for arm in resolved.arms}, varies)
    if not built:
        return found
    roles = dict.fromkeys(arm.data_set for arm in resolved.arms)
    alike = [[arm.name for arm in resolved.arms if arm.data_set == role] for role in roles]
    more = [one for names in alike for one in audit({name: {"built": built[name]} for name in names},
                                                    with_consequences(varies)) if one.level != "note"]  # fmt: skip
    return sorted([*found, *more], key=lambda one: (LEVELS.index(one.level), one.field))


def compared(recipe: Recipe, arm: ResolvedArm) -> dict[str, Any]:
    """What is compared of an arm: its configuration, each stage in a text where there are several, and its environment
    where the recipe's arms have several.
    """
    stages = stage_texts(recipe, arm)
    own = {ENVIRONMENT: arm.environment} if len(recipe.environments) > 1 else {}
    return {**arm.config, **({"stages": stages} if stages else {}), **own}


def stage_texts(recipe: Recipe, arm: ResolvedArm) -> list[str]:
    """Each stage of an arm in a text, with what it has of its own; none where there is one stage alone."""
    if len(arm.stages) == 1:
        return []
    epochs = ".".join(recipe.backend.epochs_key())
    return [_stage_text(arm.flat(), stage, epochs) for stage in arm.stages]


def _stage_text(flat: Mapping[str, Any], stage: ResolvedStage, epochs: str) -> str:
    """`warm: 50 epochs, data simple, augment.mosaic=0.0`: what a stage has of its own."""
    own = [f"{k}={v}" for k, v in flatten(stage.config).items() if k != epochs and v != flat.get(k)]
    data = [f"data {stage.data_set}"] if stage.data_set else []
    return ", ".join([f"{stage.name}: {stage.epochs} epoch{'s' if stage.epochs != 1 else ''}", *data, *own])


def _data(resolved: Resolved, configuration: Configuration) -> tuple[list[DataState], list[Problem]]:
    """Whether each data set is here, and what is wrong with the selections of them."""
    states, problems = [], []
    for role, selection in resolved.data_sets.items():
        state, found = _data_state(role, selection, configuration, resolved)
        states.append(state)
        problems += found
    return states, problems


_HELD = {"images": "images with boxes in pixels", "frames": "frames of cameras and LiDAR"}


def _data_state(
    role: str | None, selection: DataSelection, configuration: Configuration, resolved: Resolved
) -> tuple[DataState, list[Problem]]:
    from detui.engine.data.definition import load_definition
    from detui.engine.data.depth_reading import with_depth
    from detui.engine.data.roots import find_root
    from detui.engine.evaluate.judging import unfit_for_masks

    name, where = selection.name, f"data_sets.{role}" if role else "data"
    devkit = _devkit(where, configuration) if selection.evaluator == "nuscenes-devkit" else []
    try:
        definition = load_definition(name).with_options(selection.options)
        definition = with_depth(definition) if selection.depth else definition
        place = None if definition.generated else find_root(definition, configuration)
    except MissingError as error:
        problem = Problem(level="error", text=error.message, where=error.where, hint=error.hint, missing=True)
        return DataState(role, name, name, False, None, error.message), [problem, *devkit]
    problems = list(devkit)
    backend, trains_on = resolved.recipe.backend, resolved.recipe.backend.trains_on
    if unfit := unfit_for_masks(resolved.checkpoint_rule, backend.masks, definition.masks):
        text, field, hint = unfit
        problems.append(Problem(level="error", text=text, where=where if field == "data" else field, hint=hint))
    holds = "images" if definition.frames is None else "frames"
    if trains_on not in (None, holds):
        text = f"The data set {name} holds {_HELD[holds]}, no {_HELD[str(trains_on)]}."
        problems.append(Problem(level="error", text=text, where=where, hint=f"choose a data set of {trains_on}"))
    lists, wrong = _lists(where, selection, definition)
    problems += wrong
    for part, split in ((part, chosen.split) for part, chosen in selection.parts().items()):
        if definition.split_names and split not in definition.split_names:
            hint = nearest(split, list(definition.split_names))
            text = f"The data set {name} has no split {split!r}."
            problems.append(Problem(level="error", text=text, where=f"{where}.{part}.split", hint=hint))
    return DataState(role, name, definition.title, definition.generated, place, None, lists), problems


def _lists(
    where: str, selection: DataSelection, definition: DatasetDefinition
) -> tuple[dict[str, dict[str, Any]], list[Problem]]:
    """The lists of ids that a selection names, by role, and what is wrong with them."""
    from detui.engine.data.id_lists import read_ids, unlistable

    found: dict[str, dict[str, Any]] = {}
    problems = []
    for role, part in selection.parts().items():
        if part.ids is None:
            continue
        field = f"{where}.{role}.ids"
        if text := unlistable(definition):
            problems.append(Problem(level="error", text=text, where=field, hint="images: N takes the first N"))
            continue
        try:
            found[role] = read_ids(Path(part.ids.file), part.ids.sha256, where=field).to_json()
        except DetuiError as error:
            missing = isinstance(error, MissingError)
            problems.append(
                Problem(level="error", text=error.message, where=error.where, hint=error.hint, missing=missing)
            )
    return found, problems


def _train_images(data: DataSelection | None) -> int | None:
    """How many images a stage trains on, where its recipe says so; what is wrong with a list is said elsewhere."""
    from detui.engine.data.id_lists import read_ids

    if data is None or data.train.ids is None:
        return data.train.images if data else None
    with suppress(DetuiError):
        return len(read_ids(Path(data.train.ids.file), data.train.ids.sha256, where="data.train.ids").ids)
    return None


def _environments(resolved: Resolved, configuration: Configuration) -> Iterator[Problem]:
    """Whether the environments are there that the arms train in."""
    from detui.engine.environment import OWN
    from detui.engine.environment.standing import standing

    for name in resolved.environments:
        found = standing(name, configuration) if name != OWN else None
        if found is not None and found.problem is not None:
            yield _no_environment(resolved, name, found.problem, found.hint)


def _no_environment(resolved: Resolved, name: str, problem: str, hint: str | None) -> Problem:
    """That an environment is not there; where other arms do without it, which ones need it and how to leave them out.

    A single arm that is left is no comparison, and is not offered.
    """
    need, others = ([arm.name for arm in resolved.arms if (arm.environment == name) is at] for at in (True, False))
    if len(others) > 1:
        problem += f" It is that of the {'arm' if len(need) == 1 else 'arms'} {', '.join(need)}."
        without = " ".join(f"--arm {arm}" for arm in others)
        hint = f"{hint}, or leave {'it' if len(need) == 1 else 'them'} out: {without}"
    return Problem(level="error", text=problem, where=ENVIRONMENT, hint=hint, missing=True)


def _devkit(where: str, configuration: Configuration) -> list[Problem]:
    """Whether the environment is there that the evaluations of a run will need."""
    from detui.engine.environment.standing import standing

    found = standing("nuscenes", configuration)
    if found.problem is None:
        return []
    text = f"The evaluator nuscenes-devkit needs an environment. {found.problem}"
    return [Problem(level="error", text=text, where=f"{where}.evaluator", hint=found.hint, missing=True)]


def _weights(
    resolved: Resolved, configuration: Configuration
) -> tuple[dict[tuple[str, tuple[str, ...]], Path], list[Problem]]:
    found: dict[tuple[str, tuple[str, ...]], Path] = {}
    problems: list[Problem] = []
    for arm in resolved.arms:
        for weight in resolved.recipe.backend.weights(arm.config):
            places = configuration.weights_places(weight.name)
            here = next((place for place in places if place.is_file()), None)
            if here is None:
                problems.append(_absent(weight, places, configuration))
            else:
                found[(arm.name, weight.keys)] = here
    return found, list({problem.text: problem for problem in problems}.values())


def _absent(weight: WeightFile, places: Sequence[Path], configuration: Configuration) -> Problem:
    tried = "\n  ".join(map(str, places))
    command = f"detui weights add FILE --name {Path(weight.name).name}"
    hint = f"{command}, set DETUI_WEIGHTS, or add `weights: {{{weight.name}: /path}}` to {configuration.file}"
    text = f"There is no file {weight.name}. Tried:\n  {tried}"
    return Problem(level="error", text=text, where=".".join(weight.keys), hint=hint, missing=True)


def _pictures(selection: DataSelection | None) -> tuple[int, int, int] | None:
    """Of frames; what is wrong with their definition is said elsewhere."""
    from detui.engine.data.frame_pictures import frame_pictures

    with suppress(DetuiError):
        return frame_pictures(selection.name, selection.options) if selection is not None else None
    return None


def _checks(resolved: Resolved, placement: Placement) -> list[Problem]:
    """Each backend's own checks for every arm and stage; the same problem in several arms is said once."""
    found: dict[tuple[str, str | None], Problem] = {}
    for arm in resolved.arms:
        for stage in arm.stages:
            data = stage.data or arm.data
            context = CheckContext(
                arm=arm.name,
                config=stage.config,
                device=placement.kind,
                devices=placement.devices,
                train_images=_train_images(data),
                pictures=_pictures(data),
                depth=data is not None and data.depth,
                continues=stage is not arm.stages[0],
                followed=stage is not arm.stages[-1],
                environment=arm.environment,
            )
            backend = resolved.recipe.backend
            together = several.problems(
                backend, stage.config, placement.count, placement.candidates, nodes=placement.nodes
            )
            for problem in (*together, *backend.check(context)):
                found.setdefault((problem.text, problem.where), problem)
    return list(found.values())


def _busy_device(text: str) -> Problem:
    """A device that somebody without a lease uses: a run there may run out of memory, or hold them up."""
    return Problem(level="warning", text=text, where="device", hint="nvidia-smi shows who; --devices chooses another")


def _logout() -> Iterator[Problem]:
    """A login manager that would end the runs with the session of their user."""
    if mortal():
        text = "This machine ends what you leave running when you log out (systemd's KillUserProcesses)."
        yield Problem(level="warning", text=text, hint="loginctl enable-linger, then log in again")


def _refused(text: str) -> Problem:
    """A launch with `--on-busy fail` that would have to wait: nothing is started of it."""
    return Problem(level="error", text=text, where="devices", hint="--on-busy wait queues the runs", missing=True)


def _only_confounders(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level == "confounder"]


def _confounder(finding: Finding) -> Problem:
    """Arms that differ in a field that `varies` does not name: the run starts, and the record says it loudly."""
    hint = f"give all arms the same {finding.field}, or add it to `varies`"
    return Problem(level="warning", text=finding.text, where=finding.field, hint=hint)
