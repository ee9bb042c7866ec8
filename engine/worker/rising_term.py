"""The alarm of a loss term that rises while the others fall: which, since when, and what validation did meanwhile.

cls rises and giou falls where a classifier fails, and also where a detector
learns well: the text states the numbers of both curves and of the metric over
the same epochs, and leaves it at that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from detui.engine.run.rises import RISING_BY, RISING_EPOCHS, rise_start

Means = tuple[int, dict[str, float]]
"""An epoch, and the mean of every term over it."""


class RisingTerm:
    """A term of the loss that rises over epochs while the others together, and each of them, end lower."""

    def __init__(self) -> None:
        self._means: list[Means] = []
        self._metric = ""
        self._validations: dict[str, list[tuple[int, float]]] = {}
        self._said: set[str] = set()

    def validated(self, epoch: int, name: str, value: float) -> None:
        """Take the validation metric of an epoch, finite; before the terms of the same epoch."""
        self._metric = name
        self._validations.setdefault(name, []).append((epoch, value))

    def epoch(self, epoch: int, terms: dict[str, float]) -> Iterator[tuple[str, str]]:
        """Take the means of the terms over an epoch, finite. Yields (term, text), once for each term."""
        if self._means and set(self._means[-1][1]) != set(terms):
            self._means.clear()
        self._means.append((epoch, terms))
        if len(self._means) <= RISING_EPOCHS or len(terms) < 2:
            return
        before = self._means[-1 - RISING_EPOCHS][1]
        for name in terms.keys() - self._said:
            others = [other for other in terms if other != name]
            if self._rises(name) and all(terms[other] < before[other] for other in others):
                self._said.add(name)
                yield name, self._text(name, others)

    def _rises(self, name: str) -> bool:
        """Whether a term rose over the last epochs; at most one of them may be lower than the one before."""
        values = [means[name] for _, means in self._means[-1 - RISING_EPOCHS :]]
        ups = sum(later > earlier for earlier, later in pairwise(values))
        return ups >= RISING_EPOCHS - 1 and values[-1] - values[0] > RISING_BY * abs(values[0])

    def _text(self, name: str, others: Sequence[str]) -> str:
        recent = len(self._means) - 1 - RISING_EPOCHS
        found = rise_start([means[name] for _, means in self._means])
        start = recent if found is None else min(found, recent)
        (first, then), (last, now) = self._means[start], self._means[-1]
        fall = self._falling_since(others, start)
        since, high = self._means[fall]
        when = "meanwhile" if fall == start else f"since epoch {since}"
        fell = ", ".join(f"{other} from {high[other]:.4g} to {now[other]:.4g}" for other in sorted(others))
        return (
            f"{name} rose from {then[name]:.4g} (epoch {first}) to {now[name]:.4g} (epoch {last}), means over the "
            f"epochs; {when} fell {fell}; {self._validation(first, last)}."
        )

    def _falling_since(self, others: Sequence[str], start: int) -> int:
        """The earliest place from `start` on at which each of the others was higher than now; one is in the window."""
        now = self._means[-1][1]
        whole = range(start, len(self._means))
        return next(i for i in whole if all(self._means[i][1][other] > now[other] for other in others))

    def _validation(self, first: int, last: int) -> str:
        """What the metric that the training reports did in these epochs."""
        known = [one for one in self._validations.get(self._metric, ()) if first <= one[0] <= last]
        if not known:
            return "the training itself reported no validation metric in these epochs"
        (begin, then), (end, now) = known[0], known[-1]
        if begin == end:
            return f"{self._metric} was {now:.4g} in epoch {end} and not reported in another of these epochs"
        if (begin, end) == (first, last):
            return f"{self._metric} went from {then:.4g} to {now:.4g}"
        return f"{self._metric} went from {then:.4g} (epoch {begin}) to {now:.4g} (epoch {end})"
