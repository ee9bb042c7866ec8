"""The best arm of each group of arms that share a setting, and the best ones set against each other.

The choice is the recipe's (`record: {best_of: {by: model.framework}}`): the highest mean of a metric over the seeds of
an arm's finished runs, on a tie the arm that stands first. The same numbers choose and judge, so that every best mean
is somewhat too high, the more so the more arms were tried; intervals do not count the choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from detui.engine.analysis import Comparison, compare, flatten
from detui.engine.record.facts import ExperimentFacts
from detui.engine.record.results import Results
from detui.engine.record.text import Table, code, points


@dataclass(frozen=True, slots=True)
class Group:
    """Arms that share a value of the setting."""

    value: str
    """Of the setting, as text."""
    arms: tuple[str, ...]
    """Those that were tried, in the recipe's order."""
    best: str | None
    """The chosen one; None while no finished run of the group has the metric."""
    lacking: tuple[str, ...]
    """Planned runs without a number, of all its arms: with one of them another arm might be the best."""


def best_arm(by_arm: Mapping[str, Mapping[int, float]]) -> str | None:
    """The arm with the highest mean over seeds, the first on a tie; None where no arm has a value."""
    means = {arm: fmean(values.values()) for arm, values in by_arm.items() if values}
    return max(means, key=lambda arm: means[arm]) if means else None


def groups_of(facts: ExperimentFacts, setting: str, metric: str) -> list[Group]:
    """The groups in the order of their first arms."""
    arms: dict[str, list[str]] = {}
    for one in facts.info["arms"]:
        arms.setdefault(str(flatten(one.get("config") or {}).get(setting)), []).append(str(one["name"]))
    return [
        Group(value, tuple(names), best_arm({arm: facts.values(arm, metric) for arm in names}),
              tuple(run for arm in names for run in _lacking(facts, arm, metric)))
        for value, names in arms.items()
    ]  # fmt: skip


def _lacking(facts: ExperimentFacts, arm: str, metric: str) -> list[str]:
    has = {run.name for run in facts.finished(arm) if run.value(metric) is not None}
    return [name for name in facts.planned(arm) if name not in has]


class BestOf:
    """The table of the best arms, in one language; without rows where the recipe asks for none."""

    def __init__(self, results: Results) -> None:
        self.results, self.facts, self.words = results, results.facts, results.words
        asked: Mapping[str, Any] = (self.facts.info.get("record") or {}).get("best_of") or {}
        self.setting, self.metric = str(asked.get("by") or ""), str(asked.get("metric") or "val/AP")

    @property
    def asked(self) -> bool:
        """Whether the recipe asks for it."""
        return bool(self.setting)

    @property
    def first(self) -> str:
        """The value of the group that the others are set against, as code."""
        return code(self._groups()[0].value)

    def _groups(self) -> list[Group]:
        return groups_of(self.facts, self.setting, self.metric) if self.setting else []

    @property
    def uneven(self) -> bool:
        """Whether one group has tried more arms than another, and is flattered more."""
        return len({len(group.arms) for group in self._groups()}) > 1

    def table(self) -> Table:
        """A row a group: arms tried, the best, its mean and spread, and how far it is from the first group's best."""
        words = self.words
        head = [code(self.setting), words("arms tried"), words("best arm"), f"{self.results.label(self.metric)} (%)",
                words("n"), f"{words('delta')} (pp)", words("interval"), words("verdict"), words("source")]  # fmt: skip
        groups = self._groups()
        return Table(head, [self._row(groups[0], group) for group in groups], frozenset({1, 3, 4, 5}))

    def _row(self, first: Group, group: Group) -> list[str]:
        values = self.facts.values(group.best, self.metric) if group.best else {}
        best = self.words("missing") if group.best is None else code(group.best)
        if group.best and group.lacking:
            best += f" ({self.words('so far')})"
        used = [one.source for arm in group.arms for one in self.facts.points(arm, self.metric).values()]
        return [code(group.value), str(len(group.arms)), best, self.results.spread(values).strip("*"), str(len(values)),
                *(("–", "–", "–") if group is first else self._against(first, group)),
                self.results.ledger.cite_all(used, self.words("said best"))]  # fmt: skip

    def _compared(self, first: Group, group: Group) -> Comparison | None:
        """The best of a group minus the first group's best; None while either has none."""
        if first.best is None or group.best is None:
            return None
        reference, values = (self.facts.values(arm, self.metric) for arm in (first.best, group.best))
        return compare(reference, values, [*first.lacking, *group.lacking])

    def _against(self, first: Group, group: Group) -> tuple[str, str, str]:
        found = self._compared(first, group)
        if found is None:
            return (self.words("missing"),) * 3
        interval = f"[{points(found.interval[0])}, {points(found.interval[1])}]" if found.interval else "–"
        return points(found.delta), interval, self.results.verdict(found)

    def lines(self) -> list[str]:
        """A line a further group, for the head of the record; none while either side has no best arm."""
        found = []
        for group in (groups := self._groups())[1:]:
            against = self._compared(groups[0], group)
            if against is not None:
                told = (self.setting, group.best, groups[0].best)
                found.append(
                    self.words("best line", *map(code, told), self.results.label(self.metric), points(against.delta),
                               " / ".join(map(str, against.n)), self.results.verdict(against))
                )  # fmt: skip
        return found
