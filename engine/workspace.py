"""The façade: recipes, plans, experiments and runs. What the terminal, a notebook or a script calls.

workspace = Workspace.open()
plan = workspace.plan("starter/mosaic", profile="quick")
experiment = workspace.start(plan)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detui.engine.configuration import Configuration
from detui.engine.errors import DetuiError, MissingError, UsageError
from detui.engine.executor import EXECUTORS, LOCAL, SLURM
from detui.engine.run.directory import RunDir, find_run
from detui.engine.slurm_options import SlurmLaunch, launched

if TYPE_CHECKING:
    from detui.engine.environment import Interpreter
    from detui.engine.experiment import Experiment
    from detui.engine.origin import Origin
    from detui.engine.planning import Plan
    from detui.engine.recipe.load import Recipe
    from detui.engine.recipe.resolve import Resolved

Progress = Callable[[str, int, int], None]
"""What is being done, how much of it is done, how much there is."""
AFTER = ("-m", "detui.engine.record")
"""What a supervisor starts when predictions wait: it evaluates them and fills the record."""
AFTER_TRAINING = (*AFTER, "--no-evaluate")
"""The same for a launch that keeps training and testing apart: it only fills the record."""


@dataclass(frozen=True, slots=True)
class RecipeSummary:
    """One line of the list of recipes."""

    ref: str
    family: str
    title: str
    question: str
    path: Path
    problem: str | None
    """Why the recipe cannot be read, if it cannot."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder of experiments, and the configuration of this host."""

    path: Path
    configuration: Configuration

    @classmethod
    def open(cls, path: str | None = None) -> Workspace:
        """The workspace given, or the configured one. It is made when the first experiment starts.

        Raises UsageError when the configuration is broken, or the path is a file.
        """
        configuration = Configuration.load(workspace=path)
        folder = configuration.workspace
        if folder.exists() and not folder.is_dir():
            source = configuration.settings["workspace"].source
            raise UsageError(f"The workspace {folder} is not a directory.", where=source, hint="--workspace DIR")
        return cls(folder, configuration)

    def recipes(self) -> list[RecipeSummary]:
        """Every recipe that ships with detui; a broken one is listed with its problem."""
        from detui.engine.recipe.library import recipe_files

        return [_summary(ref, path) for ref, path in recipe_files()]

    def recipe(self, ref: str) -> Recipe:
        """A recipe by `family/name`, `name` or path. Raises RecipeError."""
        from detui.engine.recipe.load import load_recipe

        return load_recipe(ref)

    def plan(
        self,
        ref: str,
        *,
        profile: str | None = None,
        arms: Sequence[str] | None = None,
        seeds: Sequence[int] | None = None,
        overrides: Sequence[str] = (),
        data: Sequence[str] = (),
        devices: str | None = None,
        min_free_memory: str | None = None,
        on_busy: str = "wait",
        cpu_slots: int | None = None,
        executor: str = LOCAL,
        slurm: Sequence[str] = (),
    ) -> Plan:
        """What a launch would run; `detui.engine.placement.place` describes `devices` to `cpu_slots`.

        `executor`: "local" or "slurm"; `slurm`: options for it, "key=value" each, over those of the configuration.

        Raises RecipeError for what cannot be resolved, UsageError for options that are none; what is absent is in
        `problems`."""
        from detui.engine.recipe.load import FULL
        from detui.engine.recipe.resolve import resolve

        recipe = self.recipe(ref)
        resolved = resolve(recipe, profile=profile or FULL, arms=arms, seeds=seeds, overrides=overrides, data=data)
        where = {"min_free_memory": min_free_memory, "on_busy": on_busy, "cpu_slots": cpu_slots}
        return self._planned(resolved, None, executor, slurm, devices=devices, **where)

    def branch(
        self,
        ref: str,
        *,
        at: str = "last",
        overrides: Sequence[str] = (),
        devices: str | None = None,
        min_free_memory: str | None = None,
        on_busy: str = "wait",
        cpu_slots: int | None = None,
        executor: str = LOCAL,
        slurm: Sequence[str] = (),
    ) -> Plan:
        """What a branch of a run would do; `detui.engine.branch.branch` describes the first three.

        Raises MissingError for a run or checkpoint that is absent, RecipeError for what cannot change in a branch.
        """
        from detui.engine.branch import branch
        from detui.engine.experiment import Experiment

        run = self.run(ref)
        resolved, origin = branch(Experiment(run.experiment_dir), run, at, overrides)
        where = {"min_free_memory": min_free_memory, "on_busy": on_busy, "cpu_slots": cpu_slots}
        return self._planned(resolved, origin, executor, slurm, devices=devices, **where)

    def _planned(
        self,
        resolved: Resolved,
        origin: Origin | None,
        executor: str,
        slurm: Sequence[str],
        *,
        devices: str | None,
        **where: Any,
    ) -> Plan:
        from detui.engine.environment import OWN
        from detui.engine.measured import FOLDER, rebuild
        from detui.engine.placement import place, place_in_slurm
        from detui.engine.planning import make_plan
        from detui.engine.process.lease import held

        own_torch = OWN in resolved.environments
        if devices is None and resolved.devices > 1:
            devices = str(resolved.devices)
        if (asked := self._slurm_launch(resolved, executor, slurm)) is not None:
            # A program of one's own may bring another torch than this one.
            own_torch = own_torch and resolved.recipe.backend.name != "command"
            placement = place_in_slurm(devices, asked, own_torch=own_torch, **where)
        else:
            placement = place(devices, own_torch=own_torch, held=held, **where)
        if not (self.path / FOLDER).exists():
            rebuild(self.path)
        return make_plan(resolved, placement, self.configuration, origin)

    def _slurm_launch(self, resolved: Resolved, executor: str, words: Sequence[str]) -> SlurmLaunch | None:
        """What is asked of Slurm; None where the runs are to be this machine's. Raises UsageError."""
        if executor not in EXECUTORS:
            raise UsageError(f"There is no executor {executor!r}.", where="--executor", hint=" or ".join(EXECUTORS))
        if executor == SLURM:
            options = launched(words).over(self.configuration.slurm(resolved.recipe.ref))
            return SlurmLaunch(options, tuple(words))
        if words:
            hint = "--executor slurm"
            raise UsageError("Options of Slurm, and the runs are not given to it.", where="--slurm", hint=hint)
        return None

    def preflight(self, plan: Plan, progress: Progress | None = None) -> Plan:
        """Measure the arms without history with a few steps each, and return the plan with what was found.

        Raises what `start` raises for a plan that cannot run, and RunError where a preflight fails.
        """
        from detui.engine.estimates import estimate
        from detui.engine.measured import remember
        from detui.engine.planning import make_plan
        from detui.engine.preflight import preflight

        if plan.placement.slurm is not None:
            text = "A preflight measures on this machine, and the runs go to Slurm."
            raise UsageError(text, where="--preflight", hint="leave it out, or run it without --executor slurm")
        plan.raise_errors()
        unknown = [arm for arm in plan.arms if plan.estimates[arm.name].measured is None]
        if not unknown:
            return plan
        pythons, data = self._interpreters(plan), self._prepare(plan, progress)
        for arm in unknown:
            known = estimate(plan.resolved, arm, plan.placement, self.path)
            if known.measured is None:  # another arm may have had the same configuration
                asked = pythons[arm.environment].asked
                spec = plan.spec(arm, plan.seeds[0], experiment="preflight", data=data, **asked)
                remember(self.path, known.key, known.model, preflight(self.path, spec, progress))
        return make_plan(plan.resolved, plan.placement, self.configuration, plan.origin)

    def describe(self, plan: Plan, *, speed: bool = False, progress: Progress | None = None) -> Plan:
        """Build the models of a plan without training them, and return the plan with what they are made of.

        `speed`, and what is raised: as `detui.engine.describe.describe` says.
        """
        from detui.engine.describe import describe
        from detui.engine.planning import make_plan

        describe(plan, self.configuration, speed=speed, progress=progress)
        return make_plan(plan.resolved, plan.placement, self.configuration, plan.origin)

    def start(
        self,
        plan: Plan,
        *,
        name: str | None = None,
        tags: Sequence[str] = (),
        note: str | None = None,
        command: str | None = None,
        evaluate: bool = True,
        progress: Progress | None = None,
    ) -> Experiment:
        """Prepare the data, freeze the plan, and queue every run. Returns when all supervisors are up.

        Without `evaluate`, predictions are dumped and wait for `detui record fill` or `detui evaluate`.

        Raises RecipeError or MissingError for the plan's errors, DataError for wrong data, RunError when something
        cannot be written or a supervisor cannot start: then no run is left queued without one. A Ctrl-C waits until
        no run is half made, and then stops all that were started.
        """
        from detui.engine import experiment as experiments
        from detui.engine.devices.host import host_facts
        from detui.engine.devices.nvml import driver_versions
        from detui.engine.evaluate.judging import check_judging
        from detui.engine.executor.start import call_off, check_slurm, start
        from detui.engine.interrupt import held
        from detui.engine.provenance import code_facts
        from detui.engine.record.fill import fill

        plan.raise_errors()
        if plan.placement.slurm is not None:
            check_slurm()
        _check_weights(plan)
        pythons = self._interpreters(plan)
        data = self._prepare(plan, progress)
        for role in {arm.data_set for arm in plan.arms}:
            check_judging(data.get(role), plan.resolved.checkpoint_rule, plan.recipe.backend.masks)
        if plan.origin is not None:
            arm, prints = plan.arms[0], {role: prepared["fingerprint"] for role, prepared in data.items()}
            own = [prints[stage.data_set] if stage.data_set else None for stage in arm.stages]
            plan.origin.check_data(prints.get(arm.data_set), own)
        placement = plan.placement
        facts: dict[str, Any] = {
            "created": experiments.now(),
            "name": name,
            "tags": list(tags),
            "note": note,
            "command": command or plan.command(name=name, tags=tags, note=note, evaluate=evaluate),
            "data": data.get(plan.arms[0].data_set),
            "data_sets": {role: prepared for role, prepared in data.items() if role is not None},
            "host": host_facts(),
            **_environment_facts(plan, pythons),
            "executor": placement.executor(),
            "device": {**placement.facts(), **({} if placement.slurm is not None else driver_versions())},
        }
        code = code_facts()
        runs: list[RunDir] = []
        try:
            with held() as interrupted:
                experiment = experiments.create(self.path, plan, facts=facts, code=code)
                runs += self._create_runs(experiment, plan, data, pythons, AFTER if evaluate else AFTER_TRAINING)
                fill(experiment.path)
                start(runs, interrupted, placement.slurm.options if placement.slurm is not None else None)
        except KeyboardInterrupt:
            call_off(runs)
            raise
        return experiment

    def experiments(self) -> list[Experiment]:
        """All experiments, newest first."""
        from detui.engine.experiment import experiments

        return experiments(self.path)

    def experiment(self, ref: str) -> Experiment:
        """An experiment by id, beginning of an id, name, path, or `last`. Raises MissingError."""
        from detui.engine.experiment import find_experiment

        return find_experiment(self.path, ref)

    def run(self, ref: str) -> RunDir:
        """A run as `EXPERIMENT/RUN`, as a path, or as the name of a run of the last experiment. Raises MissingError."""
        if (Path(ref) / "spec.json").is_file():
            return find_run(Path(ref).absolute())
        if ref == "last" and len(found := self.experiment(ref).runs()) == 1:
            return found[0]
        before, _, name = ref.rpartition("/")
        experiment = self.experiment(before or "last")
        runs = {run.name: run for run in experiment.runs()}
        if name not in runs:
            hint = f"one of {', '.join(runs)}" if runs else "detui ls"
            raise MissingError(f"{experiment.id} has no run {name!r}.", hint=hint)
        return runs[name]

    def _interpreters(self, plan: Plan) -> dict[str, Interpreter]:
        """The interpreter of each environment that the arms train in, by the environment's name."""
        from detui.engine.environment import interpreter

        backend, bridge = plan.recipe.backend.name, self.path / ".environments"
        return {name: interpreter(name, backend, self.configuration, bridge) for name in plan.resolved.environments}

    def _prepare(self, plan: Plan, progress: Progress | None) -> dict[str | None, dict[str, Any]]:
        """Prepare every data set of the plan; by role."""
        from detui.engine.data import prepare

        found: dict[str | None, dict[str, Any]] = {}
        for role, selection in plan.resolved.data_sets.items():
            prepared = prepare(
                selection.model_dump(),
                self.configuration,
                self.path / ".data",
                yolo=plan.recipe.backend.yolo_layout,
                progress=progress,
            )
            by = {"evaluator": selection.evaluator} if selection.evaluator else {}
            found[role] = {**prepared.info, "prepared": str(prepared.path), **by}
        return found

    def _create_runs(
        self,
        experiment: Experiment,
        plan: Plan,
        data: dict[str | None, dict[str, Any]],
        pythons: Mapping[str, Interpreter],
        after: tuple[str, ...],
    ) -> list[RunDir]:
        arms = {arm.name: arm for arm in plan.arms}
        start = None if plan.origin is None else plan.origin.keep(experiment.path)
        runs = []
        for seed in plan.seeds:
            for arm in arms.values():
                spec = plan.spec(
                    arm,
                    seed,
                    experiment=experiment.id,
                    data=data,
                    **pythons[arm.environment].asked,
                    after=(sys.executable, *after),
                    hooks=self.configuration.hooks,
                    branch=start,
                )
                runs.append(RunDir.create(experiment.path / "runs" / spec.name, spec))
        return runs


def _environment_facts(plan: Plan, pythons: Mapping[str, Interpreter]) -> dict[str, Any]:
    """`environment`, None for detui's own; where the arms have several, `environments` by arm."""
    if len(pythons) == 1:
        return {"environment": next(iter(pythons.values())).facts}
    own = {"name": "detui", "python": sys.executable}
    return {"environment": None, "environments": {arm.name: pythons[arm.environment].facts or own for arm in plan.arms}}


def _summary(ref: str, path: Path) -> RecipeSummary:
    from detui.engine.recipe.load import read_recipe

    try:
        recipe = read_recipe(ref, path)
    except DetuiError as error:
        return RecipeSummary(ref, ref.split("/")[0], ref, "", path, str(error))
    return RecipeSummary(ref, recipe.family, recipe.title.en, recipe.question.en, path, None)


def _check_weights(plan: Plan) -> None:
    """A weight file must be what its SHA-256 in the recipe, and the digits in its name, say. Raises RunError."""
    from detui.engine.weight_files import check_sum, promised

    for arm in plan.arms:
        for weight in plan.recipe.backend.weights(arm.config):
            path = plan.weights[(arm.name, weight.keys)]
            if weight.sha256 is not None or promised(weight.name) or promised(path.name):
                check_sum(path, [weight.name], weight.sha256, ".".join((*weight.keys[:-1], "sha256")))
