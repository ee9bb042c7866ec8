"""What a detector is judged by after an epoch: losses on pictures that it is not trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from detui.engine.backends.torch_support.generators import random_state_kept
from detui.engine.worker.stop import StopRequested

DRAWS = 0
"""What the sampling of anchors and proposals starts from, in every validation of every run: the losses of two epochs,
and of two arms, are computed on the same draws."""


def validation_losses(model: Any, loader: Any, stopped: Callable[[], bool] = lambda: False) -> dict[str, float]:
    """The means over pictures of MMDetection's own losses, as `mmdet/val_loss_<term>`, and their sum `mmdet/val_loss`.

    The model is in evaluation mode, nothing of it changes, and the random generators are left as they were. `stopped`:
    asked before each batch; a stop raises StopRequested.
    """
    import torch

    training = model.training
    model.eval()
    sums: dict[str, Any] = {}
    pictures = 0
    try:
        with random_state_kept(), torch.no_grad():
            torch.manual_seed(DRAWS)
            for batch in loader:
                if stopped():
                    raise StopRequested
                count = len(batch["data_samples"])
                data = model.data_preprocessor(batch, False)
                _, told = model.parse_losses(model(**data, mode="loss"))
                for name, value in told.items():
                    sums[name] = sums.get(name, 0.0) + value.detach().double() * count
                pictures += count
    finally:
        model.train(training)
    return named({name: float(value) / pictures for name, value in sums.items()})


def named(means: Mapping[str, float]) -> dict[str, float]:
    """`loss_mask` → `mmdet/val_loss_mask`, and the sum under `mmdet/val_loss`; the accuracy is `mmdet/val_acc`."""
    return {f"mmdet/val_{name}": value for name, value in means.items()}
