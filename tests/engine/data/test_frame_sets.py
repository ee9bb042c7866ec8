"""Stored frames as a data set: their folders, what is wrong with their files, and values of every wrong kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_frames import tiny_frame

from detui.engine.configuration import Configuration
from detui.engine.data import load_definition, prepare
from detui.engine.data.frame_checks import Candidate, FrameCheck
from detui.engine.data.frame_files import frame_of, write_frame
from detui.engine.data.frame_sets import open_frame_set
from detui.engine.data.frames import open_frames
from detui.engine.data.imagefiles import ImageFiles
from detui.engine.data.nuscenes_classes import NUSCENES_CLASSES
from detui.engine.data.problems import Ledger
from detui.engine.errors import MissingError, RecipeError


class Site:
    """Two splits of one frame each."""

    def __init__(self, home: Path) -> None:
        self.home, self.frame = home, home / "train" / "a"
        for number, split in enumerate(("train", "val")):
            write_frame(tiny_frame(number, boxes=3), home / split / "a")
        self.define()

    def define(self, **fields: Any) -> None:
        splits = {name: {"folder": name} for name in ("train", "val")}
        value = {"schema": 1, "name": "own", "title": "Own", "format": "frames", "splits": splits, **fields}
        (self.home / "own.yaml").write_text(json.dumps(value))

    def kinds(self) -> dict[str, str]:
        configuration = Configuration.load(environ={"HOME": str(self.home)})
        definition = load_definition(self.home / "own.yaml")
        found = open_frame_set(definition, configuration, cache=self.home / "cache", tolerate=True)
        return {row.kind: row.examples[0] for row in found.summary}

    def change(self, change: Callable[[Any], None]) -> None:
        told = json.loads((self.frame / "frame.json").read_text())
        change(told)
        (self.frame / "frame.json").write_text(json.dumps(told))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_frames_in_folders(site: Site) -> None:
    assert site.kinds() == {}
    configuration = Configuration.load(environ={"HOME": str(site.home)})
    prepared = prepare({"name": str(site.home / "own.yaml")}, configuration, site.home / "cache", yolo=False)
    told = {**prepared.info, "prepared": str(prepared.path)}
    (read,) = [open_frames(told, "val")[0]]
    wanted = tiny_frame(1, boxes=3)
    np.testing.assert_array_equal(read.boxes, wanted.boxes)
    np.testing.assert_array_equal(read.images, wanted.images)
    (prepared.path / "val.jsonl").unlink()
    with pytest.raises(MissingError, match=r"(?s)val\.jsonl.*prepare the data anew"):
        open_frames(told, "val")


def test_the_poses_of_a_frame_reach_its_ground_truth(site: Site) -> None:
    """Detections are judged in the axes of the world: a pose that is no pose must not come out after a training."""
    turned = [[0.0, -1.0, 0.0, 5.0], [1.0, 0.0, 0.0, 7.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    mounted = [[1.0, 0.0, 0.0, 0.9], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.8], [0.0, 0.0, 0.0, 1.0]]

    def place(told: Any) -> None:
        told["ego2global"], told["lidar"]["lidar2ego"] = turned, mounted

    site.change(place)
    configuration = Configuration.load(environ={"HOME": str(site.home)})
    prepared = prepare({"name": str(site.home / "own.yaml")}, configuration, site.home / "cache", yolo=False)
    (frame,) = json.loads((prepared.path / "train.json").read_text())["frames"]
    assert frame["ego_to_world"] == turned and frame["lidar_to_ego"] == mounted
    site.change(lambda told: told.update(ego2global=[[2.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 2.0, 0], [0, 0, 0, 1]]))
    assert "ego2global is no rotation with a translation" in site.kinds()["malformed"]


def test_what_is_wrong_with_files(site: Site) -> None:
    first = next(site.frame.glob("*.png"))
    whole = {path: path.read_bytes() for path in (first, site.frame / "points.bin")}
    for path, content, said in (
        (first, b"none", ("broken_image", "it is no image that Pillow knows")),
        (site.frame / "points.bin", b"123", ("broken_points", "no whole number of points with 5 columns")),
        (site.frame / "points.bin", b"", ("broken_points", "it is empty")),
        (site.frame / "points.bin", np.full(5, np.nan, "<f4").tobytes(), ("broken_points", "not finite")),
    ):
        path.write_bytes(content)
        (found,) = site.kinds().items()
        assert found[0] == said[0] and said[1] in found[1]
        path.write_bytes(whole[path])
    from PIL import Image

    Image.new("RGB", (10, 10)).save(first)
    assert "the cameras' pictures differ in size: " in site.kinds()["size_differs"]


def test_what_is_wrong_with_frames(site: Site) -> None:
    site.change(lambda told: told["instances"][0].update(velocity=[float("nan"), 1.0]))
    assert site.kinds() == {"unknown_velocity": f"train/a/frame.json: tiny-0: {_first(site)} (instance 0)"}
    site.change(lambda told: told["instances"][0].update(velocity=[float("inf"), 1.0]))
    assert "is not finite" in site.kinds()["not_finite"]
    (site.frame / "frame.json").write_text("{")
    assert site.kinds()["malformed"].startswith("train/a/frame.json: a field is absent")
    (site.frame / "frame.json").unlink()
    assert site.kinds() == {"unreadable_file": "train: no frame.json lies there"}


def _first(site: Site) -> str:
    return str(json.loads((site.frame / "frame.json").read_text())["instances"][0]["name"])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"published": {"annotations": {"train": 3}}}, "`images` .their number by split. is the count"),
        ({"depth": {"folder": "depth"}}, "frames have no depth maps"),
        ({"splits": {"train": {"folder": "/x"}}}, "must be a path below"),
        ({"boxes": "lwh"}, "boxes: there is no such field"),
    ],
)
def test_definitions_that_cannot_be(site: Site, fields: dict[str, Any], said: str) -> None:
    site.define(**fields)
    with pytest.raises(RecipeError, match=said):
        load_definition(site.home / "own.yaml")


def _places(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """Every place in an entry, the first of a list standing for the others."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _places(inner, *path, key)


def test_a_value_of_any_wrong_kind_is_a_problem_and_no_crash(site: Site) -> None:
    """What is accepted can be read; what cannot is reported."""
    entry = json.loads((site.frame / "frame.json").read_text())
    entry["cameras"] = {"CAM_FRONT": entry["cameras"]["FRONT"]}
    entry["lidar"]["sweeps"] = [{"file": "points.bin", "to_lidar": np.eye(4).tolist(), "time": 0.1}]
    files = ImageFiles(site.frame, None)
    accepted = refused = 0
    for path in [place for place in _places(entry) if place]:
        for wrong in (None, "x", -1, float("nan"), [], {}, [[1]], "\0", True):
            ledger = Ledger()
            damaged = json.loads(json.dumps(entry))
            inner = damaged
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = wrong
            check = FrameCheck(site.frame, files, ledger, NUSCENES_CLASSES)
            kept = check.accept(Candidate(file="frame.json", line=None, entry=damaged))
            if kept is None:
                refused += 1
                assert ledger.problems, (path, wrong)
                continue
            accepted += 1
            frame_of(json.loads(kept.line), site.frame, NUSCENES_CLASSES, f"{path} {wrong}")
    assert refused > 200 and accepted > 20
