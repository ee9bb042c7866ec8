"""A worker that logs five metrics four times a second, as a real training does, and costs nothing."""

from __future__ import annotations

import math
import random
import time

from detui.engine.errors import DetuiError
from detui.engine.run.spec import RunSpec
from detui.engine.worker import Reporter, StopRequested

PER_EPOCH = 40


class CurveTrainer:
    """Losses that fall, with noise."""

    def train(self, spec: RunSpec, report: Reporter) -> None:
        """Log until asked to stop."""
        noise = random.Random(spec.seed)
        epochs = 2000
        report.begin(total_epochs=epochs, steps_per_epoch=PER_EPOCH, model={"name": "curves"})
        report.stage("main", 0, epochs)
        for step in range(1, epochs * PER_EPOCH + 1):
            time.sleep(0.25)
            values = {f"train/loss_{name}": height * math.exp(-step / 2000) + noise.gauss(0, 0.05)
                      for name, height in (("box", 3.0), ("cls", 2.0), ("dfl", 1.5))}  # fmt: skip
            epoch = (step - 1) // PER_EPOCH + 1
            report.step(step, epoch, {**values, "lr/all": 0.01, "lr/bias": 0.02})
            if step % PER_EPOCH == 0:
                report.epoch(epoch, step, values, seconds=PER_EPOCH * 0.25)
            if report.stop_requested:
                raise StopRequested
        raise DetuiError("nobody stopped this run")
