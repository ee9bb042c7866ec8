"""One metric per class, the arms side by side; and the classes that a change did most for."""

from __future__ import annotations

from collections.abc import Sequence

from detui.engine.record.results import Results
from detui.engine.record.text import Table, code, plain, points

MOST = 3
"""Classes that are named as those that gained most."""


class ByClass:
    """Tables of classes, in one language."""

    def __init__(self, results: Results) -> None:
        self.results, self.facts, self.words = results, results.facts, results.words

    def table(self, metric: str) -> Table:
        """Class × arm: the metric ("val/AP_small") in percent, mean ± standard deviation over the finished seeds.

        A dash where an arm's data does not have the class.
        """
        head = [self.words("class"), *map(code, self.facts.arms), self.words("source")]
        rows = [self._row(name, f"{metric}/{name}") for name in self.facts.classes]
        return Table(head, rows, frozenset(range(1, len(head) - 1)))

    def _row(self, name: str, metric: str) -> list[str]:
        cells, used = [], []
        for arm in self.facts.arms:
            if name not in self.facts.classes_of(arm):
                cells.append("–")
                continue
            evaluated = sum(run.chosen is not None for run in self.facts.finished(arm))
            cells.append(self.results.spread(self.facts.values(arm, metric), evaluated).replace("**", ""))
            used += [point.source for point in self.facts.points(arm, metric).values()]
        return [plain(name), *cells, self.results.ledger.cite_all(used, self.words("said class"))]

    def gains(self, arm: str, metric: str, reference: str | None = None) -> list[tuple[str, float]]:
        """Class and difference of means (0–1) to the reference arm, the largest first; those measured in both.

        Of arms on different data there are none.
        """
        deltas: list[tuple[str, float]] = []
        against = reference or self.facts.reference(arm)
        if not self.facts.same_data(against, arm):
            return deltas
        for name in self.facts.classes_of(arm):
            sides = [self.facts.values(one, f"{metric}/{name}") for one in (against, arm)]
            if all(sides):
                before, after = (sum(side.values()) / len(side) for side in sides)
                deltas.append((name, after - before))
        return sorted(deltas, key=lambda pair: -pair[1])

    def most(self, deltas: Sequence[tuple[str, float]]) -> str:
        """ "car +2.1, van +1.0 pp"; that no class gained, where none did."""
        gained = [f"{plain(name)} {points(delta)}" for name, delta in deltas[:MOST] if delta > 0]
        return f"{', '.join(gained)} pp" if gained else self.words("no class gained" if deltas else "missing")

    def gained_most(self, metric: str) -> list[str]:
        """A line an arm: "`weighted`: AP small of car +2.1, van +1.0 pp"."""
        return [self.words("gained most", code(arm), self.results.label(metric), self.most(self.gains(arm, metric)))
                for arm in self.facts.compared]  # fmt: skip
