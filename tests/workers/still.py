"""A trainer of Ultralytics in which nothing depends on who shares a batch: layers of batch normalisation stand still.

Beside the stage's files it leaves the gradients of the first optimizer step, before they are clipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detui.engine.backends.ultralytics.train import UltralyticsTrainer
from detui.engine.run.spec import RunSpec
from detui.engine.worker.ranks import own_rank
from detui.engine.worker.reporter import Reporter

GRADIENTS = "gradients.pt"


class StillTrainer(UltralyticsTrainer):
    """Trains as its parent, with running statistics that normalise and do not move."""

    def train(self, spec: RunSpec, report: Reporter) -> None:
        """Train the run."""
        from detui.engine.backends.ultralytics import train as module

        build = module._trainer

        def still(spec: RunSpec, index: int, folder: Path, weights: Path | None, resumed: Path | None) -> Any:
            trainer = build(spec, index, folder, weights, resumed)
            _hold(trainer, folder / GRADIENTS)
            return trainer

        module._trainer = still
        super().train(spec, report)


def _hold(trainer: Any, path: Path) -> None:
    import torch

    training, step = trainer._model_train, trainer.optimizer_step

    def hold() -> None:
        training()
        for module in trainer.model.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.eval()

    def noting() -> None:
        if own_rank() == 0 and not path.exists():
            found = {name.removeprefix("module."): p.grad for name, p in trainer.model.named_parameters()}
            torch.save({name: grad.clone() for name, grad in found.items() if grad is not None}, path)
        step()

    trainer._model_train, trainer.optimizer_step = hold, noting
