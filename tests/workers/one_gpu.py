"""Two ranks on one GPU, over gloo. NCCL wants a GPU for each; all else of a run on several is as it is with more."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import torch

from detui.engine.backends.torch.train import TorchTrainer
from detui.engine.backends.ultralytics.train import UltralyticsTrainer
from detui.engine.run.spec import RunSpec
from detui.engine.worker import Reporter


class SharedTorch(TorchTrainer):
    """The training half of the backend torch, both ranks of which use the one GPU."""

    def train(self, spec: RunSpec, report: Reporter) -> None:
        with _the_one(), patch("torch.distributed.init_process_group", _over_gloo):
            super().train(spec, report)


class SharedUltralytics(UltralyticsTrainer):
    """That of Ultralytics, whose trainer is told of the GPU by its index."""

    def train(self, spec: RunSpec, report: Reporter) -> None:
        import ultralytics.engine.trainer as trainer

        with (
            _the_one(),
            patch("torch.distributed.init_process_group", _over_gloo),
            patch.object(trainer, "select_device", lambda *_args, **_more: torch.device("cuda", 0)),
        ):
            super().train(spec, report)


def _the_one() -> Any:
    own = torch.cuda.set_device
    return patch("torch.cuda.set_device", lambda _index: own(0))


_join = torch.distributed.init_process_group


def _over_gloo(_backend: str, **more: Any) -> None:
    _join("cpu:gloo,cuda:gloo", **more)
