"""Draws one generated scene: the picture, the boxes, the masks and the depth, all from the same objects.

Things are placed from near to far. A pixel belongs to the nearest thing on
it, and an object stays only if at least 40 % of its outline's area is
visible, counted before the border cuts it: so no scene holds an object that
nobody could name, and none that is visible but not annotated. The box is the
extent of the visible pixels.

The only source of chance is `numpy.random.RandomState`, whose stream NumPy
promises not to change (NEP 19), asked for 64-bit integers alone.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detui.engine.data.scene_options import SceneOptions, SizeMix
from detui.engine.data.scene_shapes import (
    CLUTTER,
    DIRECTIONS,
    OBJECTS,
    TEXTURES,
    Ints,
    Mask,
    Shape,
    blur,
    local_frame,
    smooth_field,
    texture,
)

RENDERER = 1
"""Raised whenever a pixel of any scene would change: files drawn before are then drawn anew."""
VISIBLE_PERCENT = 40
LARGEST_PERCENT = 36
"""Side of the largest object, of the scene's: more of them would hide each other than be seen."""
DEPTH_UNITS_PER_METRE = 25
_TRIES = 12
_CONTRAST = 150
_SIDES = {"small": (10, 28), "medium": (36, 88), "large": (100, 10**6)}
"""Side of the square with a mask's area, in pixels: well inside COCO's bins, as occlusion takes some away."""


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One object on a scene."""

    category: int
    """Index into the options' classes."""
    box: tuple[int, int, int, int]
    """x, y, width, height of the visible pixels."""
    mask: Mask
    """The visible pixels, size × size."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture and everything that is known about it."""

    image: npt.NDArray[np.uint8]
    """size × size × 3, RGB."""
    objects: tuple[SceneObject, ...]
    """From near to far."""
    depth: npt.NDArray[np.uint8]
    """size × size, metres × 25."""


@dataclass(frozen=True, slots=True)
class _Thing:
    """Something to be placed."""

    depth: int
    category: int | None
    shape: Shape
    extent: tuple[int, int]
    margin: int
    """How close its centre may come to the border, in pixels."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """The visible part of a thing: its pixels, and its own coordinates there."""

    mask: Mask
    u: Ints
    v: Ints


class Chance:
    """Integers from a frozen stream."""

    def __init__(self, *seeds: int) -> None:
        self._state = np.random.RandomState(np.array(seeds, dtype=np.uint32))

    def between(self, low: int, high: int) -> int:
        """An integer from `low` to `high`, both included."""
        return int(self._state.randint(low, high + 1, dtype=np.int64))

    def array(self, low: int, high: int, shape: tuple[int, ...]) -> Ints:
        """An array of integers from `low` to `high`, both included."""
        return self._state.randint(low, high + 1, size=shape, dtype=np.int64)


def draw_scene(options: SceneOptions, split: str, index: int) -> Scene:
    """Scene number `index` (from 0) of a split: depends on nothing but these three and `RENDERER`."""
    chance = Chance(options.seed, zlib.crc32(split.encode()), index, RENDERER)
    canvas = _background(chance, options.size)
    depth = _floor(options.size)
    taken = np.zeros((options.size, options.size), bool)
    objects = []
    for thing in _things(chance, options):
        placed = _place(chance, thing, options.turn, taken)
        if placed is None:
            continue
        taken |= placed.mask
        _paint(chance, canvas, placed)
        depth[placed.mask] = thing.depth
        if thing.category is not None:
            objects.append(SceneObject(thing.category, _extent(placed.mask), placed.mask))
    image = _develop(chance, canvas, options)
    return Scene(image, tuple(objects), depth.astype(np.uint8))


def _background(chance: Chance, size: int) -> Ints:
    """Slowly changing colours with a faint pattern over them."""
    cells = chance.between(2, 6)
    mean = chance.array(60, 195, (1, 1, 3))
    field = smooth_field(mean + chance.array(-45, 45, (cells + 1, cells + 1, 3)), size)
    period = chance.between(60, 400)
    u, v, _ = local_frame((size, size), (size, size), chance.between(0, DIRECTIONS - 1))
    start = (u.shape[0] - size) // 2
    part = (slice(start, start + size),) * 2
    grain = smooth_field(chance.array(0, 256, (size // 8 + 1, size // 8 + 1, 1)), size)[:, :, 0]
    pattern = texture(chance.between(0, TEXTURES - 1), period, u[part], v[part], grain)
    return field + (pattern * chance.between(-28, 28) >> 8)[:, :, None]


def _floor(size: int) -> Ints:
    """Depth of the background: 10 m at the top edge, nearing to about 7 m at the bottom."""
    rows = 10 * DEPTH_UNITS_PER_METRE - np.arange(size, dtype=np.int64) * 75 // size
    return np.repeat(rows[:, None], size, axis=1)


def _things(chance: Chance, options: SceneOptions) -> list[_Thing]:
    """Objects and clutter, nearest first."""
    count = chance.between(options.objects[0], options.objects[1])
    things = [_object(chance, options) for _ in range(count)]
    things += [_clutter(chance, options.size) for _ in range(options.clutter)]
    return sorted(things, key=lambda thing: thing.depth)


def _depth(chance: Chance) -> int:
    return chance.between(1 * DEPTH_UNITS_PER_METRE, 6 * DEPTH_UNITS_PER_METRE)


def _object(chance: Chance, options: SceneOptions) -> _Thing:
    category = chance.between(0, len(options.classes) - 1)
    shape, axis, narrow = OBJECTS[options.classes[category]]
    side = _side(chance, options.sizes, options.size)
    width = chance.between(narrow, 16)
    # The mask's area stays that of `side`² when the shape narrows: the long axis grows instead.
    long = side * axis * _root16(width) // 256
    extent = (max(long, 4), max(long * width // 16, 4))
    return _Thing(_depth(chance), category, shape, extent, side // 3)


def _root16(width: int) -> int:
    """16 · √(16 / width), for the widths 9…16."""
    return {9: 21, 10: 20, 11: 19, 12: 18, 13: 18, 14: 17, 15: 17, 16: 16}[width]


def _side(chance: Chance, mix: SizeMix, size: int) -> int:
    """A side from one of the bins, chosen by share; the next smaller bin where the scene is too small."""
    shares = [round(share * 1000) for share in (mix.small, mix.medium, mix.large)]
    pick = chance.between(1, max(sum(shares), 1))
    bin_index = 0 if pick <= shares[0] else 1 if pick <= shares[0] + shares[1] else 2
    largest = size * LARGEST_PERCENT // 100
    names = ("small", "medium", "large")
    while bin_index and _SIDES[names[bin_index]][0] > largest:
        bin_index -= 1
    low, high = _SIDES[names[bin_index]]
    return chance.between(low, max(min(high, largest), low))


def _clutter(chance: Chance, size: int) -> _Thing:
    shape = CLUTTER[chance.between(0, len(CLUTTER) - 1)]
    length = chance.between(8, max(size // 4, 9))
    extent = (length, max(length * chance.between(8, 16) // 16, 4))
    return _Thing(_depth(chance), None, shape, extent, 0)


def _place(chance: Chance, thing: _Thing, turn: int, taken: Mask) -> _Placed | None:
    """Find a place where enough of the thing is visible; None when there is none."""
    size = taken.shape[0]
    direction = chance.between(-turn, turn)
    for _ in range(_TRIES):
        centre = (_centre(chance, thing, size), _centre(chance, thing, size))
        u, v, (left, top) = local_frame(centre, thing.extent, direction)
        whole = thing.shape(u, v)
        area = int(whole.sum())
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + u.shape[1], size), min(top + u.shape[0], size)
        part = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
        visible = whole[part] & ~taken[y0:y1, x0:x1]
        needed = VISIBLE_PERCENT if thing.category is not None else 1
        if int(visible.sum()) * 100 >= area * needed and visible.any():
            return _full_size(visible, u[part], v[part], (x0, y0), size)
    return None


def _centre(chance: Chance, thing: _Thing, size: int) -> int:
    return chance.between(2 * thing.margin, 2 * (size - thing.margin))


def _full_size(visible: Mask, u: Ints, v: Ints, corner: tuple[int, int], size: int) -> _Placed:
    mask = np.zeros((size, size), bool)
    window = mask[corner[1] : corner[1] + visible.shape[0], corner[0] : corner[0] + visible.shape[1]]
    window[...] = visible
    return _Placed(mask, u[visible], v[visible])


def _paint(chance: Chance, canvas: Ints, placed: _Placed) -> None:
    """Colour the visible part; the colours say nothing about the class, only that it is not background."""
    ground = canvas[placed.mask].sum(axis=0) // int(placed.mask.sum())
    first = chance.array(0, 255, (3,))
    for _ in range(_TRIES):
        if int(abs(first - ground).sum()) >= _CONTRAST:
            break
        first = chance.array(0, 255, (3,))
    second = np.clip(first + chance.array(-60, 60, (3,)), 0, 255)
    grain = chance.array(0, 256, placed.u.shape)
    amount = texture(chance.between(0, TEXTURES - 1), chance.between(150, 600), placed.u, placed.v, grain)
    canvas[placed.mask] = (first * (256 - amount[:, None]) + second * amount[:, None]) >> 8


def _develop(chance: Chance, canvas: Ints, options: SceneOptions) -> npt.NDArray[np.uint8]:
    """Uneven light, a soft lens, noise."""
    light = smooth_field(chance.array(190, 290, (3, 3, 1)), options.size)
    image = canvas * light >> 8
    for _ in range(chance.between(0, 2)):
        image = blur(image)
    if options.noise:
        image = image + chance.array(-options.noise, options.noise, image.shape)
    pixels: npt.NDArray[np.uint8] = np.clip(image, 0, 255).astype(np.uint8)
    return pixels


def _extent(mask: Mask) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    return x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1
