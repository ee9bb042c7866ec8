"""What an attempt keeps and tells for the comparison of two frameworks. Nothing heavy here."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

OPERATORS = "measured/operators.npz"
"""Where an attempt keeps what its framework computes for every operator, relative to its directory."""
CHECKSUM = 16
"""Hexadecimal digits of a checksum."""


def shapes_checksum(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """A checksum of names and shapes, in the order of the names."""
    text = "".join(f"{name} {'×'.join(map(str, shapes[name]))}\n" for name in sorted(shapes))
    return sha256(text.encode()).hexdigest()[:CHECKSUM]


def checksum_of(state: Mapping[str, Any]) -> str:
    """A checksum of names, shapes, types and every bit of a state's arrays, in the order of the names."""
    digest = sha256()
    for name in sorted(state):
        digest.update(f"{name} {state[name].dtype.str} {state[name].shape}\n".encode())
        digest.update(state[name].tobytes())
    return digest.hexdigest()[:CHECKSUM]


def store_whole(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays by name, whole or not at all. Raises RunError where the disk does not take them."""
    from detui.engine.backends.parity.measure import store
    from detui.engine.backends.torch_support.whole import whole

    whole(lambda place: store(place, arrays), path)


def store_operators(framework: Any, attempt: Path) -> int:
    """Measure every operator in this very process and keep the results in an attempt; returns how many run."""
    from detui.engine.backends.parity.operators import FAILED, flat, measure

    found = measure(framework)
    store_whole(attempt / OPERATORS, flat(found))
    return sum(FAILED not in one for one in found.values())
