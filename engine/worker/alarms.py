"""Detectors that watch a run's curves as they are reported: pure, standard library only, a microsecond a step.

Each takes the numbers in order and returns the text of an alarm, or None. The
text is the evidence, from where to where and in which epochs; what follows
from it is the reader's to decide. After a resume they start afresh, and so
they do at a new stage, whose loss may have another scale.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from detui.engine.worker.rising_term import RisingTerm

Values = Mapping[str, Any]
Found = Iterator[tuple[str, str]]
"""Pairs of an alarm's name and text."""

TERM = "train/loss_"
"""What the terms of the loss are called; their sum is the total where no `train/loss` is given."""

FIRST_STEPS = 50
"""Steps whose mean is the first level of the total loss; nothing is said before."""

SMOOTHING = 0.05
"""Weight of the newest step in the smoothed total loss: about the last 20 steps count."""

DIVERGED = 3.0
"""How many times its own minimum the smoothed total loss must be."""

DIVERGED_BACK = 0.5
"""Which part of its way down from the first level it must have lost besides: 3 times almost nothing is nothing."""

DIVERGED_STEPS = 50
"""For how many steps without a break it must be so."""

PLATEAU_EPOCHS = 30
"""Epochs without improvement."""

PLATEAU_BY = 0.001
"""The part of the best value by which a better one must be better."""

_METRICS = ("AP50-95", "map", "ap", "accuracy")


class Divergence:
    """The smoothed total loss far above its own lowest level, for some time."""

    def __init__(self) -> None:
        self._steps = 0
        self._first = 0.0
        self._level = 0.0
        self._lowest = math.inf
        self._lowest_at = 0
        self._since = 0
        self._beyond = 0

    def step(self, step: int, total: float) -> str | None:
        """Take the total loss of one step."""
        self._steps += 1
        if self._steps <= FIRST_STEPS:
            self._first += (total - self._first) / self._steps
            self._level = self._first
            return None
        self._level += SMOOTHING * (total - self._level)
        if self._level < self._lowest:
            self._lowest, self._lowest_at = self._level, step
        if not self._far():
            self._beyond = 0
            return None
        self._beyond += 1
        if self._beyond == 1:
            self._since = step
        if self._beyond != DIVERGED_STEPS:
            return None
        return (
            f"The total loss, smoothed, is {self._level:.4g} after step {step}: its minimum was {self._lowest:.4g} "
            f"at step {self._lowest_at}, and it has been above {DIVERGED:g} times that since step {self._since}."
        )

    def _far(self) -> bool:
        rise = self._level - self._lowest
        back = DIVERGED_BACK * (self._first - self._lowest)
        return rise > (DIVERGED - 1) * abs(self._lowest) and rise > back


class Plateau:
    """No better value for many epochs. Sounds once."""

    def __init__(self, name: str, *, rises: bool) -> None:
        """`rises`: whether more is better, as of a metric; less is, of a loss."""
        self.name = name
        self._sign = 1.0 if rises else -1.0
        self._best: float | None = None
        self._best_at = 0
        self._said = False

    def epoch(self, epoch: int, value: float) -> str | None:
        """Take the value of an epoch."""
        better = self._best is None or self._sign * (value - self._best) > PLATEAU_BY * abs(self._best)
        if better:
            self._best, self._best_at = value, epoch
            return None
        if self._said or self._best is None or epoch - self._best_at < PLATEAU_EPOCHS:
            return None
        self._said = True
        return (
            f"{self.name} has not improved since epoch {self._best_at}: {self._best:.4g} then, "
            f"{value:.4g} in epoch {epoch}."
        )


class CurveAlarms:
    """All detectors of one attempt."""

    def __init__(self) -> None:
        self._stage: str | None = None
        self._restart()

    def _restart(self) -> None:
        self._divergence = Divergence()
        self._terms = 0
        self._rising = RisingTerm()
        self._plateau: Plateau | None = None
        self._sums: dict[str, float] = {}
        self._steps = 0

    def step(self, step: int, values: Values, stage: str) -> str | None:
        """Take a step's numbers. Returns the text of `divergence`, or None."""
        if stage != self._stage:
            self._stage = stage
            self._restart()
        total, terms, sums = 0.0, 0, self._sums
        whole = values.get("train/loss")
        for name, value in values.items():
            if value is not None and name.startswith(TERM):
                total += value
                terms += 1
                sums[name] = sums.get(name, 0.0) + value
        self._steps += 1
        if whole is not None:
            total = whole
        elif not terms:
            return None
        if terms != self._terms:  # a term that comes or goes changes the scale of the total
            self._terms, self._divergence = terms, Divergence()
        return self._divergence.step(step, total) if math.isfinite(total) else None

    def epoch(self, epoch: int, values: Values, stage: str) -> Found:
        """Take an epoch's numbers: its own means of the loss terms, or else those of the steps."""
        if stage != self._stage:
            self._stage = stage
            self._restart()
        terms = _terms(values) or {name: total / self._steps for name, total in self._sums.items()}
        self._sums, self._steps = {}, 0
        name, value, rises = _watched(values, terms)
        if value is not None and not math.isfinite(value):
            value = None
        if name is not None and value is not None and rises:
            self._rising.validated(epoch, name, value)
        if terms and all(map(math.isfinite, terms.values())):
            for _, text in self._rising.epoch(epoch, terms):
                yield "rising_term", text
        if name is None or value is None:
            return
        if self._plateau is None or self._plateau.name != name:
            if self._plateau is not None and not rises:
                return  # an epoch without validation
            self._plateau = Plateau(name, rises=rises)
        if lasting := self._plateau.epoch(epoch, value):
            yield "plateau", lasting


def _terms(values: Values) -> dict[str, float]:
    return {name: value for name, value in values.items() if name.startswith(TERM) and value is not None}


def _watched(values: Values, terms: Mapping[str, float]) -> tuple[str | None, float | None, bool]:
    """Return what shows improvement: (name, value, whether more is better)."""
    for ending in _METRICS:
        for name, value in values.items():
            if value is not None and name.lower().endswith(ending.lower()):
                return name, value, True
    if values.get("train/loss") is not None:
        return "train/loss", values["train/loss"], False
    return ("the total loss", sum(terms.values()), False) if terms else (None, None, False)
