"""The loss of a step on several devices, shared out as one device would have computed it.

Ultralytics divides a loss by what its targets add up to (YOLO: the target scores of the task-aligned assignment, at
least 1; RT-DETR: the matched objects), and multiplies YOLO's by the pictures of the batch. In a rank of several it does
so with the rank's own pictures, so that an object counts more on a device that has few. And it multiplies the loss by
the number of ranks, because gradients are averaged: for RT-DETR, whose loss is not multiplied by its pictures, that
makes the gradients as many times larger.

Here each rank's loss gets one factor, by which the averaged gradients are those of the whole batch on one device:
(its divisor) / (that of all ranks together), and its part of the pictures. What remains different is what a layer
computes over a batch (BatchNorm), and what is drawn. Nothing of a criterion is replaced or copied: hooks of PyTorch
listen to its parts, on the model that trains and nowhere else. A checkpoint holds none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from detui.engine.backends.torch_support import distributed
from detui.engine.backends.ultralytics.size_weights import detection_losses

if TYPE_CHECKING:
    from torch import Tensor


def install(trainer: Any) -> None:
    """Lay the factors over a trainer whose training is about to start; nothing where one process trains.

    After the weights by size: theirs are put back where a term is not to be weighted. Raises RunError for a criterion
    that is not one of Ultralytics' detectors.
    """
    if distributed.processes() == 1:
        return
    from ultralytics.models.utils.loss import DETRLoss
    from ultralytics.utils.torch_utils import unwrap_model

    model = unwrap_model(trainer.model)
    if getattr(model, "criterion", None) is None:
        model.criterion = model.init_criterion()
    if isinstance(model.criterion, DETRLoss):
        matched = _Matched()
        model.criterion.matcher.register_forward_hook(matched.count)
        model.register_forward_hook(matched.scale)
        return
    for criterion in detection_losses(model.criterion, "a share of several devices", "devices", "--devices 1"):
        terms = _Terms()
        criterion.assigner.register_forward_hook(terms.assigned)
        criterion.bce.register_forward_hook(terms.scale)
        criterion.bbox_loss.register_forward_hook(terms.scale)
    model.register_forward_hook(_by_pictures)


class _Terms:
    """The terms of one `v8DetectionLoss`."""

    def __init__(self) -> None:
        self._factor: Tensor | None = None

    def assigned(self, _module: Any, _arguments: Any, output: tuple[Any, ...]) -> None:
        """Learn the factor of this batch from its target scores (pictures, points, classes)."""
        self._factor = _factor(output[2].detach().float().sum())

    def scale(self, _module: Any, _arguments: Any, output: Any) -> Any:
        """Scale a loss, or the two of the boxes."""
        factor = self._factor
        assert factor is not None, "the assigner comes first"
        if isinstance(output, tuple):
            return tuple(one * factor.to(one.dtype) for one in output)
        return output * factor.to(output.dtype)


class _Matched:
    """RT-DETR's loss: all of its terms are divided by the objects that queries were matched with."""

    def __init__(self) -> None:
        self._objects = 0

    def count(self, _module: Any, _arguments: Any, output: list[tuple[Tensor, Tensor]]) -> None:
        """Count the matches of a layer, as many in each layer."""
        self._objects = sum(len(queries) for queries, _ in output)

    def scale(self, _module: Any, arguments: tuple[Any, ...], output: Any) -> Any:
        """Scale the loss of a batch, and its terms as they are reported.

        The trainer multiplies the loss by the number of ranks, and this one was not multiplied by its pictures.
        """
        import torch

        if not isinstance(arguments[0], dict):
            return None
        loss, terms = output
        factor = float(_factor(torch.tensor(float(self._objects))))
        return loss * (factor / distributed.processes()), {name: value * factor for name, value in terms.items()}


def _by_pictures(_model: Any, arguments: tuple[Any, ...], output: Any) -> Any:
    """Multiply YOLO's loss by the mean of the ranks' pictures where it was by its own: the last batch may be uneven."""
    import torch

    if not isinstance(arguments[0], dict):
        return None
    own = float(len(arguments[0]["img"]))
    loss, terms = output
    return loss * (float(distributed.mean_over_processes(torch.tensor(own))) / own), terms


def _factor(divisor: Tensor) -> Tensor:
    """What a rank's loss, divided by `divisor` (a scalar; by 1 where that is less), is to be multiplied by.

    The mean over ranks of the products is the sum of the undivided losses over the divisor of all of them.
    """
    count = distributed.processes()
    together = (distributed.mean_over_processes(divisor) * count).clamp(min=1)
    return divisor.clamp(min=1) * count / together
