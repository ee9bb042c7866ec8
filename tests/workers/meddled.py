"""Trainings with MMDetection that are interfered with, in its environment.

`MeddledTrainer` lets the optimizer be built with other factors than were asked for. `StoppedTrainer` is asked to stop
while it validates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detui.engine.backends.mmdet import configuration
from detui.engine.backends.mmdet.train import MmdetTrainer
from detui.engine.run.spec import RunSpec
from detui.engine.worker.reporter import Reporter


class MeddledTrainer(MmdetTrainer):
    """Trains the neck with the rate of the heads, whatever was asked."""

    def train(self, spec: RunSpec, report: Reporter) -> None:
        """Train the run."""
        made = configuration.optimisation

        def other(train: Mapping[str, Any]) -> dict[str, Any]:
            found = made(train)
            found["paramwise_cfg"]["custom_keys"]["neck"] = {"lr_mult": 1.0}
            return found

        configuration.optimisation = other
        super().train(spec, report)


class StoppedTrainer(MmdetTrainer):
    """Is asked to stop once its first validation has begun."""

    def train(self, spec: RunSpec, report: Reporter) -> None:
        """Train the run."""
        from detui.engine.backends.mmdet import validation

        compute = validation.validation_losses

        def stopped(*arguments: Any) -> dict[str, float]:
            report._stop.requested = True
            return compute(*arguments)

        validation.validation_losses = stopped
        super().train(spec, report)
