"""A training with MMDetection that draws nothing while it trains, in its environment: what two devices compute can then
be held to what one computes.
"""

from __future__ import annotations

from typing import Any

from detui.engine.backends.mmdet.train import MmdetTrainer
from detui.engine.run.spec import RunSpec
from detui.engine.worker.reporter import Reporter


class LevelledTrainer(MmdetTrainer):
    """Takes the first of the anchors and proposals that MMDetection would choose among at random."""

    def train(self, spec: RunSpec, report: Reporter) -> None:
        """Train the run."""
        from detui.engine.backends.mmdet.building import ready

        ready()
        from mmdet.models.task_modules.samplers import RandomSampler

        def first(self: Any, gallery: Any, num: int) -> Any:
            return gallery[:num]

        RandomSampler.random_choice = first
        super().train(spec, report)
