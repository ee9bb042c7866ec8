"""Frames of cameras and LiDAR: what is refused, the geometry of boxes, and the one real frame."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from tiny_frames import tiny_frame

from detui.engine.data.frame import NUSCENES_CLASSES, Frame, corners, inside
from detui.engine.data.frame_files import read_frame, write_frame
from detui.engine.data.frames import open_frames
from detui.engine.errors import DataError, MissingError


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("points", np.zeros((4, 4), np.float32), r"points: its shape is \(4, 4\)"),
        ("labels", np.full(3, 10), "labels: a label lies outside 0 to 9"),
        ("boxes", np.zeros((3, 9), np.float32), "boxes: a size is not positive"),
        ("boxes", np.full((3, 9), np.nan, np.float32), "boxes: a place, size or heading is not finite"),
        ("intrinsics", np.full((6, 3, 3), np.inf), "intrinsics: a value is not finite"),
        ("cameras", ("FRONT",), "images: its shape is"),
    ],
)
def test_what_is_not_as_described_is_refused_by_name(field: str, value: object, said: str) -> None:
    frame = dataclasses.replace(tiny_frame(boxes=3), **{field: value})
    with pytest.raises(DataError, match=said):
        frame.check()


def test_an_unknown_velocity_is_no_error() -> None:
    frame = tiny_frame(boxes=2)
    frame.boxes[0, 7:] = np.nan
    frame.check()


def test_corners_and_inside_agree_on_a_turned_box() -> None:
    """Length lies along the heading: a box that heads along y is long there."""
    box = np.array([[1.0, 2.0, 3.0, 2.0, 6.0, 1.0, np.pi / 2, 0, 0]])
    found = corners(box)[0]
    assert np.ptp(found, axis=0) == pytest.approx([2.0, 6.0, 1.0])
    nearly, beyond = (box[0, :3] + (found - box[0, :3]) * factor for factor in (0.99, 1.01))
    assert inside(box, nearly).all() and not inside(box, beyond).any()


def test_a_frame_is_the_same_after_writing_and_reading(hostile_path: Path) -> None:
    frame = tiny_frame(3, boxes=3)
    frame.boxes[1, 7:] = np.nan
    write_frame(frame, hostile_path / "one")
    read = open_frames({"format": "frames", "splits": {"train": [str(hostile_path / "one")]}}, "train")[0]
    for field in dataclasses.fields(Frame):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(frame, field.name), err_msg=field.name)


def test_what_is_absent_or_broken_is_said_with_its_file(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"frame\.json"):
        read_frame(tmp_path)
    write_frame(tiny_frame(), tmp_path)
    (tmp_path / "points.bin").write_bytes(b"1234")
    with pytest.raises(DataError, match=r"(?s)points\.bin.*was the file cut"):
        read_frame(tmp_path)
    (tmp_path / "points.bin").unlink()
    with pytest.raises(MissingError, match="point cloud"):
        read_frame(tmp_path)
    told = json.loads((tmp_path / "frame.json").read_text())
    (tmp_path / "frame.json").write_text(json.dumps({**told, "lidar": {}}))
    with pytest.raises(DataError, match="A field is absent"):
        read_frame(tmp_path)
    with pytest.raises(MissingError, match=r"no split 'val'; it has train"):
        open_frames({"format": "frames", "splits": {"train": [str(tmp_path)]}}, "val")
    with pytest.raises(DataError, match="holds no frames"):
        open_frames({"format": "coco"}, "val")


def test_the_real_frame_is_what_its_authors_say(real_frame: Frame) -> None:
    assert real_frame.images.shape == (6, 3, 900, 1600) and real_frame.points.shape == (34688, 5)
    assert len(real_frame.boxes) == 68 and np.isnan(real_frame.boxes[:, 7:]).any(1).sum() == 2
    assert (real_frame.num_lidar_points == 0).sum() == 3
    assert {NUSCENES_CLASSES[label] for label in real_frame.labels} >= {"car", "pedestrian", "truck", "barrier"}


def test_the_real_boxes_hold_their_points(real_frame: Frame) -> None:
    """A mistaken axis, heading, unit or centre would empty them."""
    seen = real_frame.num_lidar_points >= 5
    boxes, told = real_frame.boxes[seen], real_frame.num_lidar_points[seen]
    within = inside(boxes, real_frame.points)
    counted = within.sum(1)
    assert np.abs(counted - told).sum() <= 0.05 * told.sum()
    some = real_frame.points[within.any(0)]
    for wrong in ([0, 1, 2, 4, 3, 5, 6], [1, 0, 2, 3, 4, 5, 6]):
        assert inside(boxes[:, wrong], some).sum() < 0.8 * told.sum()
