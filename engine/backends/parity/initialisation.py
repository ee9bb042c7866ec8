"""What every tensor begins with: numpy, by the seed and the tensor's own name.

Each tensor has a generator of its own, so its values depend neither on the framework nor on the order of building.
`RandomState` is used because its numbers are the same in every numpy; `Generator`'s are not promised to be.

The distributions are the published ones of RT-DETR's reference: PyTorch's defaults for convolutions and linear
layers, Glorot's for projections, zeros where a head begins at its anchor, and a ring of directions for the sampling
offsets (Zhu et al., "Deformable DETR", 2021, appendix A.4).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable

import numpy as np

from detui.engine.backends.parity.frameworks.framework import Array

Initial = Callable[[np.random.RandomState, tuple[int, ...]], Array]
"""From a generator and a shape to values."""
PRIOR = 0.01
"""The score that a class begins with (Lin et al., "Focal Loss", 2017, 4.1)."""


def first_values(initial: Initial, shape: tuple[int, ...], name: str, seed: int) -> Array:
    """The values, float32, of the tensor `name` for a seed (any whole number)."""
    own = np.random.RandomState((seed * 1_000_003 + zlib.crc32(name.encode())) % 2**32)
    return np.ascontiguousarray(np.broadcast_to(initial(own, shape), shape), dtype=np.float32)


def constant(value: float) -> Initial:
    """The same number everywhere."""
    return lambda _own, shape: np.full(shape, value)


def unlikely() -> Initial:
    """The bias with which every class has the score `PRIOR`."""
    return constant(-math.log((1 - PRIOR) / PRIOR))


def uniform_by_inputs(inputs: int) -> Initial:
    """Uniform within ±1/√inputs: PyTorch's default of linear layers, convolutions and their biases."""
    bound = 1 / math.sqrt(inputs)
    return lambda own, shape: own.uniform(-bound, bound, shape)


def glorot(rows: int | None = None) -> Initial:
    """Uniform within ±√(6 / (inputs + outputs)) for a matrix [o, i] (Glorot and Bengio, 2010).

    `rows`: the outputs where the matrix is one of several that are stacked (query, key and value of attention).
    """

    def made(own: np.random.RandomState, shape: tuple[int, ...]) -> Array:
        bound = math.sqrt(6 / ((rows or shape[0]) + shape[1]))
        return own.uniform(-bound, bound, shape)

    return made


def he(own: np.random.RandomState, shape: tuple[int, ...]) -> Array:
    """Normal by a kernel's outputs (He et al., 2015): a ResNet's convolutions where no weights are given."""
    return own.standard_normal(shape) * math.sqrt(2 / (shape[0] * shape[2] * shape[3]))


def embedding(own: np.random.RandomState, shape: tuple[int, ...]) -> Array:
    """Normal, with zeros in the last row, which stands for "no object"."""
    found = own.standard_normal(shape)
    found[-1] = 0
    return found


def offsets(heads: int, levels: int, points: int) -> Initial:
    """Each head looks into a direction of its own, each point one step further."""

    def made(_own: np.random.RandomState, shape: tuple[int, ...]) -> Array:
        angles = np.arange(heads) * (2 * math.pi / heads)
        ring = np.stack([np.cos(angles), np.sin(angles)], -1)
        ring = np.round(ring / np.abs(ring).max(-1, keepdims=True), 6)  # what is 0 is 0, in every numpy
        steps = np.arange(1, points + 1).reshape(1, 1, points, 1)
        found = ring.reshape(heads, 1, 1, 2) * np.ones((1, levels, 1, 1)) * steps
        return np.asarray(found).reshape(shape)

    return made
