"""Trainings of Ultralytics that tell something of several devices.

In one nothing depends on who shares a batch: layers of batch normalisation stand still. Beside the stages' files it
leaves the gradients of the first optimizer step, before they are clipped. In the other one the first rank, which alone
asks whether a training gets any better, hears that it does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detui.engine.backends.ultralytics.train import UltralyticsTrainer
from detui.engine.run.spec import RunSpec
from detui.engine.worker.ranks import own_rank
from detui.engine.worker.reporter import Reporter

GRADIENTS = "gradients.pt"


class _Changed(UltralyticsTrainer):
    """Trains as its parent, with a change of Ultralytics' trainer."""

    def change(self, trainer: Any, folder: Path) -> None:
        """Change a trainer that has not started. `folder`: for files of all stages."""
        raise NotImplementedError

    def train(self, spec: RunSpec, report: Reporter) -> None:
        """Train the run."""
        from detui.engine.backends.ultralytics import train as module

        build = module._trainer

        def changed(spec: RunSpec, index: int, folder: Path, weights: Path | None, resumed: Path | None) -> Any:
            trainer = build(spec, index, folder, weights, resumed)
            self.change(trainer, folder)
            return trainer

        module._trainer = changed
        super().train(spec, report)


class StillTrainer(_Changed):
    """Running statistics normalise and do not move."""

    def change(self, trainer: Any, folder: Path) -> None:
        """Hold them."""
        _hold(trainer, folder / GRADIENTS)


class ImpatientTrainer(_Changed):
    """Early stopping expects an end after the first epoch, and ends the training after the second."""

    def change(self, trainer: Any, folder: Path) -> None:
        """Put another judge in the place of Ultralytics' own."""
        from ultralytics.utils.torch_utils import EarlyStopping

        class Impatient(EarlyStopping):  # type: ignore[misc]
            def __call__(self, epoch: int, fitness: float) -> bool:
                self.possible_stop = True
                return epoch >= 2

        trainer.add_callback("on_train_start", lambda trainer: setattr(trainer, "stopper", Impatient()))


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
