"""What a trainer of Ultralytics measures, under the names of detui."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detui.engine.backends.torch_support import distributed


def losses(terms: Mapping[str, Any]) -> dict[str, Any]:
    """`box_loss` → `train/loss_box`, each the mean over the processes that train together. For all of them to call."""
    means = distributed.means_over_processes(terms)
    return {f"train/loss_{name.removesuffix('_loss')}": value for name, value in means.items()}


def validation(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Ultralytics' own validation numbers carry its name: `ultralytics/mAP50-95`."""
    return {_metric(name): float(value) for name, value in metrics.items()}


def _metric(name: str) -> str:
    return "ultralytics/" + name.removeprefix("metrics/").removesuffix("(B)").replace("val/", "val_")
