"""The recipe's goals in words, each with its verdict and the numbers that this rests on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from detui.engine.analysis import judge_goal, summarise
from detui.engine.analysis.goals import NOT_MEASURED
from detui.engine.evaluate.tables import in_percent
from detui.engine.record.by_name import evidence, is_named, why_absent
from detui.engine.record.facts import Source
from detui.engine.record.text import Table, band, code, plain, points

if TYPE_CHECKING:
    from detui.engine.record.results import Results


def _signed(difference: float) -> str:
    """A difference of counts; none is a plain 0."""
    return f"{difference:+,.10g}" if difference else "0"


class GoalRows:
    """Goals in one language; what is printed of them is noted in the ledger of the results."""

    def __init__(self, results: Results) -> None:
        self.results, self.facts, self.words = results, results.facts, results.words
        self._told = any(is_named(self.facts, goal) for goal in self.facts.info.get("goals", ()))
        """Whether a goal is about a number that no other table shows: then each has its evidence, with units."""

    def table(self) -> Table:
        """The recipe's goals, each with the numbers that its verdict rests on."""
        words, results, unfinished = self.words, self.facts.results(), self.facts.open_runs()
        head = [words("goal"), words("arm"), words("measured"), words("interval").split(" (")[0], words("n"),
                words("verdict")]  # fmt: skip
        goals = self.facts.info.get("goals", ())
        told = self._told
        if told:  # beside the verdict stands what no other table of the record shows
            head[5:5] = [words("paired"), words("source")]
        rows = []
        for goal in goals:
            verdict = judge_goal(goal, results, unfinished)
            form = self._form(goal)
            interval = f"[{form(verdict.interval[0])}, {form(verdict.interval[1])}]" if verdict.interval else "–"
            measured = self._absent(goal) if verdict.measured is None else form(verdict.measured)
            arm = code(goal["arm"]) if goal.get("arm") else words("every arm")
            seeds = " / ".join(map(str, verdict.n)) or "–"
            said, marks = self.evidence(goal)
            if said and verdict.measured is not None:
                measured += self._std(goal)
            row = [self.text(goal), arm, measured, interval, seeds, self.verdict(goal)]
            row[5:5] = [said or "–", marks] if told else []
            rows.append(row)
        return Table(head, rows, origins=[self._origins(goal) for goal in goals])

    def _form(self, goal: Mapping[str, Any]) -> Callable[[float], str]:
        """How what was measured for a goal is written."""
        if goal.get("unchanged"):
            return _signed
        metric = str(goal["metric"])
        if "delta_at_least" in goal:
            return self._difference_form(metric)
        told = self._told or not in_percent(metric)  # else AP is in percent in the whole table
        return self.results.written(metric) if told else self.results.form(metric)

    @staticmethod
    def _difference_form(metric: str) -> Callable[[float], str]:
        return points if in_percent(metric) else lambda value: f"{value:+.4g}"

    def _std(self, goal: Mapping[str, Any]) -> str:
        """ " ± 1.3" over the seeds of an arm, of a goal about one arm's own number."""
        if not goal.get("arm") or goal.get("against"):
            return ""
        metric = str(goal["metric"])
        found = self.facts.points(str(goal["arm"]), metric, goal.get("iteration"))
        std = summarise([point.value for point in found.values()]).std if found else None
        return "" if std is None else f" ± {self.results.written(metric)(std)}"

    def _origins(self, goal: Mapping[str, Any]) -> list[Source]:
        metric, iteration = str(goal["metric"]), goal.get("iteration")
        return [point.source for arm in self._arms_of(goal)
                for point in self.facts.points(arm, metric, iteration).values()]  # fmt: skip

    def text(self, goal: Mapping[str, Any]) -> str:
        """A goal in words: its title, then "AP50 ≥ 42.0 %", or "AP50 40 to 42 %"."""
        metric, written, words = str(goal["metric"]), self.results.written(str(goal["metric"])), self.words
        name = self.results.metric(metric)
        if goal.get("iteration") is not None:
            name += words("at iteration", goal["iteration"])
        if "delta_at_least" in goal:
            by = self._difference_form(metric)(goal["delta_at_least"]) + (" pp" if in_percent(metric) else "")
            text = f"{name}, {code(goal['arm'])} − {code(goal['against'])} ≥ {by}"
        elif goal.get("at_least") is not None and goal.get("at_most") is not None:
            colon = self.words("colon") if is_named(self.facts, goal) else " "
            text = f"{name}{colon}{self._band(metric, goal['at_least'], goal['at_most'])}"
        elif goal.get("unchanged"):
            text = self.words("goal unchanged", self.results.metric(metric), code(goal["arm"]), code(goal["against"]))
        else:
            bounds = [f"{sign} {written(goal[key])}" for sign, key in (("≥", "at_least"), ("≤", "at_most"))
                      if goal.get(key) is not None]  # fmt: skip
            text = f"{name} {', '.join(bounds)}"
        title = plain(self.words.pick(goal.get("title")))
        if not title:
            return text
        return f"{title} {text}" if title.endswith(("?", "？")) else f"{title}: {text}"

    def verdict(self, goal: Mapping[str, Any]) -> str:
        """The verdict in words."""
        found = judge_goal(goal, self.facts.results(), self.facts.open_runs())
        return self._absent(goal) if found.word == NOT_MEASURED else self.results.verdict(found)

    def _absent(self, goal: Mapping[str, Any]) -> str:
        """What stands for a number that a goal is about, and that is not there."""
        arms, metric, iteration = self._arms_of(goal), str(goal["metric"]), goal.get("iteration")
        if not is_named(self.facts, goal):
            return self.results.absent(metric, *arms)
        lacking = next((arm for arm in arms if not self.facts.points(arm, metric, iteration)), arms[0])
        why = why_absent(self.facts, lacking, goal, self.words)
        return f"{code(lacking)}: {why}" if len(arms) > 1 else why

    def evidence(self, goal: Mapping[str, Any]) -> tuple[str, str]:
        """Each seed's number, and the marks; twice "" where no goal is about a statistic, a field or an iteration."""
        if not self._told:
            return "", ""
        said = evidence(self.facts, self._arms_of(goal), goal, self.words, self.results.written(str(goal["metric"])))
        return said, self.results.ledger.cite_all(self._origins(goal), self.words("said goal"))

    def _arms_of(self, goal: Mapping[str, Any]) -> list[str]:
        return [str(goal[name]) for name in ("against", "arm") if goal.get(name)] or self.facts.arms

    def _band(self, metric: str, low: float, high: float) -> str:
        """ "25 to 30 %", "0.65 to 0.70"."""
        scale = 100 if in_percent(metric) else 1
        return self.words("band", *band(scale * low, scale * high)) + self.results.unit(metric)
