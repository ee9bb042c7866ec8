"""What a training's losses come to over an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class EpochMeans:
    """The means of `train/…` over the steps of the epoch in progress."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._summed = 0

    def add(self, values: Mapping[str, float]) -> None:
        """Take a step's values; what is not `train/…` is left out."""
        for name, value in values.items():
            if name.startswith("train/"):
                self._sums[name] = self._sums.get(name, 0.0) + value
        self._summed += 1

    def means(self) -> dict[str, float]:
        """`train/…` → mean over the steps that were added."""
        return {name: value / max(self._summed, 1) for name, value in self._sums.items()}

    def clear(self) -> None:
        """Begin an epoch."""
        self._sums, self._summed = {}, 0

    def state(self) -> dict[str, Any]:
        """The sums of the epoch in progress, for a checkpoint."""
        return {"sums": dict(self._sums), "summed": self._summed}

    def restore(self, told: Mapping[str, Any]) -> None:
        """Go on with what `state` gave."""
        self._sums, self._summed = dict(told["sums"]), told["summed"]
