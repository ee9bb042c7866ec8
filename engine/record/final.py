"""What it comes to: precision and recall, the final table, and what goals and decision rules make of the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from detui.engine.analysis import Comparison, compare, judge_goal, summarise
from detui.engine.analysis.seeds import FEWEST_SEEDS
from detui.engine.record.facts import SPEED, ExperimentFacts
from detui.engine.record.over_images import Images
from detui.engine.record.results import Results, seed_of
from detui.engine.record.text import Table, code, percent, plain, points

OPERATING = ("val/precision", "val/recall", "val/F1")
COST = {"model/parameters": "params", "model/gflops": "gflops", "model/gmacs": "gmacs", "model/fps": "fps"}
"""Beside the metrics in the final table: the name of the number and of its words."""


class Final:
    """Tables and lines of the end of a record, in one language."""

    def __init__(self, results: Results, images: Mapping[str, Images]) -> None:
        """`images`: arm → what the test images say of its difference to its reference."""
        self.results, self.facts, self.words = results, results.facts, results.words
        self.images = images

    def operating(self) -> Table:
        """Precision, recall and F1 of each run's chosen checkpoint, and the confidence that they are at."""
        words, results = self.words, self.results
        head = [words("arm"), words("seed"), f"{words('precision')} (%)", f"{words('recall')} (%)", "F1 (%)",
                words("at confidence"), words("source")]  # fmt: skip
        rows = []
        for run in (run for arm in self.facts.arms for run in self.facts.of(arm)):
            cells = [results.cell(run.value(name), percent, chosen=run.chosen) for name in OPERATING]
            cells.append(results.cell(run.value("val/F1_confidence"), lambda value: f"{value:.3f}", chosen=run.chosen))
            mark = results.ledger.cite(run.source(run.chosen), words("said operating")) if run.chosen else ""
            rows.append([code(run.arm), seed_of(run, words), *cells, mark])
        return Table(head, rows, frozenset(range(2, len(head) - 1)))

    def table(self) -> Table:
        """For each further arm and metric: the reference, the arm, the change, and what the goals say of it."""
        words = self.words
        head = [words("metric"), words("arm"), words("reference"), words("result"), words("delta"), words("goal"),
                words("verdict")]  # fmt: skip
        metrics = (*self.results.judged, *OPERATING[:2], *COST)
        rows = [row for arm in self.facts.compared for metric in metrics if (row := self._row(arm, metric))]
        return Table(head, rows, frozenset({2, 3, 4}))

    def _row(self, arm: str, metric: str) -> list[str]:
        against = self.facts.reference(arm)
        reference, values = self.facts.values(against, metric), self.facts.values(arm, metric)
        goals = self._goals(arm, metric)
        if goals == ("–", "–") and not values and (not reference or metric in SPEED):
            return []  # the speed is measured of the arms that a goal is about
        ours, form = metric.startswith("val/"), self.results.form(metric)
        means = [summarise(list(side.values())).mean if side else None for side in (reference, values)]
        sides = zip((against, arm), means, strict=True)
        cells = [self.results.absent(metric, side) if mean is None else form(mean) for side, mean in sides]
        name = (
            f"{self.results.label(metric)} (%)"
            if ours
            else self.results.gflops()
            if metric == "model/gflops"
            else self.words(COST[metric])
        )
        return [name, code(arm), *cells, _change(means, ours), *goals]

    def _goals(self, arm: str, metric: str) -> tuple[str, str]:
        goals = [goal for goal in self._all_goals() if goal["metric"] == metric and goal.get("arm") in (arm, None)]
        written = "; ".join(map(self.results.goal, goals)), "; ".join(map(self.results.verdict_of, goals))
        return written[0] or "–", written[1] or "–"

    def _all_goals(self) -> Sequence[Mapping[str, Any]]:
        return self.facts.info.get("goals") or ()

    def detectable(self) -> str:
        """ "AP 2.1, AP50 3.4": the differences in pp that so many seeds of the measured spread would show."""
        found: dict[str, float] = {}
        for metric in self.results.judged:
            for arm in self.facts.compared:
                seen = _compared(self.facts, metric, self.facts.reference(arm), arm)
                if seen is not None and seen.detectable is not None:
                    found[metric] = max(seen.detectable, found.get(metric, 0.0))
        return ", ".join(f"{self.results.label(metric)} {100 * value:.1f}" for metric, value in found.items())

    def over_images(self) -> Table:
        """For each further arm: one pair of runs, its differences, and their intervals over the test images."""
        words = self.words
        head = [words("arm"), words("runs compared"), words("metric"), f"{words('delta')} (pp)",
                words("interval over images"), words("images")]  # fmt: skip
        rows = []
        for arm, images in self.images.items():
            runs = f"{code(images.second)} − {code(images.first)}"
            if images.problem:
                rows.append([code(arm), runs, "–", "–", plain(images.problem), "–"])
            for one in images.deltas:
                if f"val/{one.metric}" in self.results.judged:
                    interval = f"[{points(one.interval[0])}, {points(one.interval[1])}]"
                    name = self.results.label(f"val/{one.metric}")
                    rows.append([code(arm), runs, name, points(one.delta), interval, str(one.images)])
        return Table(head, rows, frozenset({3, 5}))

    def conclusions(self) -> list[str]:
        """A check box a goal, ticked where it is met; the verdict stands behind it in words."""
        lines = []
        for goal in self._all_goals():
            verdict = judge_goal(goal, self.facts.results(), self.facts.open_runs())
            box = "x" if verdict.word == "met" else " "
            said, marks = self.results.evidence(goal)
            beside = f" – {said} ({marks})" if said else ""
            lines.append(f"- [{box}] {self.results.goal(goal)}: {self.results.verdict_of(goal)}{beside}")
        return lines

    def decisions(self) -> Iterator[str]:
        """Each decision of the recipe: what it looks at, then its steps as check boxes, the one that holds ticked.

        The mean difference decides, once all runs of both arms are finished and each side has three seeds.
        """
        for decision in self.facts.info.get("decisions") or ():
            arm, against, metric = (str(decision[key]) for key in ("arm", "against", "metric"))
            found = _compared(self.facts, metric, against, arm)
            yield f"{self.results.label(metric)}, {code(arm)} − {code(against)}: {self._measured(found, arm, against)}"
            if reach := self._reach(decision, found):
                yield ""
                yield reach
            yield ""
            for step, holds in zip(decision["steps"], self._holding(decision, found, arm, against), strict=True):
                then = plain(self.words.pick(step.get("next")))
                title = plain(self.words.pick(step["title"]))
                yield f"- [{'x' if holds else ' '}] {title} ({self._condition(step)})" + (f": {then}" if then else "")
            yield ""

    def reached(self) -> Iterator[str]:
        """A line a decision: the difference, the title of the step that it comes to, and what its interval reaches."""
        for decision in self.facts.info.get("decisions") or ():
            arm, against, metric = (str(decision[key]) for key in ("arm", "against", "metric"))
            yield f"{self.results.label(metric)}, {code(arm)} − {code(against)}: {self.outcome(decision)[0]}"

    def outcome(self, decision: Mapping[str, Any]) -> tuple[str, bool]:
        """What a decision comes to in words, and whether it is decided."""
        arm, against, metric = (str(decision[key]) for key in ("arm", "against", "metric"))
        found = _compared(self.facts, metric, against, arm)
        holding = self._holding(decision, found, arm, against)
        steps = zip(decision["steps"], holding, strict=True)
        titles = [plain(self.words.pick(step["title"])) for step, holds in steps if holds]
        said = [self._measured(found, arm, against), *titles, self._reach(decision, found)]
        return " – ".join(filter(None, said)), any(holding)

    def next_steps(self) -> Iterator[str]:
        """What the decisions' steps lead to as check boxes, that of the step that holds ticked."""
        for decision in self.facts.info.get("decisions") or ():
            arm, against, metric = (str(decision[key]) for key in ("arm", "against", "metric"))
            found = _compared(self.facts, metric, against, arm)
            for step, holds in zip(decision["steps"], self._holding(decision, found, arm, against), strict=True):
                if step.get("next"):
                    title, then = (plain(self.words.pick(step[key])) for key in ("title", "next"))
                    yield f"- [{'x' if holds else ' '}] {self.words('if step', title, then)}"

    def _reach(self, decision: Mapping[str, Any], found: Comparison | None) -> str:
        """Which steps the interval of the difference lies in: the mean ticks one, and others may not be ruled out."""
        if found is None or found.interval is None:
            return ""
        low, high = (self._step_at(decision["steps"], bound) for bound in found.interval)
        titles = [plain(self.words.pick(decision["steps"][place]["title"])) for place in (low, high)]
        return self.words("interval within" if low == high else "interval reaches", *titles[: 1 + (low != high)])

    @staticmethod
    def _step_at(steps: Sequence[Mapping[str, Any]], value: float) -> int:
        """Place of the step that a difference of `value` comes to."""
        bounds = [step.get("at_least") for step in steps]
        return next(place for place, bound in enumerate(bounds) if bound is None or value >= bound)

    def _measured(self, found: Comparison | None, arm: str, against: str) -> str:
        if found is None:
            return self.words("missing")
        interval = f" [{points(found.interval[0])}, {points(found.interval[1])}]" if found.interval else ""
        reason = ""
        if unfinished := self.facts.unfinished(against, arm):
            reason = self.words("runs unfinished", ", ".join(map(code, unfinished)))
        elif min(found.n) < FEWEST_SEEDS:
            reason = self.words("too few seeds")
        return f"{points(found.delta)} pp{interval}" + (f" ({self.words('nothing decided', reason)})" if reason else "")

    def _holding(self, decision: Mapping[str, Any], found: Comparison | None, arm: str, against: str) -> list[bool]:
        """Which of the steps, from the highest bound down, the difference has come to: one at most."""
        steps = decision["steps"]
        if found is None or min(found.n) < FEWEST_SEEDS or self.facts.unfinished(against, arm):
            return [False] * len(steps)
        reached = self._step_at(steps, found.delta)
        return [index == reached for index in range(len(steps))]

    def _condition(self, step: Mapping[str, Any]) -> str:
        bound = step.get("at_least")
        return self.words("otherwise") if bound is None else f"≥ {points(bound)} pp"


def _change(means: Sequence[float | None], ours: bool) -> str:
    """A difference in percent points of a metric, in percent of anything else."""
    before, after = means
    if before is None or after is None:
        return "–"
    if ours:
        return f"{points(after - before)} pp"
    return f"{100 * (after - before) / before:+.1f} %" if before else "–"


def _compared(facts: ExperimentFacts, metric: str, against: str, arm: str) -> Comparison | None:
    if not facts.same_data(against, arm):
        return None
    reference, values = facts.values(against, metric), facts.values(arm, metric)
    return compare(reference, values) if reference and values else None
