"""Steps as they are reported, and what they come to over an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detui.engine.backends.torch_support.late import LateScalars
from detui.engine.worker.epoch_means import EpochMeans
from detui.engine.worker.reporter import Reporter


class StepReports:
    """Reports the steps of one stage, late where a GPU holds their values, and sums their losses over the epoch.

    Every process has the same values; whether one writes them is its reporter's business.
    """

    def __init__(self, report: Reporter, stage: str) -> None:
        """`stage`: its name."""
        self._report, self._stage = report, stage
        self._late = LateScalars()
        self._epoch = EpochMeans()

    def push(self, step: int, epoch: int, losses: dict[str, Any], more: dict[str, float]) -> None:
        """Hand in one step: its losses (scalar tensors), and what is known without waiting for them."""
        self._tell(self._late.push(step, epoch, losses, more))

    def flush(self) -> None:
        """Wait for the steps whose values are still on their way."""
        self._tell(self._late.flush())

    def means(self) -> dict[str, float]:
        """`train/…` of the epoch in progress: the means over its steps that were reported."""
        return self._epoch.means()

    def new_epoch(self) -> None:
        """Begin its sums."""
        self._epoch.clear()

    def state(self) -> dict[str, Any]:
        """The sums of the epoch in progress, for a checkpoint."""
        return self._epoch.state()

    def restore(self, told: Mapping[str, Any]) -> None:
        """Go on with what `state` gave."""
        self._epoch.restore(told)

    def _tell(self, arrived: list[Any]) -> None:
        for step, epoch, values in arrived:
            self._epoch.add(values)
            self._report.step(step, epoch, values, self._stage)
