"""Whether the recipe's goals were reached, with the numbers that say so.

Kinds: a metric of an arm at least, or at most, some value, or in a band between
two; a metric of an arm above a reference arm's by at least some value; and a
property of an arm's model that is exactly the reference arm's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from detui.engine.analysis.seeds import FEWEST_SEEDS, Interval, compare, summarise

Points = Mapping[str, Mapping[str, Mapping[int, float]]]
"""Arm → metric → seed → value."""

NOT_MEASURED = "not measured"
_ROUNDING = 1e-9
"""Relative difference up to which two numbers are the same, written in another way."""
WORST_FIRST = (NOT_MEASURED, "not met", "inconclusive", "met")


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One goal, judged."""

    word: str
    """"met", "not met", "inconclusive" or "not measured"."""
    measured: float | None = None
    """The mean over seeds, or the delta of means, that was compared with the goal."""
    interval: Interval | None = None
    """95 % interval of `measured`, where enough seeds ran."""
    n: tuple[int, ...] = ()
    """Seeds: of the arm, or of the reference and the arm."""
    reason: str = ""
    """"runs unfinished", "too few seeds" or "interval holds the goal" for an inconclusive verdict."""
    unfinished: tuple[str, ...] = ()
    """Runs that the goal is about and that did not get to their end."""


def judge_goal(
    goal: Mapping[str, Any], results: Points, unfinished: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> Verdict:
    """Judge one goal on the chosen checkpoints' values of the finished runs.

    An absolute goal is judged on the mean, with n shown. A delta is a claim
    about two noisy means: it is met when Welch's whole interval reaches the
    goal, not met when none of it does, else inconclusive; always inconclusive
    below three seeds a side. What must be unchanged is a property of the built
    model, and so met by one seed a side, and by more only when all of them are
    equal. A goal without an arm must hold for every arm.
    While one of its arms has `unfinished` runs (arm → their names), a goal of
    any kind is inconclusive.
    """
    names = tuple(name for arm in _arms(goal, results) for name in unfinished.get(arm, ()))
    verdict = _judge(goal, results)
    return replace(verdict, word="inconclusive", reason="runs unfinished", unfinished=names) if names else verdict


def measured_as(goal: Mapping[str, Any]) -> str:
    """The name by which results hold a goal's numbers: its metric, and where it names an iteration that, too."""
    metric, iteration = str(goal["metric"]), goal.get("iteration")
    return metric if iteration is None else f"{metric}@{iteration}"


def _arms(goal: Mapping[str, Any], results: Points) -> list[str]:
    """The arms that a goal is about."""
    if goal.get("arm"):
        return [str(goal[key]) for key in ("against", "arm") if goal.get(key)]
    return list(results)


def _judge(goal: Mapping[str, Any], results: Points) -> Verdict:
    if "delta_at_least" in goal:
        return _judge_delta(goal, results)
    if goal.get("unchanged"):
        return _judge_unchanged(goal, results)
    arms = _arms(goal, results)
    verdicts = [_judge_absolute(goal, results.get(arm, {})) for arm in arms]
    return min(verdicts, key=lambda verdict: WORST_FIRST.index(verdict.word), default=Verdict(word=NOT_MEASURED))


def _judge_absolute(goal: Mapping[str, Any], metrics: Mapping[str, Mapping[int, float]]) -> Verdict:
    points = metrics.get(measured_as(goal))
    if not points:
        return Verdict(word=NOT_MEASURED)
    summary = summarise(list(points.values()))
    low, high = goal.get("at_least"), goal.get("at_most")
    # Three times 0.1 is not 0.3 to a computer: a mean on the bound has reached it.
    on_bound = any(x is not None and math.isclose(summary.mean, x, rel_tol=_ROUNDING) for x in (low, high))
    reached = on_bound or ((low is None or summary.mean >= low) and (high is None or summary.mean <= high))
    return Verdict(
        word="met" if reached else "not met", measured=summary.mean, interval=summary.interval, n=(summary.n,)
    )


def _judge_delta(goal: Mapping[str, Any], results: Points) -> Verdict:
    reference = results.get(goal["against"], {}).get(measured_as(goal))
    arm = results.get(goal["arm"], {}).get(measured_as(goal))
    if not reference or not arm:
        return Verdict(word=NOT_MEASURED)
    comparison = compare(reference, arm)
    word, reason = _place(comparison.interval, min(comparison.n), goal["delta_at_least"])
    return Verdict(word=word, measured=comparison.delta, interval=comparison.interval, n=comparison.n, reason=reason)


def _judge_unchanged(goal: Mapping[str, Any], results: Points) -> Verdict:
    """`measured` is the difference of the means; it has no interval, because nothing in it is left to chance."""
    sides = [list(results.get(goal[arm], {}).get(goal["metric"], {}).values()) for arm in ("against", "arm")]
    if not all(sides):
        return Verdict(word=NOT_MEASURED)
    reference, values = sides
    equal = all(math.isclose(value, reference[0], rel_tol=_ROUNDING) for side in sides for value in side)
    delta = 0.0 if equal else math.fsum(values) / len(values) - math.fsum(reference) / len(reference)
    return Verdict(word="met" if equal else "not met", measured=delta, n=(len(reference), len(values)))


def _place(interval: Interval | None, seeds: int, goal: float) -> tuple[str, str]:
    if seeds < FEWEST_SEEDS or interval is None:
        return "inconclusive", "too few seeds"
    if interval[0] >= goal:
        return "met", ""
    return ("not met", "") if interval[1] < goal else ("inconclusive", "interval holds the goal")
