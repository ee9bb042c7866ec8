"""A plan as JSON: what experiment.json freezes, and what `--json` prints."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

from detui.engine.planning import Plan
from detui.engine.recipe.schema import Words, words


def frozen_plan(plan: Plan) -> dict[str, Any]:
    """Everything of a plan that the experiment keeps. What only the start knows is added there."""
    recipe, file = plan.recipe, plan.recipe.file
    text = recipe.document.text
    longest = max(plan.arms, key=lambda arm: arm.epochs)
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
        "arms": [
            {"name": a.name, "title": _words(a.title), "config": a.config, "sources": a.sources, "epochs": a.epochs}
            for a in plan.arms
        ],
        "differs": plan.differs(),
        "fairness": [{"level": f.level, "field": f.field, "text": f.text} for f in plan.fairness],
        "warnings": [p.text for p in plan.problems if p.level == "warning"],
        "seeds": list(plan.seeds),
        "stages": [{"name": s.name, "epochs": s.epochs} for s in longest.stages],
        "epochs": longest.epochs,
        "milestones": list(plan.resolved.milestones),
        "checkpoint_rule": plan.resolved.checkpoint_rule,
        "keep_checkpoints": list(file.keep_checkpoints),
        "goals": [_goal(goal.model_dump()) for goal in file.goals],
        "decisions": [_decision(decision.model_dump()) for decision in file.decisions],
        "claims": [claim.model_dump() for claim in file.claims],
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
        "data": asdict(plan.data) | {"place": str(plan.data.place)} if plan.data else None,
        "problems": [asdict(problem) for problem in plan.problems],
    }


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
