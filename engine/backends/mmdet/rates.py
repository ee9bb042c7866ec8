"""The learning rates that a recipe asks for, by part of the model: computed, before anything runs.

A layered (discriminative) rate (Howard and Ruder, 2018) lets parts that come trained change less than those that start
anew. `lr` is meant for a batch of `reference_batch` pictures, and is scaled with the batch (Goyal et al., 2017).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

PARTS = {"backbone": "backbone", "neck": "neck", "rpn_head": "heads", "roi_head": "heads"}
"""Part of the model → the field of `train.layers` that is its factor."""


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates of one stage of an arm, at their highest: after the warm-up, before the first drop."""

    lr: float
    """As the recipe has it."""
    pictures: int
    """In a step, on all devices together."""
    reference: int | None
    """How many `lr` is meant for; None: however many there are."""
    backbone: float | None
    """None where the whole backbone is frozen."""
    neck: float
    heads: float

    @property
    def layered(self) -> bool:
        """Whether not all parts have the same."""
        return len({self.backbone, self.neck, self.heads}) > 1


def planned(config: Mapping[str, Any]) -> Rates:
    """The rates of a configuration of this backend, on however many devices."""
    train, frozen = config["train"], config["model"]["backbone"]["frozen_stages"] == 4
    peak, layers = effective_rate(train), train["layers"]
    return Rates(
        lr=train["lr"],
        pictures=train["batch"],
        reference=train["reference_batch"],
        backbone=None if frozen else peak * layers["backbone"],
        neck=peak * layers["neck"],
        heads=peak * layers["heads"],
    )


def effective_rate(train: Mapping[str, Any]) -> float:
    """The rate of parts whose factor is 1: lr × pictures of a step / reference_batch."""
    reference = train["reference_batch"]
    scale = 1.0 if reference is None else train["batch"] / reference
    return float(train["lr"] * scale)


def to_json(rates: Rates) -> dict[str, Any]:
    """The form that `detui show --plan --json` prints."""
    return asdict(rates)
