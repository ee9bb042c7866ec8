"""What transformers 5.24 computes of the tiny model: weights `varied(TINY)`, the images and objects of `batch(2)`, and
the noise of generator 1. `test_transformers.py` computes them anew."""

from __future__ import annotations

from typing import Any

LOGITS = [-4.7637328, 24.144762, -2.6690142, -3.0899773, -4.7179966]
"""`numbers` of the class logits of the last layer, when evaluating."""
BOXES = [0.26168164, 0.15697836, 0.27455279, 0.24433748, 0.047259483]
"""`numbers` of its boxes."""
LOSSES = {
    "loss_vfl": 0.0080064209,
    "loss_bbox": 3.0142078,
    "loss_giou": 2.1044164,
    "loss_vfl_aux_0": 0.07031747,
    "loss_bbox_aux_0": 2.6491759,
    "loss_giou_aux_0": 1.9757082,
    "loss_vfl_aux_1": 0.043398201,
    "loss_bbox_aux_1": 2.5089145,
    "loss_giou_aux_1": 2.1312411,
    "loss_vfl_dn_0": 0.3266829,
    "loss_bbox_dn_0": 1.7168336,
    "loss_giou_dn_0": 1.7195581,
    "loss_vfl_dn_1": 0.23527968,
    "loss_bbox_dn_1": 2.0295811,
    "loss_giou_dn_1": 1.7583926,
}
"""The losses of one batch in training, by transformers' names."""


def numbers(tensor: Any) -> list[float]:
    """A few numbers that tell much of a tensor: mean, mean square, and three of its values."""
    flat = tensor.detach().double().reshape(-1)
    return [
        flat.mean().item(),
        (flat * flat).mean().item(),
        flat[0].item(),
        flat[len(flat) // 2].item(),
        flat[-1].item(),
    ]
