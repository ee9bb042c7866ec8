"""A branch: a new run that begins at another run's checkpoint, with changed settings.

300 → 400 epochs, or a smaller learning rate from epoch 200 on. The recipe is the one that was frozen with the origin,
whatever became of its file; the checkpoint is kept with the new experiment, whatever becomes of the origin.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from detui.engine.errors import FormatError, MissingError, RecipeError
from detui.engine.experiment import FACTS, Experiment
from detui.engine.origin import Origin
from detui.engine.recipe.load import Recipe, check_recipe
from detui.engine.recipe.resolve import Resolved, ResolvedArm, resolve
from detui.engine.run.directory import RunDir
from detui.engine.run.history import load_history
from detui.engine.run.pulled import refuse_copy
from detui.engine.saved import file_of, saved
from detui.engine.yaml import parse_yaml


def branch(
    experiment: Experiment, run: RunDir, at: str = "last", overrides: Sequence[str] = ()
) -> tuple[Resolved, Origin]:
    """Resolve a branch of `run`: the recipe with this one arm and seed, and where it begins.

    `at`: "last", "best" by the experiment's checkpoint rule, or an epoch. Raises MissingError where there is no such
    checkpoint, RunError where it is damaged, or on the host that this is a copy from, RecipeError for a value that
    cannot be set or cannot change in a branch.
    """
    facts, spec, history = experiment.facts(), run.spec(), load_history(run)
    if run.imported() is not None:
        raise RecipeError(f"{run.name} was imported: there is no recipe that could go on.", where=str(run.path))
    try:
        line = saved(run, history, at, option="--at", staged=True)
    except MissingError:
        refuse_copy(experiment.path, "branch", f"{experiment.id}/{run.name}", "--at", at)  # they are on its own host
        raise
    origin = Origin(
        experiment=experiment.id,
        run=run.name,
        attempt=int(line.get("attempt") or 1),
        checkpoint=file_of(run, line),
        step=int(line["step"]),
        epoch=int(line["epoch"]),
        stage=int(line.get("stage") or 0),
        overrides=tuple(overrides),
        changed={},
        data=(spec.data or {}).get("fingerprint"),
        stage_data=tuple((stage.data or {}).get("fingerprint") for stage in spec.stages),
    )
    recipe = _recipe(experiment, facts)
    settings = tuple(facts.get("overrides") or ())
    data = tuple(facts.get("chosen_data") or ())
    one = partial(resolve, recipe, profile=spec.profile, arms=[spec.arm], seeds=[spec.seed], data=data)
    before, after = one(overrides=settings), one(overrides=(*settings, *overrides))
    origin = replace(origin, changed=_changed(before.arms[0], after.arms[0]))
    _check(recipe, before, after, origin)
    return replace(after, milestones=tuple(m for m in after.milestones if m > origin.epoch)), origin


def _recipe(experiment: Experiment, facts: Mapping[str, Any]) -> Recipe:
    """The recipe as it was frozen. Raises FormatError where its text is not whole."""
    text, place = str(facts.get("recipe_text")), experiment.path / FACTS
    if hashlib.sha256(text.encode()).hexdigest() != facts.get("recipe_sha256"):
        message = "`recipe_text` is not the recipe that ran: secrets were taken out of it, or it was edited."
        hint = "start a new run of the recipe's file with --set model.weights=CHECKPOINT"
        raise FormatError(message, where=str(place), hint=hint)
    return check_recipe(str(facts["recipe"]), parse_yaml(text, source=str(facts.get("recipe_file") or place)))


def _changed(before: ResolvedArm, after: ResolvedArm) -> dict[str, tuple[Any, Any]]:
    old, new = before.flat(), after.flat()
    return {name: (old.get(name), value) for name, value in new.items() if value != old.get(name)}


def _check(recipe: Recipe, before: Resolved, after: Resolved, origin: Origin) -> None:
    """Raise RecipeError for what cannot change in the middle of a training, and where nothing is left to train."""
    if before.data_sets != after.data_sets:
        raise _fixed("data")
    for name in origin.changed:
        if any(name == fixed or name.startswith(f"{fixed}.") for fixed in recipe.backend.fixed_in_branches):
            raise _fixed(name)
    if after.arms[0].epochs <= origin.epoch:
        key = ".".join(recipe.backend.epochs_key())
        message = f"The branch begins after epoch {origin.epoch}, and it has {after.arms[0].epochs} epochs in all."
        raise RecipeError(message, where=key, hint=f"--set {key}={origin.epoch + 100}, or an earlier --at EPOCH")


def _fixed(name: str) -> RecipeError:
    message = f"{name} cannot change in a branch: its checkpoint would not fit."
    return RecipeError(message, where=f"--set {name}", hint="start a new run with --set model.weights=CHECKPOINT")
