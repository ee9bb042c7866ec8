"""A plan as JSON: what experiment.json freezes, and what `--json` prints."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from detui.engine.backends.mmdet.rates import planned, to_json
from detui.engine.backends.torch.gain import gain_json
from detui.engine.planning import Plan
from detui.engine.recipe.resolve import ResolvedArm, arm_name
from detui.engine.recipe.schema import Claim, Decision, Goal, Words, words

Stated = TypeVar("Stated", Goal, Decision, Claim)


def frozen_plan(plan: Plan) -> dict[str, Any]:
    """Everything of a plan that the experiment keeps. What only the start knows is added there."""
    recipe, file = plan.recipe, plan.recipe.file
    text = recipe.document.text
    return {
        "recipe": recipe.ref,
        "family": recipe.family,
        "title": _words(recipe.title),
        "question": _words(recipe.question),
        "profile": plan.profile,
        "backend": recipe.backend.name,
        "recipe_file": recipe.document.source,
        "recipe_text": text,
        "recipe_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "overrides": list(plan.resolved.overrides),
        "branch": plan.origin.facts() if plan.origin else None,
        "varies": list(file.varies),
        "chosen_data": list(plan.resolved.chosen_data),
        "arms": [_arm(arm) for arm in plan.arms],
        "differs": plan.differs(),
        "fairness": [{"level": f.level, "field": f.field, "text": f.text} for f in plan.fairness],
        "warnings": [p.text for p in plan.problems if p.level == "warning"],
        "seeds": list(plan.seeds),
        "epochs": max(arm.epochs for arm in plan.arms),
        "milestones": list(plan.resolved.milestones),
        "checkpoint_rule": plan.resolved.checkpoint_rule,
        "keep_checkpoints": list(file.keep_checkpoints),
        "goals": [_goal(goal.model_dump()) for goal in of_runs(plan, file.goals)],
        "decisions": [_decision(decision.model_dump()) for decision in of_runs(plan, file.decisions)],
        "claims": [claim.model_dump() for claim in of_runs(plan, file.claims)],
        "measure_speed": file.measure_speed,
        "record": file.record.model_dump(),
        "runs": plan.runs,
        "estimates": {name: estimate.to_json() for name, estimate in plan.estimates.items()},
    }


def plan_json(plan: Plan) -> dict[str, Any]:
    """A plan for `detui show RECIPE --plan --json`."""
    placement = plan.placement
    return {
        "schema": 1,
        **frozen_plan(plan),
        "command": plan.command(),
        "device": placement.facts(),
        **({"several_devices": list(_shares(plan))} if plan.shares else {}),
        "executor": placement.executor(),
        **({"aqr_gain": gain_json({arm.name: arm.config for arm in plan.arms})} if _has_gain(plan) else {}),
        **({"learning_rates": list(_rates(plan))} if plan.recipe.backend.name == "mmdet" else {}),
        "data": [asdict(state) | {"place": str(state.place)} for state in plan.data],
        "problems": [asdict(problem) for problem in plan.problems],
    }


def _shares(plan: Plan) -> Iterator[dict[str, Any]]:
    """What of a step falls to each device, of every stage of every arm."""
    for (arm, stage), share in plan.shares.items():
        yield {"arm": arm, "stage": stage, **asdict(share), "batch_norm": "over the images of one device"}


def _has_gain(plan: Plan) -> bool:
    return plan.recipe.backend.name == "torch"


def _rates(plan: Plan) -> Iterator[dict[str, Any]]:
    """The learning rates by part, of every stage of every arm."""
    for arm in plan.arms:
        for stage in arm.stages:
            yield {"arm": arm.name, "stage": stage.name, **to_json(planned(stage.config))}


def _arm(arm: ResolvedArm) -> dict[str, Any]:
    """An arm; its stages where it has several."""
    stages = [{"name": s.name, "epochs": s.epochs, "data_set": s.data_set or arm.data_set} for s in arm.stages]
    return {
        "name": arm.name,
        "of": arm.of,
        "data_set": arm.data_set,
        "title": _words(arm.title),
        "config": arm.config,
        "sources": arm.sources,
        "epochs": arm.epochs,
        **({"stages": stages} if len(stages) > 1 else {}),
    }


def of_runs(plan: Plan, stated: Sequence[Stated]) -> list[Stated]:
    """What is stated of arms, in the names of the runs: where arms run on several data sets, once for each.

    A claim that does not say which data set it is about keeps the recipe's name of its arm. Goals and decisions about
    an arm that the launch leaves out are left out, too: no run of this experiment can ever answer them.
    """
    roles = list(dict.fromkeys(arm.data_set for arm in plan.arms))
    found: list[Stated] = []
    for one in stated:
        of_all = one.data_set is None and (isinstance(one, Claim) or one.arm is None)
        everywhere = [role for role in roles if one.data_set in (None, role)]
        for role in everywhere if plan.resolved.crossed and not of_all else [None]:
            named: dict[str, str | None] = {key: getattr(one, key, None) for key in ("arm", "against")}
            if role is not None:
                named = {key: arm and arm_name(arm, role, crossed=True) for key, arm in named.items()}
            if isinstance(one, Claim) or {*named.values()} - {None} <= {arm.name for arm in plan.arms}:
                own = {key: value for key, value in named.items() if value is not None}
                found.append(one.model_copy(update={**own, "data_set": role or one.data_set}))
    return found


def _words(text: Words) -> dict[str, str]:
    return {"en": text.en, "zh": text.in_language("zh")}


def _decision(decision: dict[str, Any]) -> dict[str, Any]:
    """A decision with the texts of its steps in both languages."""
    for step in decision["steps"]:
        for key in ("title", "next"):
            text = step[key]
            step[key] = None if text is None else _words(words(text if isinstance(text, str) else Words(**text)))
    return decision


def _goal(goal: dict[str, Any]) -> dict[str, Any]:
    """A goal without the kinds it is not; its title in both languages."""
    title = goal.pop("title")
    given = {key: value for key, value in goal.items() if value is not None}
    if title is not None:
        given["title"] = _words(words(title if isinstance(title, str) else Words(**title)))
    return given
