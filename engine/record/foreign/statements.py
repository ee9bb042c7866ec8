"""What a document asks in words and the numbers answer: trends, classes that gained, side effects, stability.

Evidence with its interval, in the words of the record. What caused it, and what it means, stays a person's to write.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detui.engine.analysis import compare, judge_goal
from detui.engine.record.by_class import ByClass
from detui.engine.record.facts import ExperimentFacts, RunFacts, Source
from detui.engine.record.final import Final
from detui.engine.record.foreign.questions import Refusal
from detui.engine.record.milestones import Milestones
from detui.engine.record.results import Results, label
from detui.engine.record.sources import Ledger
from detui.engine.record.stability import Stability
from detui.engine.record.text import percent, points
from detui.engine.record.words import Words

STATED = ("fact/trend", "fact/classes_gained", "fact/expected", "fact/side_effect", "fact/convergence",
          "fact/overfitting")  # fmt: skip
"""What can be said. "fact/expected/2" expects a gain of 2 points; "fact/goal/42" is the recipe's goal of 42 %."""


def stated(quantity: str) -> bool:
    """Whether a quantity is a statement."""
    return quantity in STATED or quantity.rpartition("/")[0] in ("fact/goal", "fact/expected")


@dataclass(frozen=True, slots=True)
class Said:
    """A statement, and where its numbers stand."""

    text: str
    """Without the marks that keep it from being Markdown: whoever writes it down adds those."""
    sources: tuple[Source, ...]


def bare(text: str) -> str:
    """A text of the record without its Markdown: "a\\|b &lt;c" is "a|b <c"."""
    return html.unescape(re.sub(r"\\([\\`*\[\]|~$_#])", r"\1", text))


class Statements:
    """Statements about the arms of one experiment, in the language of a document."""

    def __init__(self, facts: ExperimentFacts, language: str, reference: str | None) -> None:
        self.facts, self.words, self.reference = facts, Words(language), reference
        self.results = Results(facts, self.words, Ledger())

    def of(self, quantity: str, runs: Sequence[RunFacts], epoch: int | None) -> Said | Refusal:
        """What is said of the runs of one arm; or why nothing is."""
        if quantity == "fact/trend":
            return self._trend(runs, epoch)
        if epoch is not None:
            return Refusal("a statement of the whole training, and this asks for one epoch")
        if not any(run.finished and run.chosen for run in runs):
            return Refusal("no run has finished")
        if quantity in ("fact/convergence", "fact/overfitting"):
            return self._course(quantity, [run for run in runs if run.finished])
        arm, number = runs[0].arm, quantity.split("/")[2:]
        if quantity.startswith("fact/goal/"):
            return self._goal(arm, float(number[0]) / 100)
        if self.reference in (None, arm):
            return Refusal("the experiment has no reference arm to compare with; --reference NAME names one")
        if not self.facts.same_data(str(self.reference), arm):
            return Refusal(f"{arm} and {self.reference} are on different data: their numbers do not compare")
        if quantity == "fact/classes_gained":
            return self._classes(arm)
        if quantity == "fact/side_effect":
            return self._side_effect(arm)
        return self._expected(arm, float(number[0]) / 100 if number else None)

    def _trend(self, runs: Sequence[RunFacts], epoch: int | None) -> Said | Refusal:
        if epoch is None:
            return Refusal("a trend is of an epoch, and no epoch is named")
        earlier = [int(one) for one in self.facts.info.get("milestones") or () if one < epoch]
        if not earlier:
            return Refusal(f"no milestone lies before epoch {epoch}")
        before = max(earlier)
        told = Milestones(self.results).trend(runs, before, epoch)
        lines = [(run, line) for run in runs for line in run.evaluations if line["epoch"] in (before, epoch)]
        if not lines or told == self.words("missing"):
            return Refusal(f"epochs {before} and {epoch} were not both evaluated")
        return Said(f"{self.words('since epoch', before)}: {told}", tuple(run.source(line) for run, line in lines))

    def _course(self, quantity: str, runs: Sequence[RunFacts]) -> Said | Refusal:
        """Each seed's evidence: the loss at the end, or validation after its best."""
        stability = Stability(self.results)
        tell = stability.loss if quantity == "fact/convergence" else stability.after
        found = [tell(run) for run in runs]
        if self.words("missing") in found:
            return Refusal("not every finished run has the curves that say it")
        word = "loss at the end" if quantity == "fact/convergence" else "after best"
        seeds = [text if len(runs) == 1 else f"s{run.seed}: {text}" for run, text in zip(runs, found, strict=True)]
        sources = tuple(source for run in runs for source in stability.sources(run))
        return Said(f"{self.words(word, label(stability.metric))}: {'; '.join(seeds)}", sources)

    def _classes(self, arm: str) -> Said | Refusal:
        decision = self._decision(arm)
        metric = str(decision["metric"]) if decision else "val/AP"
        by_class = ByClass(self.results)
        deltas = by_class.gains(arm, metric, self.reference)
        if not deltas:
            return Refusal(f"{metric} by class was not measured in both arms")
        sources = self._sources([f"{metric}/{name}" for name, _ in deltas], arm)
        return Said(f"{label(metric)}: {bare(by_class.most(deltas))}", sources)

    def _side_effect(self, arm: str) -> Said | Refusal:
        """The differences of medium and large objects with their intervals."""
        told, metrics = [], []
        for metric in ("val/AP_medium", "val/AP_large"):
            before, after = (self.facts.values(one, metric) for one in (str(self.reference), arm))
            if before and after:
                found = compare(before, after, self.facts.unfinished(str(self.reference), arm))
                interval = f" [{points(found.interval[0])}, {points(found.interval[1])}]" if found.interval else ""
                told.append(f"{label(metric)} {points(found.delta)} pp{interval} {self.results.verdict(found)}")
                metrics.append(metric)
        if not told:
            return Refusal("neither val/AP_medium nor val/AP_large was measured in both arms")
        return Said("; ".join(told), self._sources(metrics, arm))

    def _decision(self, arm: str) -> Mapping[str, Any] | None:
        """The recipe's one decision about an arm against the reference."""
        found = [one for one in self.facts.info.get("decisions") or ()
                 if one["arm"] == arm and one["against"] == self.reference]  # fmt: skip
        return found[0] if len(found) == 1 else None

    def _expected(self, arm: str, bound: float | None) -> Said | Refusal:
        """What the recipe's decision comes to; `bound`: the gain that the label expects, which must be a step's."""
        decision = self._decision(arm)
        if decision is None:
            return Refusal(f"the recipe has no decision about {arm} against {self.reference}, or several")
        bounds = [step.get("at_least") for step in decision["steps"]]
        if bound is not None and not any(one is not None and math.isclose(one, bound) for one in bounds):
            return Refusal(f"the recipe's decision about {arm} has no step at {points(bound)} points")
        told, decided = Final(self.results, {}).outcome(decision)
        text = bare(told)
        if not decided:
            return Refusal(f"not decided: {text}")
        metric = str(decision["metric"])
        return Said(f"{label(metric)} {text}", self._sources([metric], arm))

    def _goal(self, arm: str, bound: float) -> Said | Refusal:
        """The recipe's goal of that bound, judged."""
        goals = [goal for goal in self.facts.info.get("goals") or ()
                 if goal.get("arm") in (arm, None) and str(goal["metric"]).startswith("val/")
                 and goal.get("at_least") is not None and goal.get("at_most") is None
                 and math.isclose(goal["at_least"], bound)]  # fmt: skip
        if len(goals) != 1:
            return Refusal(f"the recipe has {len(goals) or 'no'} goals of {percent(bound)} % for {arm}")
        (goal,) = goals
        verdict = judge_goal(goal, self.facts.results(), self.facts.open_runs())
        if verdict.word not in ("met", "not met") or verdict.measured is None:
            return Refusal(f"not decided: {verdict.reason or verdict.word}")
        text = f"{self.results.verdict(verdict)}: {label(str(goal['metric']))} {percent(verdict.measured)} %"
        return Said(text, self._sources([str(goal["metric"])], arm, alone=True))

    def _sources(self, metrics: Sequence[str], arm: str, *, alone: bool = False) -> tuple[Source, ...]:
        arms = [arm] if alone else [str(self.reference), arm]
        found = [point.source for one in arms for name in metrics for point in self.facts.points(one, name).values()]
        return tuple(dict.fromkeys(found))
