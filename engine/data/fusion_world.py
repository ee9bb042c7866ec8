"""What stands around the car of a generated frame: solids with class, size, heading and speed, and the rig of sensors.

All lengths are metres in the frame of the LiDAR: x to the right, y ahead, z up, the ground at `GROUND`. Numbers are
drawn as integers (centimetres, 64ths of a turn) from a frozen stream, so that they are the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from detui.engine.data.fusion_options import FusionOptions
from detui.engine.data.scene_draw import Chance
from detui.engine.data.scene_shapes import DIRECTIONS, cosine, sine

Doubles = npt.NDArray[np.float64]

GROUND = -1.84
"""Height of the ground: the LiDAR of nuScenes stands so high above it."""
MARGIN = 0.01
"""A box stands this far off its solid on every side, so that a measurement's noise does not leave it."""
_LIFT = 0.02
"""Solids float this high above the ground: boxes end above it, and hold none of its points."""
_NEAR = 300
"""No solid comes closer to the LiDAR, in centimetres: there is a car below it."""
_TRIES = 20

# By class: least and largest width, length and height in centimetres, largest speed in centimetres a second, colour.
_KINDS: Mapping[str, tuple[tuple[int, int], tuple[int, int], tuple[int, int], int, tuple[int, int, int]]] = {
    "car": ((170, 200), (390, 500), (145, 180), 1000, (170, 60, 60)),
    "truck": ((220, 260), (600, 900), (260, 340), 800, (70, 90, 180)),
    "construction_vehicle": ((240, 290), (500, 700), (260, 330), 200, (210, 170, 40)),
    "bus": ((260, 300), (950, 1200), (300, 360), 800, (60, 160, 90)),
    "trailer": ((230, 260), (900, 1200), (330, 400), 800, (150, 150, 160)),
    "barrier": ((180, 250), (40, 60), (90, 110), 0, (220, 120, 70)),
    "motorcycle": ((70, 90), (190, 230), (130, 160), 1000, (120, 60, 150)),
    "bicycle": ((50, 70), (160, 180), (120, 150), 500, (60, 170, 180)),
    "pedestrian": ((50, 75), (55, 80), (155, 190), 200, (190, 140, 200)),
    "traffic_cone": ((35, 45), (35, 45), (70, 110), 0, (240, 140, 20)),
}
_WALL = ((40, 80), (400, 1200), (200, 450), 0, (130, 125, 120))


@dataclass(frozen=True, slots=True, kw_only=True)
class Solid:
    """A cuboid on the ground."""

    category: int | None
    """Index into the options' classes; None for what is no object."""
    centre: tuple[float, float, float]
    size: tuple[float, float, float]
    """Length along the heading, width across it, height."""
    direction: int
    """The heading, in 64ths of a turn from x towards y."""
    speed: float
    """Along the heading, metres a second."""
    colour: tuple[int, int, int]
    """RGB."""

    @property
    def heading(self) -> tuple[float, float]:
        """x and y of a vector of length one, to four decimals."""
        return cosine(self.direction) / 4096, sine(self.direction) / 4096

    @property
    def velocity(self) -> tuple[float, float]:
        """x and y, metres a second."""
        along, across = self.heading
        return self.speed * along + 0.0, self.speed * across + 0.0  # never minus zero

    def before(self, seconds: float) -> Solid:
        """Where it was."""
        x, y, z = self.centre
        return replace(self, centre=(x - self.velocity[0] * seconds, y - self.velocity[1] * seconds, z))

    def box(self) -> list[float]:
        """The columns of `frame.BOX`."""
        length, width, height = (side + 2 * MARGIN for side in self.size)
        k = self.direction % DIRECTIONS
        yaw = (k if k <= DIRECTIONS // 2 else k - DIRECTIONS) * (2 * math.pi / DIRECTIONS)
        return [*self.centre, width, length, height, yaw, *self.velocity]


def build_world(chance: Chance, options: FusionOptions) -> list[Solid]:
    """Objects and walls that do not touch each other."""
    world: list[Solid] = []
    for _ in range(chance.between(options.objects[0], options.objects[1])):
        _add(world, chance, options, chance.between(0, len(options.classes) - 1))
    for _ in range(options.clutter):
        _add(world, chance, options, None)
    return world


def _add(world: list[Solid], chance: Chance, options: FusionOptions, category: int | None) -> None:
    """Put one more where there is room; nothing after so many tries."""
    widths, lengths, heights, fastest, colour = _WALL if category is None else _KINDS[options.classes[category]]
    width, length, height = (chance.between(*sides) for sides in (widths, lengths, heights))
    moves = chance.between(0, 1) * chance.between(0, fastest)
    paint = tuple(max(min(part + chance.between(-35, 35), 255), 0) for part in colour)
    direction = chance.between(0, DIRECTIONS - 1)
    for _ in range(_TRIES):
        away, around = chance.between(_NEAR, options.reach * 100), chance.between(0, DIRECTIONS - 1)
        x = away * cosine(around) // 4096 + chance.between(-50, 50)
        y = away * sine(around) // 4096 + chance.between(-50, 50)
        if not _is_free(world, x, y, (width + length) // 2, options.reach * 100):
            continue
        z = GROUND + _LIFT + height / 200
        world.append(Solid(
            category=category, centre=(x / 100, y / 100, z), size=(length / 100, width / 100, height / 100),
            direction=direction, speed=moves / 100, colour=(paint[0], paint[1], paint[2]),
        ))  # fmt: skip
        return


def _is_free(world: list[Solid], x: int, y: int, radius: int, reach: int) -> bool:
    """Whether a circle, in centimetres, touches neither the car nor another solid, its centre within reach."""
    if not (_NEAR + radius) ** 2 <= x * x + y * y <= reach * reach:
        return False
    for other in world:
        ox, oy = round(other.centre[0] * 100), round(other.centre[1] * 100)
        apart = radius + round((other.size[0] + other.size[1]) * 50) + 20
        if (x - ox) ** 2 + (y - oy) ** 2 < apart * apart:
            return False
    return True


# Names as in nuScenes: the direction each looks to, in 64ths of a turn from ahead to the left, and the tangent of half
# its angle of view. Together they see all around.
CAMERAS: Mapping[str, tuple[int, float]] = {
    "CAM_FRONT": (0, 0.7), "CAM_FRONT_RIGHT": (-10, 0.7), "CAM_FRONT_LEFT": (10, 0.7),
    "CAM_BACK": (32, 1.0), "CAM_BACK_LEFT": (20, 0.7), "CAM_BACK_RIGHT": (-20, 0.7),
}  # fmt: skip
_OUT, _DOWN = 0.6, 0.3
"""A camera stands so far out from the LiDAR in the direction that it looks to, and so far below it."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Camera:
    """One camera of the rig."""

    name: str
    intrinsics: Doubles
    """[3, 3], to pixels whose centres are halves."""
    lidar_to_camera: Doubles
    """[4, 4]."""
    place: tuple[float, float, float]
    """In the frame of the LiDAR."""


def rig(options: FusionOptions) -> list[Camera]:
    """The six cameras."""
    width, height = options.size
    cameras = []
    for name, (direction, tangent) in CAMERAS.items():
        c, s = cosine(direction) / 4096, sine(direction) / 4096
        norm = math.sqrt(c * c + s * s)
        c, s = c / norm, s / norm
        focal = width / 2 / tangent
        matrix = np.array([[c, s, 0, 0], [0, 0, -1, -_DOWN], [-s, c, 0, -_OUT], [0, 0, 0, 1]], np.float64)
        intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], np.float64)
        place = (-s * _OUT, c * _OUT, -_DOWN)
        cameras.append(Camera(name=name, intrinsics=intrinsics, lidar_to_camera=matrix, place=place))
    return cameras
