"""Generated frames of cameras and LiDAR: the same bits everywhere; pictures, points and boxes agree."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from detui.engine.configuration import Configuration
from detui.engine.data import load_definition, open_dataset, prepare
from detui.engine.data.calibration import faults
from detui.engine.data.frame import corners, inside
from detui.engine.data.frame_files import frame_of
from detui.engine.data.frames import open_frames
from detui.engine.data.fusion_draw import SWEEP_SECONDS, FusionScene, draw_frame
from detui.engine.data.fusion_options import FusionOptions
from detui.engine.data.fusion_world import MARGIN, build_world
from detui.engine.data.nuscenes_classes import NUSCENES_CLASSES
from detui.engine.data.scene_draw import Chance
from detui.engine.errors import RecipeError

GOLDEN = "17cf1995e61f178518f0433294e87270f6c33c3355b381ceaddb21e96933802a"
ALL = FusionOptions(size=[96, 64], classes=list(NUSCENES_CLASSES), objects=[14, 20], clutter=6, sweeps=2, seed=7)


@pytest.fixture(scope="module")
def scenes() -> list[FusionScene]:
    return [draw_frame(ALL, "train", index) for index in range(4)]


def test_the_bits_are_pinned(scenes: list[FusionScene]) -> None:
    """If this fails and the change is meant, raise RENDERER and put the new hash here."""
    digest = hashlib.sha256()
    for scene in scenes:
        for part in (scene.images, scene.points.astype("<f4"), scene.boxes.astype("<f4")):
            digest.update(part.tobytes())
        for whole in (scene.pixels, scene.hits, scene.labels, scene.num_lidar_points):
            digest.update(whole.astype("<i8").tobytes())
        for camera in scene.cameras:
            digest.update(camera.intrinsics.astype("<f8").tobytes() + camera.lidar_to_camera.astype("<f8").tobytes())
    assert digest.hexdigest() == GOLDEN


def test_seed_split_and_index_each_matter(scenes: list[FusionScene]) -> None:
    first = scenes[0].images
    for other in (("train", 1, 7), ("val", 0, 7), ("train", 0, 8)):
        split, index, seed = other
        assert (draw_frame(ALL.model_copy(update={"seed": seed}), split, index).images != first).any()
    assert (draw_frame(ALL, "train", 0).images == first).all()


def test_the_scenes_reach_every_class(scenes: list[FusionScene]) -> None:
    assert {label for scene in scenes for label in scene.labels.tolist()} == set(range(10))
    assert sum(len(scene.boxes) for scene in scenes) > 30


def test_points_lie_in_their_boxes_and_in_no_other(scenes: list[FusionScene]) -> None:
    for scene in scenes:
        now = scene.points[:, 5] == 0
        within = inside(scene.boxes, scene.points[now])
        assert (within == (scene.hits[now][None] == np.arange(len(scene.boxes))[:, None])).all()
        assert within.sum(1).tolist() == scene.num_lidar_points.tolist()


def test_earlier_sweeps_show_where_things_were(scenes: list[FusionScene]) -> None:
    moved = 0
    for scene in scenes:
        for number in (1, 2):
            then = scene.points[:, 5] == number * SWEEP_SECONDS
            back = scene.boxes.copy()
            back[:, :2] -= back[:, 7:9] * number * SWEEP_SECONDS
            own = scene.hits[then][None] == np.arange(len(back))[:, None]
            assert inside(back, scene.points[then])[own].all()
            fast = np.hypot(*scene.boxes[:, 7:9].T) > 4
            moved += int((own[fast] & ~inside(scene.boxes[fast], scene.points[then])).sum())
    assert moved > 0


def test_a_boxs_projection_covers_its_pixels(scenes: list[FusionScene]) -> None:
    """Every pixel's ray goes through the box that it shows."""
    for scene in scenes:
        for camera, shown in zip(scene.cameras, scene.pixels, strict=True):
            for number in np.unique(shown[shown >= 0]):
                assert np.isfinite(_distances(scene.boxes[number], camera, shown.shape)[shown == number]).all()


def test_the_nearest_hides_the_others() -> None:
    """Without walls: a pixel shows the first thing on its ray, and background alone where there is none."""
    scene = draw_frame(ALL.model_copy(update={"clutter": 0, "objects": [30, 30]}), "train", 0)
    things = scene.boxes.copy()
    things[:, 3:6] -= 2 * MARGIN
    hidden = 0
    for camera, shown in zip(scene.cameras, scene.pixels, strict=True):
        entered = np.stack([_distances(thing, camera, shown.shape) for thing in things])
        first = np.where(np.isfinite(entered.min(0)), entered.argmin(0), -1)
        # Directions are rounded to four decimals when drawn, which moves an edge by less than a millimetre.
        assert (first != shown).mean() < 0.001
        hidden += int((np.isfinite(entered).sum(0) > 1).sum())
    assert hidden > 100


def _distances(box: np.ndarray, camera, shape: tuple[int, int]) -> np.ndarray:  # type: ignore[no-untyped-def]
    """[H, W]: the depth at which the ray of each pixel enters a box; infinite where it misses."""
    u, v = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
    rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(camera.intrinsics).T @ camera.lidar_to_camera[:3, :3]
    place = -camera.lidar_to_camera[:3, :3].T @ camera.lidar_to_camera[:3, 3]
    turn = np.array([[np.cos(box[6]), np.sin(box[6]), 0], [-np.sin(box[6]), np.cos(box[6]), 0], [0, 0, 1]])
    at, ways, half = turn @ (place - box[:3]), rays @ turn.T, box[[4, 3, 5]] / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        bounds = np.stack([(-half - at) / ways, (half - at) / ways])
    near, far = bounds.min(0).max(-1), bounds.max(0).min(-1)
    return np.where((near < far) & (near > 0), near, np.inf)


def test_points_fall_on_the_pixels_of_their_box(scenes: list[FusionScene]) -> None:
    """Points of a box, seen by a camera, fall on pixels of that box unless something hides them."""
    same = total = 0
    for scene in scenes:
        on = scene.points[(scene.hits >= 0) & (scene.points[:, 5] == 0)]
        which = scene.hits[(scene.hits >= 0) & (scene.points[:, 5] == 0)]
        for camera, shown in zip(scene.cameras, scene.pixels, strict=True):
            seen = np.c_[on[:, :3], np.ones(len(on))] @ camera.lidar_to_camera.T
            u, v = (seen[:, :2] / seen[:, 2:3] * camera.intrinsics[0, 0] + camera.intrinsics[:2, 2]).T
            visible = (seen[:, 2] > 0.2) & (u >= 0) & (u < shown.shape[1]) & (v >= 0) & (v < shown.shape[0])
            found = shown[v[visible].astype(int), u[visible].astype(int)]
            same, total = same + int((found == which[visible]).sum()), total + int(visible.sum())
    assert total > 500
    assert same / total > 0.85  # the rest is hidden from the camera, which stands elsewhere


def test_cameras_look_where_their_names_say_and_see_all_around(scenes: list[FusionScene]) -> None:
    cameras = scenes[0].cameras
    told = {c.name: {"cam2img": c.intrinsics, "lidar2cam": c.lidar_to_camera} for c in cameras}
    assert faults(told, (96, 64)) == []
    angles = np.linspace(0, 2 * np.pi, 720)
    around = np.c_[20 * np.cos(angles), 20 * np.sin(angles), np.full(720, -0.5), np.ones(720)]
    seen = np.zeros(720, bool)
    for c in cameras:
        at = around @ c.lidar_to_camera.T
        seen |= (at[:, 2] > 0) & (abs(at[:, 0] / np.maximum(at[:, 2], 1e-9) * c.intrinsics[0, 0]) < 48)
    assert seen.all()


def test_nothing_touches_and_everything_is_annotated_within_reach() -> None:
    for index in range(10):
        world = build_world(Chance(index), ALL)
        boxes = np.array([solid.box() for solid in world])
        for number, box in enumerate(boxes):
            assert not inside(np.delete(boxes, number, 0), corners(box[None])[0]).any()
        assert (np.hypot(boxes[:, 0], boxes[:, 1]) <= ALL.reach + 1e-9).all()


def test_prepared_frames_are_what_was_drawn(tmp_path: Path) -> None:
    hostile_path = tmp_path / "with space 'quote\" 数据"
    configuration = Configuration.load(environ={"HOME": str(hostile_path)})
    options = {"size": [48, 32], "objects": [3, 5], "rings": 8, "columns": 90, "classes": ["bus", "car"]}
    wanted = {"name": "fusion-scenes", "train": {"images": 3}, "val": {"images": 2}, "options": options}
    prepared = prepare(wanted, configuration, hostile_path / "cache", yolo=False)
    info = prepared.info
    assert (info["format"], info["classes"], info["problems"]) == ("frames", ["bus", "car"], [])
    assert [info["splits"][role]["images"] for role in ("train", "val")] == [3, 2]
    frames = open_frames({**info, "prepared": str(prepared.path)}, "train")
    assert len(frames) == 3 and frames.classes == ("bus", "car")
    scene = draw_frame(FusionOptions(**options), "train", 2)  # type: ignore[arg-type]
    read = frames[2]
    np.testing.assert_array_equal(read.images, scene.images.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(read.points, scene.points[:, [0, 1, 2, 3, 5]])
    np.testing.assert_array_equal(read.boxes, scene.boxes)
    np.testing.assert_array_equal(read.labels, scene.labels)
    again = prepare(wanted, configuration, hostile_path / "elsewhere", yolo=False)
    assert again.info["fingerprint"] == info["fingerprint"]
    other = prepare({**wanted, "train": {"images": 2}}, configuration, hostile_path / "cache", yolo=False)
    assert other.info["fingerprint"] != info["fingerprint"]


def test_frames_are_no_images_and_say_so(tmp_path: Path) -> None:
    configuration = Configuration.load(environ={"HOME": str(tmp_path)})
    with pytest.raises(RecipeError, match="no images with boxes in pixels"):
        prepare({"name": "fusion-scenes"}, configuration, tmp_path, yolo=True)
    with pytest.raises(RecipeError, match="no depth maps"):
        prepare({"name": "fusion-scenes", "depth": True}, configuration, tmp_path, yolo=False)
    with pytest.raises(RecipeError, match="no images with boxes in pixels"):
        open_dataset(load_definition("fusion-scenes"), configuration)
    with pytest.raises(RecipeError, match="has 400 frames, and 401 are asked for"):
        prepare({"name": "fusion-scenes", "train": {"images": 401}}, configuration, tmp_path, yolo=False)
    with pytest.raises(RecipeError, match="classes"):
        load_definition("fusion-scenes").with_options({"classes": ["tram"]})


def test_an_entry_is_like_a_stored_frame(tmp_path: Path) -> None:
    """A line of the list and a frame.json are one form."""
    from detui.engine.data.frame_files import read_frame, write_frame

    configuration = Configuration.load(environ={"HOME": str(tmp_path)})
    wanted = {"name": "fusion-scenes", "train": {"images": 1}, "val": {"images": 1},
              "options": {"size": [32, 32], "rings": 4, "columns": 16, "classes": ["car"]}}  # fmt: skip
    prepared = prepare(wanted, configuration, tmp_path / "cache", yolo=False)
    told = json.loads((prepared.path / "val.jsonl").read_text())
    frame = frame_of(told, tmp_path / prepared.info["root"], ("car",), "here")
    write_frame(frame, tmp_path / "one")
    np.testing.assert_array_equal(read_frame(tmp_path / "one", ("car",)).boxes, frame.boxes)
