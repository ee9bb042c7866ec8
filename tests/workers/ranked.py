"""A worker of several ranks that trains by arithmetic: they agree on a stop, the first one saves, one misbehaves.

`spec.config`: what toy.py takes, and `rank`, which one does what `at` says.
"""

from __future__ import annotations

import os
import time
from typing import Any

from toy import MISBEHAVIOURS, ToyTrainer

from detui.engine.run.spec import RunSpec
from detui.engine.worker import Reporter, StopRequested


class RankedTrainer(ToyTrainer):
    """Descends a parabola, in every rank alike."""

    def train(self, spec: RunSpec, report: Reporter) -> None:
        from detui.engine.backends.torch_support import distributed

        config: dict[str, Any] = spec.config
        weight, start = self._load(report)
        if config.get("before"):  # before they have found each other
            self._misbehave(config, report, int(os.environ["RANK"]))
        with distributed.joined(spec.device.kind, report):
            (report.attempt.path / f"rank-{distributed.rank()}").write_text(str(os.getpid()))
            report.begin(total_epochs=4, steps_per_epoch=5, model={"name": "toy"})
            for step in range(start + 1, config.get("steps", 20) + 1):
                time.sleep(config.get("seconds", 0.01))
                weight -= 0.1 * weight
                report.step(step, (step - 1) // 5 + 1, {"train/loss_toy": weight * weight, "lr/all": 0.1})
                if step == config.get("when"):
                    self._misbehave(config, report, distributed.rank())
                stop = distributed.any_process(report.stop_requested)
                if distributed.rank() == 0 and (stop or step % 5 == 0):
                    self._save(report, step, 5, weight, archive=False)
                if stop:
                    raise StopRequested

    @staticmethod
    def _misbehave(config: dict[str, Any], report: Reporter, rank: int) -> None:
        if config.get("at") and rank == config["rank"]:
            MISBEHAVIOURS[config["at"]](report)
