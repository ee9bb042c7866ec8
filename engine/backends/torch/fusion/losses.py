"""What is minimised: focal loss of the classes and L1 of the boxes, at each layer, for matched and for noised queries.

Names are those of the recipe's record: `cls`, `bbox`, `dn_cls`, `dn_bbox` of the last layer, with `d0_` and so on in
front for the layers before it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from detui.engine.backends.torch.fusion.boxes import CODE_WEIGHTS, encode
from detui.engine.backends.torch.fusion.decoder import Predictions
from detui.engine.backends.torch.fusion.denoising import Denoising
from detui.engine.backends.torch.fusion.matching import ALPHA, match
from detui.engine.backends.torch_support.distributed import mean_over_processes, processes

CLASS_WEIGHT, BOX_WEIGHT = 2.0, 0.25
"""CMT's."""


def focal(logits: Tensor, wanted: Tensor) -> Tensor:
    """The focal loss (Lin et al., 2017) of `logits` against `wanted`, both [..., classes], summed up."""
    p = logits.sigmoid()
    right = p * wanted + (1 - p) * (1 - wanted)
    share = ALPHA * wanted + (1 - ALPHA) * (1 - wanted)
    return (share * (1 - right) ** 2 * F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")).sum()


def l1(codes: Tensor, boxes: Tensor) -> Tensor:
    """The weighted L1 distance of codes [n, 10] to boxes [n, 9], summed up.

    An unknown velocity is left out number by number: the rest of its box still counts.
    """
    wanted = encode(boxes)
    known = torch.isfinite(wanted)
    # Replaced before the difference: 0 · NaN would still be NaN on the way back.
    away = (codes - torch.where(known, wanted, torch.zeros_like(wanted)).to(codes)).abs()
    return (away * known * codes.new_tensor(CODE_WEIGHTS)).sum()


def detection_losses(
    layers: list[Predictions], boxes: list[Tensor], labels: list[Tensor], denoising: Denoising | None
) -> dict[str, Tensor]:
    """All terms, weighted. The first rows of `layers` are those of `denoising`."""
    found: dict[str, Tensor] = {}
    rows = 0 if denoising is None else len(denoising.group)
    shares = _noised_shares(layers[0], denoising)
    for index, layer in enumerate(layers):
        before = "" if index == len(layers) - 1 else f"d{index}_"
        matched = Predictions(layer.logits[:, rows:], layer.codes[:, rows:])
        found |= {f"{before}{name}": value for name, value in _matched(matched, boxes, labels).items()}
        if shares is not None:
            noised = Predictions(layer.logits[:, :rows], layer.codes[:, :rows])
            found |= {f"{before}dn_{name}": value for name, value in _noised(noised, denoising, shares).items()}
    return found


def _matched(layer: Predictions, boxes: list[Tensor], labels: list[Tensor]) -> dict[str, Tensor]:
    wanted = torch.zeros_like(layer.logits)
    away, count = layer.codes.sum() * 0, 0
    for index, (some, its) in enumerate(zip(boxes, labels, strict=True)):
        queries, targets = match(Predictions(layer.logits[index], layer.codes[index]), some, its)
        wanted[index, queries, its[targets]] = 1
        away = away + l1(layer.codes[index, queries], some[targets])
        count += len(queries)
    norm = _at_least_one(mean_over_processes(layer.logits.new_tensor(float(count))))
    return {"cls": CLASS_WEIGHT * focal(layer.logits, wanted) / norm, "bbox": BOX_WEIGHT * away / norm}


def _at_least_one(mean: Tensor) -> Tensor:
    """A mean over processes whose sum is one at least, as it would be in one process."""
    return mean.clamp_min(1 / processes())


def _noised_shares(layer: Predictions, denoising: Denoising | None) -> Tensor | None:
    """What the terms of noised queries are divided by: rows near a box, and rows, in the mean over all processes.

    None where no process has any: all of them must have the same terms, also one whose frames have no box.
    """
    counts = layer.logits.new_zeros(2)
    if denoising is not None:
        labels = denoising.labels[denoising.real]
        counts = torch.stack([(labels < layer.logits.shape[-1]).sum(), denoising.real.sum()]).to(layer.logits)
    if processes() == 1:
        return None if denoising is None else _at_least_one(counts)
    counts = mean_over_processes(counts)
    return _at_least_one(counts) if counts[1] > 0 else None


def _noised(layer: Predictions, denoising: Denoising | None, shares: Tensor) -> dict[str, Tensor]:
    """Rows that fill up are left out; a row far from its box learns that nothing is there, and the box all the same."""
    if denoising is None:  # other processes have some
        return {"cls": layer.logits.sum() * 0, "bbox": layer.codes.sum() * 0}
    real, classes = denoising.real, layer.logits.shape[-1]
    labels = denoising.labels[real]
    wanted = F.one_hot(labels, classes + 1)[:, :classes].to(layer.logits)
    near, every = shares
    return {
        "cls": CLASS_WEIGHT * focal(layer.logits[real], wanted) / near,
        "bbox": BOX_WEIGHT * l1(layer.codes[real], denoising.boxes[real]) / every,
    }


def balance_loss(weights: Tensor, real: Tensor, ratio: float) -> Tensor:
    """How far the mean weight of the camera over that of the LiDAR is from `ratio`: the square of the logarithm.

    `weights` [B, Q, 2], `real` [B, Q].
    """
    lidar, camera = weights[real].float().mean(0)
    return (camera / lidar / ratio).log() ** 2
