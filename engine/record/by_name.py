"""Why there is no number of a name that a goal or a claim gives: a statistic, a field, or a number of an iteration."""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from detui.engine.evaluate.tables import is_setting
from detui.engine.record.facts import COST, ExperimentFacts, RunFacts
from detui.engine.record.text import code, plain
from detui.engine.record.words import Words

_NAMES = 8
"""So many names are listed of those that a run reports."""


def is_named(facts: ExperimentFacts, asked: Mapping[str, Any]) -> bool:
    """Whether a goal or a claim is about a statistic, a field or an iteration, and not about an evaluation or a cost.

    Its numbers then stand in metrics.jsonl.
    """
    metric = str(asked["metric"])
    if asked.get("iteration") is not None or is_setting(metric) or metric.startswith("aqr/"):
        return True
    evaluated = any(metric in line["values"] for run in facts.runs for line in run.evaluations)
    return not evaluated and metric not in COST and any(metric in run.statistics for run in facts.runs)


def why_absent(facts: ExperimentFacts, arm: str, asked: Mapping[str, Any], words: Words) -> str:
    """Markdown of why no finished run of an arm has the number; a placeholder while one can still measure it."""
    metric, iteration = str(asked["metric"]), asked.get("iteration")
    runs = facts.finished(arm)
    if not runs:
        return words("missing")
    if is_setting(metric):
        return words("no number", words("no used value"))
    if iteration is not None and iteration > max(run.iterations for run in runs):
        return words("no number", words("beyond iterations", max(run.iterations for run in runs)))
    steps = sorted({step for run in runs if metric in run.statistics for step in run.statistics[metric].steps})
    if steps and iteration is not None:
        return words("no number", words("no line of iteration", _around(steps, iteration, words)))
    if steps:
        if any(run.waiting for run in runs):
            return words("missing")
        return words("no number", words("no line so early", steps[0]))
    if iteration is not None and any(iteration in run.asked for run in runs):
        return words("no number", _no_such(metric, _reported(runs, iteration), words))
    if metric.startswith("train/"):
        return words("no number", words("no step line"))
    return words("no number", _no_such(metric, _reported(runs, iteration), words))


def _reported(runs: Sequence[RunFacts], iteration: int | None) -> list[str]:
    """Names of statistics, and those of the step lines of an iteration."""
    logged = {name for run in runs for name in run.asked.get(iteration or 0) or ()}
    return sorted({name for run in runs for name in run.statistics if "/rank_" not in name} | logged)


def _no_such(metric: str, names: Sequence[str], words: Words) -> str:
    """That a run reports no such number, and the nearest of those that it reports."""
    if not names:
        return words("no statistic")
    near = difflib.get_close_matches(metric, names, _NAMES, 0.6)
    shown = near or names[:_NAMES]
    more = ", …" if len(shown) < len(names) else ""
    return words("claim no such", ", ".join(map(plain, shown)) + more)


def _around(steps: Sequence[int], iteration: int, words: Words) -> str:
    """The steps before and after an iteration that have a line."""
    at = bisect_left(steps, iteration)
    return ", ".join(str(step) for step in steps[max(0, at - 1) : at + 1]) or words("none")


def evidence(
    facts: ExperimentFacts, arms: Sequence[str], goal: Mapping[str, Any], words: Words, form: Callable[[float], str]
) -> str:
    """ "`a` 0: 13.5 (iteration 96); 1: 14.1 (iteration 96)": each finished seed's number and what it is of.

    `form`: writes a number. The arm is named where there are several.
    """
    told = []
    for arm in arms:
        points = facts.points(arm, str(goal["metric"]), goal.get("iteration"))
        seeds = "; ".join(
            f"s{seed}: {form(point.value)}" + _of(point.source.iteration, words) for seed, point in points.items()
        )
        if seeds:
            told.append(f"{code(arm)} {seeds}" if len(arms) > 1 else seeds)
    return "; ".join(told)


def _of(iteration: int | None, words: Words) -> str:
    return "" if iteration is None else f" ({words('iteration')} {iteration})"
