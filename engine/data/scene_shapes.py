"""Shapes and textures of generated scenes, in integers only.

Floating point is left out on purpose: vectorised cosines and fused
multiply-adds differ in the last bit between processors, and one bit is
enough to move a pixel. A shape is a test on coordinates ``u, v`` that run
from -1024 to 1024 over its own extent, turned and stretched beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

UNIT = 1024
DIRECTIONS = 64
# round(4096 · cos(k · 2π / 64)) for the first quarter turn.
_QUARTER = (4096, 4076, 4017, 3920, 3784, 3612, 3406, 3166, 2896, 2598, 2276, 1931, 1567, 1189, 799, 401, 0)


def cosine(direction: int) -> int:
    """4096 · cos of a direction, counted in 64ths of a turn."""
    k = direction % DIRECTIONS
    k = DIRECTIONS - k if k > DIRECTIONS // 2 else k
    return _QUARTER[k] if k <= 16 else -_QUARTER[32 - k]


def sine(direction: int) -> int:
    """4096 · sin of a direction, counted in 64ths of a turn."""
    return cosine(direction - 16)


def local_frame(centre: tuple[int, int], extent: tuple[int, int], direction: int) -> tuple[Ints, Ints, tuple[int, int]]:
    """Coordinates u and v on the grid of pixels around a shape, and that grid's left top pixel (x, y).

    `centre` and the two half axes `extent` are in half pixels, so that centres may lie between pixels.
    """
    reach = (extent[0] + extent[1]) // 2 + 1
    left, top = centre[0] // 2 - reach, centre[1] // 2 - reach
    steps = np.arange(2 * reach + 1, dtype=np.int64) * 2 + 1
    dx = (steps + 2 * left - centre[0])[None, :]
    dy = (steps + 2 * top - centre[1])[:, None]
    c, s = cosine(direction), sine(direction)
    u = (dx * c + dy * s) * UNIT // (4096 * extent[0])
    v = (dy * c - dx * s) * UNIT // (4096 * extent[1])
    return u, v, (left, top)


def _disc(u: Ints, v: Ints) -> Mask:
    return u * u + v * v <= UNIT * UNIT


def _box(u: Ints, v: Ints) -> Mask:
    return (abs(u) <= 1000) & (abs(v) <= 1000)


def _triangle(u: Ints, v: Ints) -> Mask:
    return (v <= 1000) & (2 * abs(u) <= v + 1000)


def _cross(u: Ints, v: Ints) -> Mask:
    return _box(u, v) & ((abs(u) <= 330) | (abs(v) <= 330))


def _ring(u: Ints, v: Ints) -> Mask:
    return _disc(u, v) & (u * u + v * v >= 560 * 560)


def _star(u: Ints, v: Ints) -> Mask:
    """Four points: √|u| + √|v| ≤ √1024, squared twice."""
    rest = UNIT - abs(u) - abs(v)
    return (rest >= 0) & (4 * abs(u) * abs(v) <= rest * rest)


def _stick(u: Ints, v: Ints) -> Mask:
    return (abs(u) <= 1000) & (abs(v) <= 110)


def _crescent(u: Ints, v: Ints) -> Mask:
    return _disc(u, v) & ((u - 420) * (u - 420) + v * v > 950 * 950)


def _corner(u: Ints, v: Ints) -> Mask:
    return _box(u, v) & ((u < -620) | (v < -620))


def _rubble(u: Ints, v: Ints) -> Mask:
    """Grains of a fixed irregular pattern inside a disc."""
    cell = ((u + 4096) // 256) * 7 + ((v + 4096) // 256) * 13
    return _disc(u, v) & (cell * cell % 11 < 4)


Shape = Callable[[Ints, Ints], Mask]
OBJECTS: Mapping[str, tuple[Shape, int, int]] = {
    "disc": (_disc, 18, 12),
    "box": (_box, 17, 9),
    "triangle": (_triangle, 23, 12),
    "cross": (_cross, 22, 13),
    "ring": (_ring, 21, 12),
    "star": (_star, 39, 12),
}
"""By class: the shape; its long half axis for a mask of 16² half pixels; its least width in 16ths of its length."""

CLUTTER: tuple[Shape, ...] = (_stick, _crescent, _corner, _rubble)
"""What lies about and is no object."""


def texture(kind: int, period: int, u: Ints, v: Ints, grain: Ints) -> Ints:
    """How much of the second colour each pixel gets, 0…256. `grain` is noise of the same shape, 0…256."""
    first, second = (u + 8192) // period, (v + 8192) // period
    if kind == 1:
        return (first & 1) * 256
    if kind == 2:
        return ((first + second) & 1) * 256
    if kind == 3:
        return np.clip((u + UNIT) // 8, 0, 256)
    if kind == 4:
        return grain
    if kind == 5:
        du, dv = (u + 8192) % period - period // 2, (v + 8192) % period - period // 2
        return np.where(16 * (du * du + dv * dv) < period * period, 256, 0).astype(np.int64)
    return np.zeros_like(u)


TEXTURES = 6


def smooth_field(nodes: Ints, size: int) -> Ints:
    """Values between the nodes of a coarse grid (n+1 × n+1 × channels), linear in both directions, size × size."""
    cells = nodes.shape[0] - 1
    position = np.arange(size, dtype=np.int64) * cells * 256 // size
    index, part = position >> 8, position & 255
    rows = nodes[index] * (256 - part)[:, None, None] + nodes[index + 1] * part[:, None, None]
    columns = part[None, :, None]
    field: Ints = (rows[:, index] * (256 - columns) + rows[:, index + 1] * columns) >> 16
    return field


def blur(image: Ints) -> Ints:
    """The binomial 1-2-1 filter in both directions; the border repeats."""
    for axis in (0, 1):
        pad = [(1, 1) if i == axis else (0, 0) for i in range(image.ndim)]
        wide = np.pad(image, pad, mode="edge")
        length = image.shape[axis]
        take = [np.take(wide, range(i, i + length), axis=axis) for i in range(3)]
        image = (take[0] + 2 * take[1] + take[2] + 2) >> 2
    return image
