"""A loss that weighs each object by its size, laid over Ultralytics' own criterion.

Nothing of the criterion is replaced or copied. Hooks of PyTorch listen to three of its parts: the assigner, which knows
which anchor point learns which box; the box loss, whose target scores they scale; the classification loss, whose values
they scale. The hooks sit on the criterion of the model that trains and nowhere else: validation losses stay the stock
ones, alike for every arm, and a checkpoint holds none of it.

With the weight w of the box that an anchor point learns, and its target score s (task-aligned assignment, Feng et al.
2021), `normalise: mean` divides every weight by Σ w·s / Σ s over the batch, that of all devices where several share it:
the weights then have mean 1, and what changes is how the loss is shared out, not how large it is. Equal weights are
then the stock loss exactly.
`normalise: none` leaves them as they are: the loss grows by that mean, as if the learning rate had been raised.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from detui.engine.backends.torch_support.late import LateScalars
from detui.engine.errors import RunError

if TYPE_CHECKING:
    from torch import Tensor

SIZES = ("small", "medium", "large")
_QUARTER = 4
"""A label's class carries its object's size as so many parts of one: exact in any floating point."""
_SCORES, _PREDICTED = 4, 0
"""Places of the target scores and of the predicted distances among the arguments of the box loss."""


class SizeWeights:
    """The weights of one stage, and what they did."""

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        """`wanted`: a recipe's `loss.by_size`."""
        self.factors = tuple(float(wanted["weights"][size]) for size in SIZES)
        self.edges = tuple(float(edge) for edge in wanted["edges"])
        self.pixels, self.normalise = str(wanted["pixels"]), str(wanted["normalise"])
        self.uniform, self.measure_every = bool(wanted["uniform"]), int(wanted["measure_every"])
        self.terms = frozenset(wanted["terms"])
        self._late = LateScalars(memory=False)
        self._carried: tuple[Tensor, Tensor] | None = None
        self._factors: Tensor | None = None
        self._sizes: Tensor | None = None
        self._positive: Tensor | None = None
        self._weights: Tensor | None = None
        self._unweighted: tuple[Any, ...] = ()
        self._steps = 0
        self._sample: dict[str, Tensor] = {}

    def install(self, trainer: Any) -> None:
        """Lay the weights over a trainer whose training is about to start.

        Raises RunError for a criterion that is not the one of Ultralytics' detectors.
        """
        from ultralytics.utils.torch_utils import unwrap_model

        model = unwrap_model(trainer.model)
        model.criterion = model.init_criterion()
        hint = "leave loss.by_size out, or take a YOLO detector"
        for criterion in detection_losses(model.criterion, "weights by size", "loss.by_size", hint):
            self.listen(criterion)
        if self.pixels == "original":
            for label in trainer.train_loader.dataset.labels:
                _carry(label, self.edges)
            model.register_forward_pre_hook(self._unpack)

    def listen(self, criterion: Any) -> None:
        """Hook the parts of one `v8DetectionLoss`."""
        criterion.assigner.register_forward_hook(self._assigned)
        criterion.bbox_loss.register_forward_pre_hook(self._before_boxes)
        criterion.bbox_loss.register_forward_hook(self._after_boxes)
        criterion.bce.register_forward_hook(self._after_classes)

    def used(self) -> dict[str, Any]:
        """What is in force, under the names of the recipe."""
        weights = dict(zip(SIZES, self.factors, strict=True))
        return {
            **{f"loss.by_size.weights.{size}": weights[size] for size in SIZES},
            "loss.by_size.edges": list(self.edges),
            "loss.by_size.pixels": self.pixels,
            "loss.by_size.normalise": self.normalise,
            "loss.by_size.uniform": self.uniform,
            "loss.by_size.terms": sorted(self.terms),
            "loss.by_size.measure_every": self.measure_every,
        }

    def step_done(self, step: int, epoch: int) -> Iterable[tuple[int, dict[str, float]]]:
        """After the backward pass of a step: the samples that have arrived from the device, with their steps."""
        self._steps += 1
        sample, self._sample = self._sample, {}
        if not sample:
            return ()
        return _shares(self._late.push(step, epoch, sample, {}))

    def flush(self) -> Iterable[tuple[int, dict[str, float]]]:
        """The samples that are still on their way."""
        return _shares(self._late.flush())

    @property
    def _measuring(self) -> bool:
        return bool(self.measure_every) and self._steps % self.measure_every == 0

    def _unpack(self, _model: Any, arguments: tuple[Any, ...]) -> None:
        """Take the sizes out of a batch's classes before anybody reads them."""
        import torch

        batch = arguments[0]
        if not isinstance(batch, dict):
            return
        packed = batch["cls"].view(-1)
        classes = torch.floor(packed)
        self._carried = (batch["batch_idx"].view(-1).long(), ((packed - classes) * _QUARTER).long())
        batch["cls"] = classes.view(-1, 1)

    def _assigned(self, _module: Any, arguments: tuple[Any, ...], output: tuple[Any, ...]) -> None:
        """Weigh each anchor point by the box that it learns.

        Of the assigner: boxes (batch, objects, 4) as xyxy in pixels of the network input, whether they are there
        (batch, objects, 1); target scores (batch, points, classes), foreground and object's place (batch, points).
        """
        import torch

        from detui.engine.backends.torch_support.distributed import mean_over_processes

        boxes, there = arguments[4], arguments[5]
        scores, positive, place = output[2], output[3].bool(), output[4].long()
        sizes = self._sizes_of(boxes)
        self._sizes, self._positive = (sizes.gather(1, place) if boxes.shape[1] else place), positive
        if self._factors is None or (self._factors.device, self._factors.dtype) != (scores.device, scores.dtype):
            self._factors = torch.tensor(self.factors, dtype=scores.dtype, device=scores.device)  # waits for a GPU
        factors = self._factors
        weights = torch.where(positive, factors[self._sizes], torch.ones_like(factors[0]))
        share = scores.sum(-1)
        # The mean is that of the whole batch: of all devices, where several share it.
        weighted, total = mean_over_processes(torch.stack([(weights * share).sum(), share.sum()])).unbind()
        mean = torch.where(total > 0, weighted / total, torch.ones_like(total))
        if self.uniform:
            weights = torch.where(positive, mean, torch.ones_like(mean))
        if self.normalise == "mean":
            weights = torch.where(positive, weights / mean, weights)
        self._weights = weights
        if self._measuring:
            self._count("objects", sizes, there.bool().squeeze(-1))
            self._count("positives", self._sizes, positive)
            self._sample["weight/mean"] = torch.ones_like(mean) if self.normalise == "mean" else mean.detach()

    def _sizes_of(self, boxes: Tensor) -> Tensor:
        """[batch, objects] The size of each box: 0 small, 1 medium, 2 large."""
        import torch

        if self._carried is None or self.pixels == "network":
            sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)
            return size_of(sides[..., 0] * sides[..., 1], self.edges)
        image, carried = self._carried
        # As the stock criterion counts: bincount would wait for the GPU to learn its own length.
        counts = torch.zeros(boxes.shape[0], dtype=torch.long, device=image.device)
        counts.scatter_add_(0, image, torch.ones_like(image))
        within = torch.arange(len(image), device=image.device) - (counts.cumsum(0) - counts)[image]
        sizes = torch.zeros(boxes.shape[:2], dtype=torch.long, device=boxes.device)
        sizes[image.to(boxes.device), within.to(boxes.device)] = carried.to(boxes.device)
        return sizes

    def _before_boxes(self, _module: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Scale the target scores, by which the box loss weighs its points; their sum stays what it was told."""
        assert self._weights is not None, "the assigner comes first"
        if self._measuring:
            self._watch(arguments[_PREDICTED])
        if not self.terms & {"box", "dfl"}:
            return None
        self._unweighted = arguments
        scores = arguments[_SCORES]
        scaled = scores * self._weights.to(scores.dtype).unsqueeze(-1)
        return (*arguments[:_SCORES], scaled, *arguments[_SCORES + 1 :])

    def _after_boxes(self, module: Any, _arguments: tuple[Any, ...], output: tuple[Any, Any]) -> Any:
        """Where one of the two terms is not to be weighted, put its stock value back."""
        weighted, arguments = self.terms & {"box", "dfl"}, self._unweighted
        self._unweighted = ()
        if len(weighted) != 1:
            return None
        stock = module.forward(*arguments)
        return (output[0], stock[1]) if "box" in weighted else (stock[0], output[1])

    def _after_classes(self, _module: Any, arguments: tuple[Any, ...], output: Tensor) -> Tensor | None:
        """Scale the classification loss (batch, points, classes) of the points that learn an object."""
        assert self._weights is not None, "the assigner comes first"
        if self._measuring:
            self._watch(arguments[0])
        return output * self._weights.to(output.dtype).unsqueeze(-1) if "cls" in self.terms else None

    def _watch(self, predicted: Tensor) -> None:
        """Note how much gradient a head's output (batch, points, …) gets from the objects of each size."""
        sizes, positive = self._sizes, self._positive
        assert sizes is not None and positive is not None
        if predicted.requires_grad:
            # The hook runs in the backward pass, when the next batch has not overwritten these yet.
            predicted.register_hook(lambda gradient: self._count("gradient", sizes, positive, gradient))

    def _count(self, name: str, sizes: Tensor, counted: Tensor, gradient: Tensor | None = None) -> None:
        """Add to the sample: how many of what counts, or how much |gradient|, belongs to each size."""
        amount = counted.float() if gradient is None else gradient.detach().float().abs().sum(-1) * counted
        for index, size in enumerate(SIZES):
            found = (amount * (sizes == index)).sum()
            self._sample[f"{name}/{size}"] = self._sample.get(f"{name}/{size}", 0) + found


def size_of(area: Any, edges: Iterable[float]) -> Any:
    """0, 1 or 2 for each area in square pixels: below the first edge squared, from it below the second's, from there.

    `area`: a tensor or an array of any shape; the result is of the same kind and shape, of integers.
    """
    small, medium = (edge * edge for edge in edges)
    # Sums of two comparisons: the same words for a tensor and an array.
    return (area >= small) * 1 + (area >= medium) * 1


def _carry(label: dict[str, Any], edges: Iterable[float]) -> None:
    """Put the size that an object has in its original picture into its label's class, as a part of one.

    Augmentations cut, join and scale pictures and their boxes, and pass the class on untouched.
    """
    import numpy as np

    height, width = label["shape"]
    boxes = label["bboxes"]  # centre and size as parts of the picture
    area = boxes[:, 2].astype(np.float64) * width * boxes[:, 3].astype(np.float64) * height
    # Labels round: a box of exactly 32 × 32 must not become a small one.
    sizes = size_of(area * (1 + 1e-5), edges)
    label["cls"] = label["cls"] + (sizes / _QUARTER).astype(label["cls"].dtype).reshape(-1, 1)


def detection_losses(criterion: Any, purpose: str, where: str, hint: str) -> list[Any]:
    """The `v8DetectionLoss`es of a criterion: one, or the two of a detector without NMS.

    Raises RunError for another criterion: it has no place for the purpose, which is asked for `where`.
    """
    from ultralytics.utils.loss import E2ELoss, v8DetectionLoss

    found = [criterion.one2many, criterion.one2one] if isinstance(criterion, E2ELoss) else [criterion]
    for one in found:
        if type(one) is not v8DetectionLoss:
            message = f"This model trains with {type(one).__name__}, which has no place for {purpose}."
            raise RunError(message, where=where, hint=hint)
    return found


def _shares(arrived: Iterable[Any]) -> Iterable[tuple[int, dict[str, float]]]:
    """Sums by size as shares of one; a batch without objects has none."""
    for step, _, sums in arrived:
        values = {"weight/mean": sums.pop("weight/mean")}
        for kind in ("objects", "positives", "gradient"):
            of_kind = {name: value for name, value in sums.items() if name.startswith(f"{kind}/")}
            total = sum(of_kind.values())
            if total > 0 and math.isfinite(total):  # a gradient that overflowed is nobody's share
                values |= {name: value / total for name, value in of_kind.items()}
        yield step, values
