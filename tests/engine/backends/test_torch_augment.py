"""Augmentation of frames: space turns around the cameras, and whatever they saw stays where they saw it."""

from __future__ import annotations

import math
import random
from dataclasses import fields

import numpy as np
import pytest
import torch
from tiny_frames import tiny_frame

from detui.engine.backends.torch.fusion.augment import Change, changed, drawn
from detui.engine.backends.torch.fusion.geometry import Range, depths, points_on_rays, to_metres
from detui.engine.backends.torch.fusion.inputs import collate
from detui.engine.data.frame import Frame, corners, inside
from detui.engine.errors import DataError

WIDE: Range = (-200.0, -200.0, -50.0, 200.0, 200.0, 50.0)
CHANGES = {
    "turned": Change(angle=math.radians(77)),
    "scaled": Change(scale=1.1),
    "mirrored in x": Change(flip_x=True),
    "mirrored in y": Change(flip_y=True),
    "all": Change(angle=math.radians(-22.5), scale=0.9, flip_x=True, flip_y=True),
    "all but one flip": Change(angle=math.radians(22.5), scale=1.07, flip_x=True),
}
EVERY = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


def pixels(frame: Frame, places: np.ndarray) -> np.ndarray:
    """[V, N, 3]: places [N, 3] in the cameras of a frame, as u, v and depth; 0 where they are behind."""
    seen = np.einsum("vij,nj->vni", frame.lidar_to_image()[:, :3], np.c_[places, np.ones(len(places))])
    ahead = seen[..., 2:] > 0.1
    flat = seen[..., :2] / np.where(ahead, seen[..., 2:], 1)
    return np.where(ahead, np.concatenate([flat, seen[..., 2:]], -1), 0)


def check_corners(old: Frame, change: Change) -> None:
    """The corners of the boxes are where the change takes them, and are seen where they were seen."""
    new, before = changed(old, change), corners(old.boxes)
    moved, after = before @ change.matrix().T, corners(new.boxes)
    # A mirrored box has the same eight corners in another order.
    away = np.linalg.norm(moved[:, :, None] - after[:, None], axis=-1)
    assert max(away.min(1).max(), away.min(2).max()) < 1e-4, "metres, of boxes in 32 bits"
    seen = pixels(old, before.reshape(-1, 3))
    assert (seen[..., 2] > 0).any() and np.abs(seen - pixels(new, moved.reshape(-1, 3))).max() < 1e-4


@EVERY
def test_corners_stay_at_their_pixels(change: Change) -> None:
    check_corners(tiny_frame(3, boxes=4), change)


@EVERY
def test_corners_of_the_real_frame_stay_at_their_pixels(real_frame: Frame, change: Change) -> None:
    check_corners(real_frame, change)


@EVERY
def test_points_stay_in_their_boxes(change: Change) -> None:
    old = tiny_frame(1, boxes=4)
    new = changed(old, change)
    before, after = inside(old.boxes, old.points), inside(new.boxes, new.points)
    assert (before == after).all() and (after.sum(1) == new.num_lidar_points).all() and after.sum() >= 80
    assert (old.points[:, 3:] == new.points[:, 3:]).all(), "intensity and time are no places"
    new.check()


@EVERY
def test_what_moves_goes_on_moving_the_same_way_along_its_heading(change: Change) -> None:
    old = tiny_frame(2, boxes=4)
    old.boxes[0, 7:9] = 3 * np.cos(old.boxes[0, 6]), 3 * np.sin(old.boxes[0, 6])
    old.boxes[1, 7] = np.nan
    new = changed(old, change)
    ahead = 3 * change.scale * np.array([np.cos(new.boxes[0, 6]), np.sin(new.boxes[0, 6])])
    assert new.boxes[0, 7:9] == pytest.approx(ahead, abs=1e-5)
    assert np.isnan(new.boxes[1, 7:9]).all() and not np.isnan(new.boxes[2:, 7:9]).any()
    assert new.boxes[:, 3:6] == pytest.approx(old.boxes[:, 3:6] * change.scale)


@EVERY
def test_rays_of_a_turned_or_mirrored_camera_go_through_what_it_shows(change: Change) -> None:
    """The code of a token is made of the points on its ray: they must be where the world has gone."""
    old, new = (collate([f], scale=1.0, crop_top=0.0, space=WIDE) for f in _both(change))
    assert torch.equal(old.images, new.images)
    at = torch.tensor([[5.0, 7.0], [40.0, 20.0]]).expand(1, 6, 2, 2)
    along = depths(4, 40.0, at)
    before, after = (
        to_metres(points_on_rays(at, one.lidar_to_image, along, WIDE).unflatten(-1, (-1, 3)), WIDE)
        for one in (old, new)
    )
    assert torch.isfinite(after).all()
    assert (before @ torch.from_numpy(change.matrix()).float().T - after).abs().max() < 1e-3


def _both(change: Change) -> tuple[Frame, Frame]:
    frame = tiny_frame(0)
    return frame, changed(frame, change)


def test_the_given_frame_stays_as_it_is() -> None:
    """Few frames are kept in memory: a change must not add to that of the epoch before."""
    frame, untouched = tiny_frame(0), tiny_frame(0)
    changed(frame, CHANGES["all"])
    for field in fields(Frame):
        one, other = getattr(frame, field.name), getattr(untouched, field.name)
        assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other, field.name


def test_a_change_is_drawn_within_its_bounds_and_a_function_of_its_generator() -> None:
    options = {"rotate": 22.5, "scale": [0.9, 1.1], "flip_x": 0.5, "flip_y": 0.0}
    found = [drawn(options, random.Random(seed)) for seed in range(400)]
    assert found == [drawn(options, random.Random(seed)) for seed in range(400)]
    angles, scales = np.degrees([one.angle for one in found]), np.array([one.scale for one in found])
    assert -22.5 <= angles.min() < -20 and 20 < angles.max() <= 22.5 and abs(angles.mean()) < 2
    assert 0.9 <= scales.min() < 0.91 and 1.09 < scales.max() <= 1.1
    assert 0.4 < np.mean([one.flip_x for one in found]) < 0.6 and not any(one.flip_y for one in found)
    nothing = {"rotate": 0.0, "scale": [1.0, 1.0], "flip_x": 0.0, "flip_y": 0.0}
    assert (drawn(nothing, random.Random(1)).matrix() == np.eye(3)).all()


def test_pictures_of_which_nothing_is_left_are_said() -> None:
    with pytest.raises(DataError, match=r"64 × 32 pixels become 64 × 0") as caught:
        collate([tiny_frame(0)], scale=1.0, crop_top=0.999, space=WIDE)
    assert caught.value.where == "frame tiny-0" and "train.crop_top" in str(caught.value.hint)
