"""nuScenes as infos: both forms, pickled and as JSON, give the same frames; what is wrong with them is named."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_frames import tiny_frame

from detui.engine.configuration import Configuration
from detui.engine.data import load_definition, prepare
from detui.engine.data.frame import NUSCENES_CLASSES, Frame, inside
from detui.engine.data.frame_files import write_frame
from detui.engine.data.frame_sets import FrameSet, open_frame_set
from detui.engine.data.frames import Frames, open_frames
from detui.engine.errors import DataError, MissingError

CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")


def rigid(w: float, x: float, y: float, z: float, *place: float) -> tuple[list[float], list[float], np.ndarray]:
    """A unit quaternion, a translation, and the matrix of both, by Rodrigues' formula."""
    whole = np.array([w, x, y, z]) / np.linalg.norm([w, x, y, z])
    angle, axis = 2 * np.arccos(whole[0]), whole[1:] / max(np.linalg.norm(whole[1:]), 1e-12)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    matrix = np.eye(4)
    matrix[:3, :3] += np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    matrix[:3, 3] = place
    return whole.tolist(), list(place), matrix


def quaternion(turn: np.ndarray) -> list[float]:
    """(w, x, y, z) of a rotation: the eigenvector of the matrix that Bar-Itzhack builds from it."""
    (a, b, c), (d, e, f), (g, h, i) = turn
    k = np.array([[a - e - i, b + d, c + g, h - f], [b + d, e - a - i, f + h, c - g],
                  [c + g, f + h, i - a - e, d - b], [h - f, c - g, d - b, a + e + i]]) / 3  # fmt: skip
    x, y, z, w = np.linalg.eigh(k)[1][:, -1]
    return [float(v) for v in (w, x, y, z)]


class Site:
    """A small nuScenes: two frames whose car drives while cameras and LiDAR measure, and one earlier sweep each."""

    def __init__(self, home: Path) -> None:
        self.home, self.root = home, home / "data" / "nuscenes"
        self.frames = [tiny_frame(seed, boxes=4) for seed in (1, 2)]
        self.infos = [self._info(frame, number) for number, frame in enumerate(self.frames)]
        self.content: Any = {"infos": self.infos, "metadata": {"version": "v1.0-mini"}}
        self.options: dict[str, Any] = {}

    def _info(self, frame: Frame, number: int) -> dict[str, Any]:
        frame.labels[:2], frame.labels[2:] = 0, 8
        frame.boxes[:2, 3:5] = [1.5, 3.5]
        frame.boxes[3, 7:] = np.nan
        frame.num_lidar_points[:] = inside(frame.boxes, frame.points).sum(1)
        lidar2ego = rigid(0.7, 0.02, -0.01, -0.7, 0.94, 0.0, 1.84)
        now = rigid(0.3, 0.001, 0.002, 0.9, 400.0 + number, 1100.0, 0.5)
        names = {"lidar": f"a{number}__LIDAR_TOP__1.pcd.bin", "sweep": f"a{number}__LIDAR_TOP__0.pcd.bin"}
        cloud = np.c_[frame.points[:, :4], np.zeros(len(frame.points))].astype("<f4")
        for folder, name in (("samples", names["lidar"]), ("sweeps", names["sweep"])):
            path = self.root / folder / "LIDAR_TOP" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(cloud.tobytes())
        write_frame(frame, self.home / "pictures")
        cams = {}
        for index, name in enumerate(CAMERAS):
            then = rigid(0.3, 0.001, 0.002, 0.9 + 0.001 * index, 400.0 + number, 1100.1 + 0.02 * index, 0.5)
            to_camera = frame.lidar_to_camera[index]
            to_lidar = np.linalg.inv(to_camera)
            to_ego = np.linalg.inv(then[2]) @ now[2] @ lidar2ego[2] @ to_lidar
            cams[name] = {
                "data_path": f"./data/nuscenes/samples/{name}/a{number}__{name}.png",
                "sensor2ego_rotation": quaternion(to_ego[:3, :3]), "sensor2ego_translation": to_ego[:3, 3].tolist(),
                "ego2global_rotation": then[0], "ego2global_translation": then[1],
                "sensor2lidar_rotation": to_lidar[:3, :3], "sensor2lidar_translation": to_lidar[:3, 3],
                "cam_intrinsic": frame.intrinsics[index],
            }  # fmt: skip
            path = self.root / "samples" / name / f"a{number}__{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.home / "pictures" / f"{frame.cameras[index]}.png", path)
        boxes = frame.boxes.astype(np.float64)
        return {
            "token": frame.token, "timestamp": 1532402927647951 + 500_000 * number,
            "lidar_path": f"./data/nuscenes/samples/LIDAR_TOP/{names['lidar']}",
            "lidar2ego_rotation": lidar2ego[0], "lidar2ego_translation": lidar2ego[1],
            "ego2global_rotation": now[0], "ego2global_translation": now[1], "cams": cams,
            "sweeps": [{
                "data_path": f"./data/nuscenes/sweeps/LIDAR_TOP/{names['sweep']}",
                "timestamp": 1532402927597951 + 500_000 * number,
                "sensor2lidar_rotation": np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]),
                "sensor2lidar_translation": np.array([0.5, -2.0, 0.1]),
            }],
            "gt_boxes": boxes[:, [0, 1, 2, 4, 3, 5, 6]], "gt_velocity": boxes[:, 7:],
            "gt_names": np.array([NUSCENES_CLASSES[label] for label in frame.labels]),
            "num_lidar_pts": frame.num_lidar_points, "valid_flag": frame.num_lidar_points > 0,
        }  # fmt: skip

    def new(self) -> dict[str, Any]:
        """The same in the second form."""
        return {
            "metainfo": {"categories": {name: label for label, name in enumerate(reversed(NUSCENES_CLASSES))}},
            "data_list": [self._new_info(info) for info in self.infos],
        }

    def _new_info(self, info: dict[str, Any]) -> dict[str, Any]:
        frame = self.frames[self.infos.index(info)]
        sweep = info["sweeps"][0]
        to_lidar = np.eye(4)
        to_lidar[:3, :3], to_lidar[:3, 3] = sweep["sensor2lidar_rotation"], sweep["sensor2lidar_translation"]
        return {
            "token": info["token"], "timestamp": info["timestamp"] / 1e6,
            "images": {
                name: {"img_path": Path(info["cams"][name]["data_path"]).name, "cam2img": frame.intrinsics[i].tolist(),
                       "lidar2cam": frame.lidar_to_camera[i].tolist()} for i, name in enumerate(CAMERAS)
            },
            "lidar_points": {"num_pts_feats": 5, "lidar_path": Path(info["lidar_path"]).name},
            "lidar_sweeps": [{"timestamp": sweep["timestamp"] / 1e6, "lidar_points": {
                "lidar_path": sweep["data_path"], "lidar2sensor": np.linalg.inv(to_lidar).tolist()}}],
            "instances": [
                {"bbox_label_3d": 9 - int(label), "bbox_3d": box.tolist(), "velocity": speed.tolist(),
                 "num_lidar_pts": int(points)}
                for label, box, speed, points in zip(frame.labels, info["gt_boxes"], info["gt_velocity"],
                                                     info["num_lidar_pts"], strict=True)
            ],
        }  # fmt: skip

    def write(self, **fields: Any) -> Path:
        """The infos and the definition."""
        asked = {"val": {"infos": "infos.pkl"}, "train": {"infos": "infos.pkl"}}
        (self.root / "infos.pkl").write_bytes(pickle.dumps(self.content, 4))
        value = {"schema": 1, "name": "nuscenes", "title": "Small", "format": "nuscenes", "splits": asked, **fields}
        path = self.root / "small.yaml"
        path.write_text(json.dumps(value))
        return path

    def open(self, **how: Any) -> FrameSet:
        fields = how.pop("fields", {})
        configuration = Configuration.load(environ={"HOME": str(self.home)})
        how = {"cache": self.home / "cache", "splits": ("val",), **how}
        return open_frame_set(load_definition(self.write(**fields)), configuration, **how)

    def frames_of(self, **selection: Any) -> Frames:
        configuration = Configuration.load(environ={"HOME": str(self.home)})
        fields = selection.pop("fields", {})
        wanted = {"name": str(self.write(**fields)), "train": {"split": "val"}, **selection}
        prepared = prepare(wanted, configuration, self.home / "cache", yolo=False)
        return open_frames({**prepared.info, "prepared": str(prepared.path)}, "val")

    def kinds(self, **how: Any) -> dict[str, str]:
        """Kinds of problems with their first example."""
        return {row.kind: row.examples[0] for row in self.open(tolerate=True, **how).summary}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("a path"))


@pytest.fixture
def site(made: Site) -> Site:
    """The files are shared, the infos are not."""
    own = copy.copy(made)
    own.infos = copy.deepcopy(made.infos)
    own.content = {"infos": own.infos}
    return own


def expect_same(found: Frames, site: Site) -> None:
    assert len(found) == 2
    for read, frame in zip((found[0], found[1]), site.frames, strict=True):
        order = [CAMERAS.index(name) for name in read.cameras]
        assert read.token == frame.token
        np.testing.assert_allclose(read.boxes, frame.boxes, atol=1e-5)
        np.testing.assert_array_equal(read.labels, frame.labels)
        np.testing.assert_array_equal(read.images, frame.images[order])
        np.testing.assert_allclose(read.lidar_to_camera, frame.lidar_to_camera[order], atol=1e-6)
        np.testing.assert_allclose(read.intrinsics, frame.intrinsics[order])
        np.testing.assert_allclose(read.points, frame.points)


def test_infos_of_the_first_form_and_the_chain_of_poses(site: Site) -> None:
    """The calibration comes from LiDAR to car to world to car to camera, the car having moved in between."""
    expect_same(site.frames_of(), site)
    for info in site.infos:
        for camera in info["cams"].values():
            del camera["sensor2lidar_rotation"]
    expect_same(site.frames_of(), site)


def test_infos_of_the_second_form(site: Site) -> None:
    site.content = site.new()
    expect_same(site.frames_of(), site)


@pytest.mark.parametrize("form", ["first", "second"])
def test_json(site: Site, form: str) -> None:
    def plain(value: Any) -> Any:
        return value.tolist() if hasattr(value, "tolist") else str(value)

    content = {"infos": site.infos} if form == "first" else site.new()
    (site.root / "infos.json").write_text(json.dumps(content, default=plain))
    splits = {name: {"infos": "infos.json"} for name in ("train", "val")}
    expect_same(site.frames_of(fields={"splits": splits}), site)


@pytest.mark.parametrize("said", ["auto", "wlh"])
def test_boxes_of_releases_before_one(site: Site, said: str) -> None:
    for info in site.infos:
        x, y, z, length, width, height, yaw = info["gt_boxes"].T
        info["gt_boxes"] = np.stack([x, y, z, width, length, height, -yaw - np.pi / 2], 1)
    found = site.frames_of(fields={"boxes": said})
    for read, frame in zip((found[0], found[1]), site.frames, strict=True):
        np.testing.assert_allclose(read.boxes[:, :6], frame.boxes[:, :6], atol=1e-5)
        np.testing.assert_allclose(np.exp(1j * read.boxes[:, 6]), np.exp(1j * frame.boxes[:, 6]), atol=1e-5)


def test_vehicles_that_are_as_wide_as_long_are_not_guessed_at(site: Site) -> None:
    site.infos[0]["gt_boxes"][:, [3, 4]] = site.infos[0]["gt_boxes"][:, [4, 3]]
    assert "2 of 4 vehicles are longer than wide: say `boxes: lwh`" in site.kinds()["malformed"]
    assert "malformed" not in site.kinds(fields={"boxes": "lwh"})


def test_points_beside_their_boxes(site: Site) -> None:
    assert "points_elsewhere" not in site.kinds(decode=True)
    site.infos[1]["gt_boxes"][:, 2] += 2.5
    assert "tiny-2" in site.kinds(decode=True)["points_elsewhere"]
    assert "points_elsewhere" not in site.kinds()


@pytest.mark.parametrize("form", ["first", "second", "second, by the poses of the car"])
def test_earlier_sweeps(site: Site, form: str) -> None:
    if form != "first":
        site.content = site.new()
    if form.endswith("car"):
        now, mounted = rigid(0.3, 0.001, 0.002, 0.9, 400.0, 1100.0, 0.5)[2], rigid(0.7, 0.02, 0, -0.7, 0.9, 0, 1.8)[2]
        for info in site.content["data_list"]:
            points = info["lidar_sweeps"][0]["lidar_points"]
            to_lidar = np.linalg.inv(points.pop("lidar2sensor"))
            then = now @ mounted @ to_lidar @ np.linalg.inv(mounted)
            info["ego2global"], info["lidar_points"]["lidar2ego"] = now.tolist(), mounted.tolist()
            info["lidar_sweeps"][0]["ego2global"], points["lidar2ego"] = then.tolist(), mounted.tolist()
    assert len(site.frames_of()[0].points) == len(site.frames[0].points)
    read = site.frames_of(options={"sweeps": 3})[0]
    own = site.frames[0].points
    far = own[(abs(own[:, :2]) >= 1).any(1)]
    now, then = read.points[: len(own)], read.points[len(own) :]
    np.testing.assert_array_equal(now, own)
    np.testing.assert_allclose(then[:, 4], 0.05, atol=1e-4)
    np.testing.assert_allclose(then[:, :3], np.c_[0.5 - far[:, 1], -2 + far[:, 0], 0.1 + far[:, 2]], atol=1e-5)


def test_the_rest_of_a_definition(site: Site) -> None:
    fields = {"classes": ["pedestrian", "car"], "published": {"images": {"val": 3}}}
    found = site.open(fields=fields, tolerate=True)
    assert [one.labels for one in found.splits["val"].frames] == [(1, 1, 0, 0)] * 2
    assert [(c.what, c.published, c.found) for c in found.checksums] == [("images of val", 3, 2)]
    assert site.kinds(fields=fields)["published_count"] == "small.yaml: images of val: 3 are published, 2 were found"
    assert len(site.open(limits={"val": 1}).splits["val"].frames) == 1
    one = site.open(fields={"classes": ["car"]}).splits["val"].frames
    assert [frame.labels for frame in one] == [(0, 0)] * 2


def _break(what: str) -> Any:
    """Damages the first info's first camera, or the first info."""

    def camera(info: Any, **new: Any) -> None:
        info["cams"]["CAM_FRONT"].update(new)

    def swap(info: Any) -> None:
        cams = info["cams"]
        cams["CAM_FRONT"], cams["CAM_BACK"] = cams["CAM_BACK"], cams["CAM_FRONT"]

    return {
        "a camera that looks back": swap,
        "a turned pose": lambda info: camera(info, sensor2ego_translation=[0.0, 9.0, 0.0]),
        "another resolution": lambda info: camera(info, cam_intrinsic=np.diag([1266.0, 1266.0, 1.0])),
        "no camera": lambda info: info["cams"].pop("CAM_BACK_LEFT"),
        "a missing picture": lambda info: camera(info, data_path="samples/CAM_FRONT/none.png"),
        "a missing cloud": lambda info: info.update(lidar_path="samples/LIDAR_TOP/none.bin"),
        "a missing sweep": lambda info: info["sweeps"][0].update(data_path="sweeps/LIDAR_TOP/none.bin"),
        "a flat box": lambda info: info["gt_boxes"].__setitem__((0, 5), 0.0),
        "a box nowhere": lambda info: info["gt_boxes"].__setitem__((0, 0), np.nan),
        "an empty box": lambda info: info["num_lidar_pts"].__setitem__(0, 0),
        "a path upwards": lambda info: info.update(lidar_path="samples/../../../etc/passwd"),
    }[what]


@pytest.mark.parametrize(
    ("what", "kind", "said"),
    [
        ("a camera that looks back", "calibration", "CAM_FRONT: it looks"),
        ("a turned pose", "calibration", "disagree by"),
        ("another resolution", "calibration", "CAM_FRONT: it would see"),
        ("no camera", "malformed", "infos.pkl:infos[0]: a field is absent or of another kind: KeyError('CAM_BACK_LEFT"),
        ("a missing picture", "missing_image", "samples/CAM_FRONT/none.png: there is no such file, which infos.pkl"),
        ("a missing cloud", "missing_points", "samples/LIDAR_TOP/none.bin: there is no such file"),
        ("a missing sweep", "missing_sweep", "sweeps/LIDAR_TOP/none.bin: there is no such file"),
        ("a flat box", "zero_size", "tiny-1: car (instance 0) measures"),
        ("a box nowhere", "not_finite", "tiny-1: car (instance 0) is not finite"),
        ("an empty box", "empty_box", "infos.pkl:infos[0]: tiny-1: car (instance 0)"),
        ("a path upwards", "malformed", "is no file below the root"),
    ],
)
def test_what_is_wrong_is_named(site: Site, what: str, kind: str, said: str) -> None:
    assert set(site.kinds()) == {"unknown_velocity"}
    _break(what)(site.infos[0])
    found = site.kinds(options={"sweeps": 1})
    assert said in found[kind]
    frames = site.open(tolerate=True, fields={"on_problem": {}}).splits["val"].frames
    assert len(frames) == (2 if kind in ("missing_sweep", "zero_size", "not_finite", "empty_box") else 1)


def test_actions(site: Site) -> None:
    _break("a camera that looks back")(site.infos[0])
    with pytest.raises(DataError, match=r"(?s)CAM_FRONT: it looks.*on_problem: \{calibration: leave_out\}"):
        site.open()
    assert len(site.open(fields={"on_problem": {"calibration": "leave_out"}}).splits["val"].frames) == 1
    assert len(site.open(fields={"on_problem": {"calibration": "keep"}}).splits["val"].frames) == 2
    fields = {"on_problem": {"calibration": "keep", "unknown_velocity": "leave_out"}}
    assert [len(one.labels) for one in site.open(fields=fields).splits["val"].frames] == [3, 3]


def test_a_frame_twice(site: Site) -> None:
    site.infos[1]["token"] = site.infos[0]["token"]
    assert site.kinds()["duplicate_frame"] == "infos.pkl:infos[1]: tiny-1 is also infos.pkl:infos[0]"
    site.infos[1]["token"] = "tiny-2"
    configuration = Configuration.load(environ={"HOME": str(site.home)})
    with pytest.raises(DataError, match="the frame tiny-1 is in train and in val"):
        prepare({"name": str(site.write())}, configuration, site.home / "cache", yolo=False)


def test_a_changed_byte_changes_the_fingerprint(site: Site) -> None:
    from detui.engine.data.frame_sets import fingerprint_of

    def mark() -> str:
        return fingerprint_of(("car",), {"val": site.open().splits["val"].frames})

    before, path = mark(), site.root / "samples" / "LIDAR_TOP" / "a0__LIDAR_TOP__1.pcd.bin"
    assert mark() == before
    content = path.read_bytes()
    try:
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        assert mark() != before
    finally:
        path.write_bytes(content)
    site.infos[0]["gt_velocity"][0, 0] += 1
    assert mark() != before


def test_hostile_and_foreign_files(site: Site, tmp_path: Path) -> None:
    site.content = {"infos": [{"token": Path("/")}]}
    with pytest.raises(DataError, match=r"(?s)infos\.pkl.*refused: it asks for pathlib.*ask whoever made it for JSON"):
        site.open()
    site.content = {"annotations": []}
    with pytest.raises(DataError, match="neither `infos` nor `data_list`"):
        site.open()
    site.content = {"data_list": []}
    with pytest.raises(DataError, match="nobody knows what the labels mean"):
        site.open()
    site.content = {"infos": ["?", None, {}]}
    assert site.kinds()["malformed"].startswith("infos.pkl:infos[0]: a field is absent")


def test_absent_data_is_a_clear_problem(tmp_path: Path) -> None:
    configuration = Configuration.load(environ={"HOME": str(tmp_path), "DETUI_DATA": str(tmp_path)})
    with pytest.raises(MissingError, match=r"(?s)nuScenes\) is not on this host.*no nuscenes_infos_train\.pkl there"):
        open_frame_set(load_definition("nuscenes"), configuration)


def test_the_real_frame_as_a_folder(shared_data: Path, real_frame: Frame, tmp_path: Path) -> None:
    configuration = Configuration.load(environ={"HOME": str(tmp_path), "DETUI_DATA": str(shared_data)})
    wanted = {"name": "nuscenes_frame", "train": {"split": "all"}, "val": {"split": "all"}}
    info = prepare(wanted, configuration, tmp_path / "cache", yolo=False).info
    assert info["root"] == str(shared_data / "nuscenes_frame")
    assert info["splits"]["val"]["boxes"] == 68
    # The recipe itself names one split twice; the record says so.
    assert {row["kind"]: row["count"] for row in info["problems"]} == {
        "empty_box": 3, "unknown_velocity": 2, "in_two_splits": 1,
    }  # fmt: skip


def test_the_real_frame_through_its_pickle(shared_data: Path, real_frame: Frame, tmp_path: Path) -> None:
    """The infos of the second form say what frame.json says; its boxes hold its points."""
    from detui.engine.data.frame_files import frame_of

    root = shared_data / "nuscenes_frame"
    (infos,) = root.glob("*.pkl")
    value = {"schema": 1, "name": "one", "title": "One", "format": "nuscenes", "splits": {"val": {"infos": infos.name}}}
    (tmp_path / "one.yaml").write_text(json.dumps(value))
    (tmp_path / "config.yaml").write_text(f"data: {{one: {json.dumps(str(root))}}}")
    configuration = Configuration.load(environ={"HOME": str(tmp_path), "DETUI_CONFIG": str(tmp_path / "config.yaml")})
    found = open_frame_set(load_definition(tmp_path / "one.yaml"), configuration, cache=tmp_path, decode=True)
    assert {row.kind: row.count for row in found.summary} == {"empty_box": 3, "unknown_velocity": 2}
    (kept,) = found.splits["val"].frames
    told = json.loads(kept.line)
    assert (kept.token, kept.views, len(kept.labels)) == (real_frame.token, 6, 68)
    told["cameras"] = {"CAM_FRONT": told["cameras"]["CAM_FRONT"]}  # one picture is enough to decode again
    read = frame_of(told, root, NUSCENES_CLASSES, "here")
    np.testing.assert_array_equal(read.boxes, real_frame.boxes)
    np.testing.assert_array_equal(read.labels, real_frame.labels)
    np.testing.assert_array_equal(read.points, real_frame.points)
    np.testing.assert_array_equal(read.lidar_to_image()[0], real_frame.lidar_to_image()[0])
