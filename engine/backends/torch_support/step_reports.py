"""Steps as they are reported, and what they come to over an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detui.engine.backends.torch_support import distributed
from detui.engine.backends.torch_support.late import LateScalars
from detui.engine.worker.reporter import Reporter


class StepReports:
    """Reports the steps of one stage, late where a GPU holds their values, and sums their losses over the epoch.

    Every process sums its own; the first one alone reports.
    """

    def __init__(self, report: Reporter, stage: str) -> None:
        """`stage`: its name."""
        self._report, self._stage = report, stage
        self._late = LateScalars()
        self._main = distributed.rank() == 0
        self._sums: dict[str, float] = {}
        self._summed = 0

    def push(self, step: int, epoch: int, losses: dict[str, Any], more: dict[str, float]) -> None:
        """Hand in one step: its losses (scalar tensors), and what is known without waiting for them."""
        self._tell(self._late.push(step, epoch, losses, more))

    def flush(self) -> None:
        """Wait for the steps whose values are still on their way."""
        self._tell(self._late.flush())

    def means(self) -> dict[str, float]:
        """`train/…` of the epoch in progress: the means over its steps that were reported."""
        return {name: value / max(self._summed, 1) for name, value in self._sums.items()}

    def new_epoch(self) -> None:
        """Begin its sums."""
        self._sums, self._summed = {}, 0

    def state(self) -> dict[str, Any]:
        """The sums of the epoch in progress, for a checkpoint."""
        return {"sums": dict(self._sums), "summed": self._summed}

    def restore(self, told: Mapping[str, Any]) -> None:
        """Go on with what `state` gave."""
        self._sums, self._summed = dict(told["sums"]), told["summed"]

    def _tell(self, arrived: list[Any]) -> None:
        for step, epoch, values in arrived:
            for name, value in values.items():
                if name.startswith("train/"):
                    self._sums[name] = self._sums.get(name, 0.0) + value
            self._summed += 1
            if self._main:
                self._report.step(step, epoch, values, self._stage)
