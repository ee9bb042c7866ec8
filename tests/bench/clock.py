"""The clock that both sides of the step benchmark carry: it notes the end of each batch, and writes at the end."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from detui.engine.backends.ultralytics.train import UltralyticsTrainer
from detui.engine.backends.ultralytics.watch import Watch

PLACE = "DETUI_BENCH_TIMES"
"""Environment variable that names the file to write."""


class Clock:
    """Notes epoch, wall seconds and CPU seconds of this process at the end of each batch."""

    def __init__(self) -> None:
        self.times: list[tuple[int, float, float]] = []
        self.costs: list[float] = []
        """CPU seconds of the training thread in detui's callback of each batch."""

    def attach(self, trainer: Any) -> None:
        """Register on an Ultralytics trainer, after whoever else listens."""
        trainer.add_callback("on_train_batch_end", self._batch)
        trainer.add_callback("teardown", self._write)

    def _batch(self, trainer: Any) -> None:
        self.times.append((trainer.epoch + 1, time.monotonic(), time.process_time()))

    def _write(self, trainer: Any) -> None:
        Path(os.environ[PLACE]).write_text(json.dumps({"times": self.times, "costs": self.costs}))


class TimedTrainer(UltralyticsTrainer):
    """detui's own training half, with the clock behind its watch."""

    def train(self, spec: Any, report: Any) -> None:
        """Train as always; the clock hangs on last."""
        attach = Watch.attach

        def attach_both(watch: Watch, trainer: Any) -> None:
            listen, clock = watch.on_train_batch_end, Clock()

            def timed(trainer: Any) -> None:
                before = time.thread_time()
                listen(trainer)
                clock.costs.append(time.thread_time() - before)

            watch.on_train_batch_end = timed  # type: ignore[method-assign]
            attach(watch, trainer)
            clock.attach(trainer)

        Watch.attach = attach_both  # type: ignore[method-assign]
        super().train(spec, report)
