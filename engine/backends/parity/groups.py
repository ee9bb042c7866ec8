"""Which weights are trained alike: as in the reference, the backbone at a tenth of the rate, and no decay of what
belongs to a norm and of biases."""

from __future__ import annotations

from collections.abc import Iterable

from detui.engine.backends.parity.frameworks.framework import Group

RATE, DECAY, BACKBONE, CLIP = 1e-4, 1e-4, 0.1, 0.1
"""The reference's rate at a batch of 16, decay, share of the rate for the backbone, and largest gradient norm."""


def groups(
    names: Iterable[str], rate: float = RATE, *, decay: float = DECAY, backbone: float = BACKBONE
) -> list[Group]:
    """The groups of a network's trained weights, without empty ones. `backbone`: its share of the rate."""
    found: dict[tuple[float, float], list[str]] = {}
    for name in names:
        share = backbone if name.startswith("backbone.") else 1.0
        found.setdefault((rate * share, 0.0 if _undecayed(name) else decay), []).append(name)
    return [Group(tuple(members), own_rate, own_decay) for (own_rate, own_decay), members in found.items()]


def _undecayed(name: str) -> bool:
    return name.endswith(".bias") or any(part.startswith("norm") for part in name.split("."))
