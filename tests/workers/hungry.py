"""A worker that uses a GPU: it holds memory of it and multiplies, or asks for more than there is.

`spec.config`: what toy.py takes; `hungry` with `at` for the one that asks for too much in the step `when`.
"""

from __future__ import annotations

import torch
from toy import MISBEHAVIOURS, ToyTrainer

from detui.engine.run.spec import RunSpec
from detui.engine.worker import Reporter

HELD = 1 << 30
"""Bytes of GPU memory that it holds while it trains."""


class HungryTrainer(ToyTrainer):
    """Descends a parabola beside a GPU that is in use."""

    def train(self, spec: RunSpec, report: Reporter) -> None:
        self.held = torch.ones(HELD // 4, device="cuda")
        super().train(spec, report)


def _ask_for_more_than_there_is(_report: Reporter) -> None:
    _, total = torch.cuda.mem_get_info()
    torch.ones(total, dtype=torch.float32, device="cuda")


MISBEHAVIOURS["hungry"] = _ask_for_more_than_there_is
