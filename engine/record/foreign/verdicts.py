"""Goals that a person wrote into a row, and whether the runs reached them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from detui.engine.analysis.goals import Verdict, judge_goal
from detui.engine.record.facts import ExperimentFacts
from detui.engine.record.foreign.labels import key
from detui.engine.record.foreign.numbers import SCALES
from detui.engine.record.foreign.questions import Ask, Refusal
from detui.engine.record.foreign.values import kind_of

_GOAL = re.compile(
    r"(?P<sign>>=|<=|>|<|≥|≤|不低于|不少于|至少|at least|不超过|不高于|at most)?\s*(?P<plus>\+)?"
    r"\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>%|pp|[mkg](?![a-z]))?(?P<more>\s*[-~–]\s*\d)?"
)
_AT_MOST = ("<", "<=", "≤", "不超过", "不高于", "at most")
_GAIN = re.compile(r"提升|提高|增益|Δ|δ|gain|improve|over baseline|相对")
MET, NOT_MET = "✅", "❌"
SIGNS = {"✅": True, "✔": True, "✓": True, "❌": False, "✘": False, "✗": False}
_WORDS = {
    "达标": True,
    "是": True,
    "yes": True,
    "met": True,
    "未达标": False,
    "否": False,
    "no": False,
    "not met": False,
}


def goal_in(text: str, ask: Ask, reference: str | None) -> Mapping[str, Any] | Refusal:
    """The goal of a row as the recipe's grammar has it: "目标>42%", "≥ 33 %", "+2%" (over the reference)."""
    found = [match for match in _GOAL.finditer(key(text)) if match["sign"] or match["plus"]]
    if len(found) != 1 or found[0]["more"]:
        return Refusal(f"the goal {text!r} is no single bound such as >42%")
    match = found[0]
    delta = bool(match["plus"]) or bool(_GAIN.search(key(text)))
    value = _scaled(float(match["number"]), match["unit"] or "", ask.quantity, delta)
    goal: dict[str, Any] = {"metric": ask.quantity, "arm": ask.arm}
    if delta:
        if match["sign"] in _AT_MOST or reference in (None, ask.arm):
            return Refusal(f"the goal {text!r} is no difference to a reference arm that can be judged")
        return {**goal, "against": reference, "delta_at_least": value}
    bound = "at_most" if match["sign"] in _AT_MOST else "at_least"
    return {**goal, bound: value, "strict": match["sign"] in ("<", ">")}


def _scaled(number: float, unit: str, quantity: str, delta: bool) -> float:
    kind = kind_of(quantity)
    if kind == "ratio":
        return number / 100 if unit in ("%", "pp") or number > 1 else number
    return number * SCALES.get(kind, {}).get(unit, 1.0)


def judged(goal: Mapping[str, Any], facts: ExperimentFacts, seed: int | None) -> bool | Refusal:
    """Whether the runs reached a goal; why that is not decided. A difference needs three seeds a side."""
    against, arm = goal.get("against"), goal.get("arm")
    if against and arm and not facts.same_data(str(against), str(arm)):
        return Refusal(f"{arm} and {against} are on different data: their numbers do not compare")
    results = facts.results()
    if seed is not None:
        results = {arm: {name: {s: x for s, x in points.items() if s == seed} for name, points in by.items()}
                   for arm, by in results.items()}  # fmt: skip
    verdict = judge_goal(goal, results, facts.open_runs())
    if verdict.word == "not measured":
        return Refusal(f"{goal['metric']} was not measured")
    if verdict.word == "inconclusive":
        return Refusal(_undecided(verdict))
    bound = goal.get("at_least", goal.get("at_most"))
    return verdict.word == "met" and not (goal.get("strict") and verdict.measured == bound)


def _undecided(verdict: Verdict) -> str:
    why = {"too few seeds": f"fewer than 3 seeds a side (n = {' / '.join(map(str, verdict.n))})",
           "runs unfinished": f"runs unfinished: {', '.join(verdict.unfinished)}",
           "interval holds the goal": "the interval of the difference holds the goal"}  # fmt: skip
    return f"not decided: {why.get(verdict.reason, verdict.reason)}"


def stated(text: str) -> bool | None:
    """The verdict that a cell holds, None for no verdict (or several)."""
    signs = {SIGNS[sign] for sign in text if sign in SIGNS}
    if len(signs) == 1:
        return next(iter(signs))
    return _WORDS.get(key(text)) if not signs else None


def turned(text: str, reached: bool) -> str:
    """A cell with the verdict that it should hold, and nothing else changed."""
    if not any(sign in SIGNS for sign in text):
        return MET if reached else NOT_MET
    return "".join((MET if reached else NOT_MET) if sign in SIGNS else sign for sign in text).replace("\ufe0f", "")
