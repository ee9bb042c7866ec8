"""Draws one generated frame: six pictures and a point cloud of the same solids, each sensor from its own place.

Every pixel and every measurement is a ray, and shows the first thing that it meets: a solid, the ground, or nothing. So
pictures, points and boxes agree, and what hides a thing from one sensor need not hide it from another.

The same bits on every machine: arrays are added, multiplied, divided, rooted and compared element by element, which
IEEE 754 leaves no choice about; nothing is summed, no matrix multiplied, no sine taken.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detui.engine.data.fusion_options import FusionOptions
from detui.engine.data.fusion_world import GROUND, Camera, Doubles, Solid, build_world, rig
from detui.engine.data.scene_draw import Chance
from detui.engine.data.scene_shapes import Ints

RENDERER = 1
"""Raised whenever a bit of any frame would change: files drawn before are then drawn anew."""
POINT_COLUMNS = ("x", "y", "z", "intensity", "ring", "time")
SWEEP_SECONDS = 0.25
_SKY, _GROUND = -1, -2
_FAR, _LIDAR_FAR = 200.0, 60.0
"""Metres beyond which the ground is haze, and beyond which nothing comes back to the LiDAR."""
_JITTER = 4
"""The largest error of a measured distance, in millimetres."""
_SHADES = np.array([215, 176, 250], np.int64)
"""Light on what faces along the heading, across it, and upwards, of 256."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FusionScene:
    """What the sensors measure, and everything that is known about it. Frame of reference: the LiDAR's."""

    images: npt.NDArray[np.uint8]
    """[V, H, W, 3], RGB."""
    cameras: tuple[Camera, ...]
    points: npt.NDArray[np.float32]
    """[P, 6], the columns of `POINT_COLUMNS`: metres; 0–255; from 0, the lowest; seconds before the frame."""
    boxes: npt.NDArray[np.float32]
    """[N, 9], the columns of `frame.BOX`: of all that a pixel or a point of the frame's own sweep shows."""
    labels: Ints
    """[N], indices into the options' classes."""
    num_lidar_points: Ints
    """[N], of the frame's own sweep."""
    pixels: Ints
    """[V, H, W]: the box that a pixel shows, -1 for no box."""
    hits: Ints
    """[P]: the box that a point lies on, -1 for no box."""


@dataclass(frozen=True, slots=True, eq=False)
class _Rays:
    """Rays from one place: a point at t along ray i is `place` + t · (x, y, z)[i]."""

    place: tuple[float, float, float]
    x: Doubles
    y: Doubles
    z: Doubles


@dataclass(slots=True, eq=False)
class _Met:
    """What rays met first."""

    t: Doubles
    which: Ints
    """Index of the solid, `_SKY` or `_GROUND`."""
    face: Ints
    """0: along the heading, 1: across it, 2: above or below."""


def draw_frame(options: FusionOptions, split: str, index: int) -> FusionScene:
    """Frame number `index` (from 0) of a split: depends on nothing but these three and `RENDERER`."""
    chance = Chance(options.seed, zlib.crc32(split.encode()), index, RENDERER)
    world, cameras = build_world(chance, options), rig(options)
    views = [_photograph(chance, world, camera, options) for camera in cameras]
    sweeps = [_sweep(chance, world, options, number) for number in range(options.sweeps + 1)]
    seen = np.stack([which for _, which in views])
    points, which = (np.concatenate(parts) for parts in zip(*sweeps, strict=True))
    now = which[points[:, 5] == 0]
    shown = [i for i, solid in enumerate(world)
             if solid.category is not None and bool((seen == i).any() or (now == i).any())]  # fmt: skip
    number = np.full(len(world) + 2, -1, np.int64)  # the two last: sky and ground, whose indices are negative
    number[shown] = np.arange(len(shown))
    return FusionScene(
        images=np.stack([image for image, _ in views]),
        cameras=tuple(cameras),
        points=points,
        boxes=np.array([world[i].box() for i in shown], np.float32).reshape(-1, 9),
        labels=np.array([world[i].category for i in shown], np.int64),
        num_lidar_points=np.array([int((now == i).sum()) for i in shown], np.int64),
        pixels=number[seen],
        hits=number[which],
    )


def _photograph(
    chance: Chance, world: list[Solid], camera: Camera, options: FusionOptions
) -> tuple[npt.NDArray[np.uint8], Ints]:
    """A picture [H, W, 3], and what each pixel shows [H, W]."""
    width, height = options.size
    k, turn = camera.intrinsics, camera.lidar_to_camera
    right = ((np.arange(width) + 0.5 - k[0, 2]) / k[0, 0])[None, :]
    down = ((np.arange(height) + 0.5 - k[1, 2]) / k[1, 1])[:, None]
    # The rig's cameras are level: the second row of the rotation is (0, 0, -1). t is the depth.
    x, y = (right * turn[0, axis] + turn[2, axis] + 0 * down for axis in (0, 1))
    rays = _Rays(camera.place, x, y, -down + 0 * right)
    met = _meet_ground(rays, _FAR)
    for index, solid in enumerate(world):
        window = _window(solid, camera, width, height)
        if window is not None:
            _meet(solid, index, rays, met, window)
    image = _colours(world, rays, met)
    if options.noise:
        image = image + chance.array(-options.noise, options.noise, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8), met.which


def _meet_ground(rays: _Rays, far: float) -> _Met:
    falls = rays.z < -1e-6
    t = np.where(falls, (GROUND - rays.place[2]) / np.where(falls, rays.z, -1.0), np.inf)
    t = np.where(t <= far, t, np.inf)
    which = np.where(np.isfinite(t), _GROUND, _SKY).astype(np.int64)
    return _Met(t, which, np.full(t.shape, 2, np.int64))


Window = tuple[slice, ...]


def _window(solid: Solid, camera: Camera, width: int, height: int) -> Window | None:
    """The part of a picture that a solid can be in; None where it is behind the camera or beside the picture."""
    (x, y, z), (c, s) = solid.centre, solid.heading
    along, across, up = (side / 2 for side in solid.size)
    turn, k = camera.lidar_to_camera, camera.intrinsics
    us, vs, behind = [], [], 0
    for a, b, e in ((a, b, e) for a in (-along, along) for b in (-across, across) for e in (-up, up)):
        px, py, pz = x + a * c - b * s, y + a * s + b * c, z + e
        depth = turn[2, 0] * px + turn[2, 1] * py + turn[2, 3]
        if depth < 0.1:
            behind += 1
            continue
        us.append(k[0, 0] * (turn[0, 0] * px + turn[0, 1] * py) / depth + k[0, 2])
        vs.append(k[1, 1] * (-pz + turn[1, 3]) / depth + k[1, 2])
    if behind == 8:
        return None
    if behind:
        return (slice(0, height), slice(0, width))
    left, right = max(int(min(us)) - 2, 0), min(int(max(us)) + 3, width)
    top, bottom = max(int(min(vs)) - 2, 0), min(int(max(vs)) + 3, height)
    return None if left >= right or top >= bottom else (slice(top, bottom), slice(left, right))


def _meet(solid: Solid, index: int, rays: _Rays, met: _Met, window: Window) -> None:
    """Note where rays in a window meet a solid before anything else."""
    origin, ways = _own(solid, rays, window)
    near, far, face = np.full(ways[0].shape, -np.inf), np.full(ways[0].shape, np.inf), np.zeros(ways[0].shape, np.int64)
    for axis, (at, way, side) in enumerate(zip(origin, ways, solid.size, strict=True)):
        steady = np.where(abs(way) < 1e-12, 1e-12, way)
        one, other = (-side / 2 - at) / steady, (side / 2 - at) / steady
        enters = np.minimum(one, other)
        face = np.where(enters > near, axis, face)
        near, far = np.maximum(near, enters), np.minimum(far, np.maximum(one, other))
    first = (near < far) & (near > 0.05) & (near < met.t[window])
    met.t[window] = np.where(first, near, met.t[window])
    met.which[window] = np.where(first, index, met.which[window])
    met.face[window] = np.where(first, face, met.face[window])


def _own(solid: Solid, rays: _Rays, part: Window) -> tuple[tuple[float, float, float], tuple[Doubles, ...]]:
    """Where rays begin and go in a solid's own axes: along the heading, across it, up."""
    c, s = solid.heading
    dx, dy, dz = (rays.place[axis] - solid.centre[axis] for axis in range(3))
    x, y, z = rays.x[part], rays.y[part], rays.z[part]
    return (dx * c + dy * s, dy * c - dx * s, dz), (x * c + y * s, y * c - x * s, z)


def _colours(world: list[Solid], rays: _Rays, met: _Met) -> Ints:
    """[H, W, 3]: what each ray shows, before noise."""
    height, width = met.t.shape
    sky = np.array([150, 180, 215], np.int64) + (np.arange(height, dtype=np.int64) * 40 // height)[:, None, None]
    image = np.broadcast_to(sky, (height, width, 3)).copy()
    floor = met.which == _GROUND
    t = met.t[floor]
    east, north = rays.place[0] + t * rays.x[floor], rays.place[1] + t * rays.y[floor]
    across, along = np.floor(east / 2).astype(np.int64), np.floor(north / 2).astype(np.int64)
    grey = 88 + ((across + along) & 1) * 14 + ((across * 7 + along * 13) * (across + 3) & 15)
    image[floor] = grey[:, None] + np.array([0, 2, 5], np.int64)
    for index, solid in enumerate(world):
        shown = met.which == index
        if not shown.any():
            continue
        face = met.face[shown]
        height_on = (met.t[shown] * rays.z[shown] + rays.place[2] - solid.centre[2]) / solid.size[2] + 0.5
        # A dark band on the sides, as windows are.
        dark = (face != 2) & (height_on > 0.6) & (height_on < 0.85)
        light = np.where(dark, 90, _SHADES[face])
        image[shown] = np.array(solid.colour, np.int64) * light[:, None] >> 8
    return np.asarray(image)


def _sweep(
    chance: Chance, world: list[Solid], options: FusionOptions, number: int
) -> tuple[npt.NDArray[np.float32], Ints]:
    """The points of one turn [P, 6], `number` sweeps before the frame, and what each lies on [P]."""
    seconds = number * SWEEP_SECONDS
    x, y = _circle(-(-options.columns // 4))
    # Slopes rather than angles: a ray goes one metre outwards while it rises by so much.
    slopes = -0.55 + np.arange(options.rings) * (0.65 / (options.rings - 1))
    shape = (options.rings, len(x))
    rays = _Rays((0.0, 0.0, 0.0), np.broadcast_to(x, shape), np.broadcast_to(y, shape),
                 np.broadcast_to(slopes[:, None], shape))  # fmt: skip
    met = _meet_ground(rays, _LIDAR_FAR)
    for index, solid in enumerate(world):
        _meet(solid.before(seconds), index, rays, met, (slice(None), slice(None)))
    back = met.which != _SKY
    t = met.t[back] + chance.array(-_JITTER, _JITTER, shape)[back] / 1000
    which = met.which[back]
    reflects = np.array([*(_reflects(solid) for solid in world), 20, 0], np.int64)  # … ground, sky
    bright = np.clip(reflects[which] * _SHADES[met.face[back]] // 256
                     + chance.array(-options.noise, options.noise, shape)[back], 0, 255)  # fmt: skip
    ring = np.broadcast_to(np.arange(options.rings)[:, None], shape)[back]
    columns = (t * rays.x[back], t * rays.y[back], t * rays.z[back], bright, ring, np.full(len(t), seconds))
    return np.stack(columns, 1).astype(np.float32), which


def _reflects(solid: Solid) -> int:
    return 70 if solid.category is None else 60 + (solid.colour[0] + solid.colour[1] + solid.colour[2]) // 6


def _circle(quarter: int) -> tuple[Doubles, Doubles]:
    """Directions around, `quarter` of them in each quarter of a turn, without a sine: a rational circle."""
    half = (np.arange(quarter) * 2 + 1 - quarter) / quarter * 0.41421356237309503  # the tangent of an eighth of a turn
    norm = 1 + half * half
    c, s = (1 - half * half) / norm, 2 * half / norm
    return np.concatenate([c, -s, -c, s]), np.concatenate([s, c, -s, -c])
