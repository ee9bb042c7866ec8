"""Depth maps as part of a data set: where they lie, what the network sees, and everything that can be wrong."""

from __future__ import annotations

import json
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detui.engine.configuration import Configuration
from detui.engine.data import load_definition, open_dataset, prepare, read_depth
from detui.engine.data.depth import level
from detui.engine.data.depth_layout import DepthLayout
from detui.engine.errors import DataError, RecipeError

UINT8 = {"encoding": "uint8"}
METRES = {"encoding": "metres_x256", "far": 10.0}


def ramp(height: int = 80, width: int = 100, high: int = 255) -> np.ndarray:
    values = np.linspace(1, high, height * width).reshape(height, width)
    return values.astype(np.uint8 if high < 256 else np.uint16)


def write_map(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, format="PNG")
    return path


def with_maps(site, depth: dict, **fields) -> Path:
    """A YOLO site whose two images have sound maps; gives the map of the training image."""
    site.yolo("1 0.5 0.5 0.2 0.25\n", depth=depth, **fields)
    high = 255 if depth["encoding"] == "uint8" else 256 * 9
    paths = [write_map(site.root / f"depth/{split}.png", ramp(high=high)) for split in ("train/a", "val/b")]
    return paths[0]


@pytest.mark.parametrize(
    ("fields", "image", "file", "base"),
    [
        ({}, "images/train/a.jpg", "depth/train/a.png", "depth"),
        ({}, "set-train/images/a.b.jpg", "set-train/depth/a.b.png", "set-train/depth"),
        ({}, "images/x/images/a.png", "images/x/depth/a.png", "images/x/depth"),
        ({}, "train2017/a.jpg", "depth/train2017/a.png", "depth"),
        ({}, "a.png", "depth/a.png", "depth"),
        ({"images": "JPEGImages"}, "JPEGImages/a.jpg", "depth/a.png", "depth"),
        ({"folder": "made/depth"}, "images/a.jpg", "made/depth/a.png", "made/depth"),
        ({}, "/far/images/a.png", "/far/depth/a.png", "/far/depth"),
        ({}, "/far/away/a.png", "depth/far/away/a.png", "depth"),
    ],
)
def test_where_the_map_of_an_image_lies(fields, image, file, base):
    place = DepthLayout(**fields).place(image)
    assert (place.file, place.base) == (file, base)


@pytest.mark.parametrize(
    ("depth", "text"),
    [
        ({"encoding": "uint8", "far": 10.0}, "far is for metres_x256"),
        ({"encoding": "uint16"}, "depth.encoding"),
        ({"encoding": "metres_x256", "far": 0.0}, "depth.far"),
        ({"folder": "../depth"}, "below the data set's"),
        ({"folder": "."}, "below the data set's"),
        ({"images": "a/b"}, "the name of one folder"),
        ({"folder": "images"}, "an image would be its own map"),
        ({"fold": "depth"}, "there is no such field"),
    ],
)
def test_a_definition_that_cannot_be(make_site, depth, text):
    site = make_site()
    site.yolo("", depth=depth)
    with pytest.raises(RecipeError, match=text):
        load_definition(site.definition)


def test_scenes_take_no_layout(make_site):
    site = make_site()
    site.define(format="scenes", splits={"train": {"images": 2}}, depth={})
    with pytest.raises(RecipeError, match="scenes draw their own depth maps"):
        load_definition(site.definition)


def test_what_a_network_sees_of_8_bits(tmp_path):
    values = ramp()
    seen = read_depth(write_map(tmp_path / "a.png", values), "uint8", None)
    assert seen.dtype == np.uint8
    assert (seen == values).all()
    assert seen.flags["C_CONTIGUOUS"]


def test_what_a_network_sees_of_metres(tmp_path):
    metres = np.array([[0.0, 2.5, 5.0], [10.0, 10.1, 255.9]])
    path = write_map(tmp_path / "a.png", np.rint(metres * 256).astype(np.uint16))
    seen = read_depth(path, "metres_x256", 10.0)
    assert seen.dtype == np.uint8
    assert seen.tolist() == [[0, 64, 128], [255, 255, 255]]
    assert read_depth(path, "metres_x256", 80.0).tolist() == [[0, 8, 16], [32, 32, 255]]
    values = np.arange(65536)
    path = write_map(tmp_path / "all.png", values.astype(np.uint16).reshape(256, 256))
    for far in (0.3, 10.0, 80.0, 256.0):
        assert read_depth(path, "metres_x256", far).ravel().tolist() == [level(value, far) for value in values.tolist()]


@pytest.mark.parametrize(
    ("values", "encoding", "text"),
    [
        (ramp(), "metres_x256", "it is 8-bit grey, and 16-bit grey was expected"),
        (ramp(high=2000), "uint8", "it is 16-bit grey, and 8-bit grey was expected"),
        (np.zeros((8, 9, 3), np.uint8), "uint8", r"it is colour \(RGB\)"),
    ],
)
def test_reading_another_encoding_is_refused(tmp_path, values, encoding, text):
    path = write_map(tmp_path / "a.png", values)
    with pytest.raises(DataError, match=text) as caught:
        read_depth(path, encoding, 80.0)
    assert caught.value.where == str(path)


def test_reading_what_is_no_map(tmp_path):
    for name, content in {"a.png": b"", "b.png": b"text", "c.png": bomb(60000, 60000)}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match="cannot be used"):
            read_depth(tmp_path / name, "uint8", None)
    whole = write_map(tmp_path / "d.png", ramp())
    whole.write_bytes(whole.read_bytes()[:-40])
    with pytest.raises(DataError, match="damaged"):
        read_depth(whole, "uint8", None)
    for name in ("absent.png", ".", "a.png/b.png"):
        with pytest.raises(DataError, match="cannot be read"):
            read_depth(tmp_path / name, "uint8", None)
    with pytest.raises(DataError, match="needs the metres"):
        read_depth(write_map(tmp_path / "e.png", ramp(high=2000)), "metres_x256", None)


def bomb(width: int, height: int, bits: int = 8) -> bytes:
    """A small PNG that claims a huge size and keeps the claim: rows of zeros, which compress a thousandfold."""
    rows = zlib.compress(b"\0" * min((width * bits // 8 + 1) * height, 1 << 24), 9)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b"")]
    body = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def symlink_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere.png")


BROKEN = [
    (lambda p: p.unlink(), "missing_depth", r"there is no such file for images/train/a\.png"),
    (lambda p: (p.unlink(), p.mkdir()), "missing_depth", "there is no such file"),
    (nowhere, "missing_depth", "there is no such file"),
    (symlink_to_itself, "broken_depth", "Too many levels of symbolic links"),
    (lambda p: (p.unlink(), os.mkfifo(p)), "missing_depth", "there is no such file"),
    (lambda p: p.write_bytes(b""), "broken_depth", "no image that Pillow knows"),
    (lambda p: p.write_text("no map\n"), "broken_depth", "no image that Pillow knows"),
    (lambda p: p.write_bytes(p.read_bytes()[:60]), "broken_depth", "damaged"),
    (lambda p: p.write_bytes(p.read_bytes()[:-30]), "broken_depth", "damaged"),
    (lambda p: p.write_bytes(bomb(60000, 60000)), "broken_depth", "impossible size"),
    (lambda p: p.write_bytes(bomb(12000, 12000)), "depth_size", "it is 12000×12000, and its image is 100×80"),
    (lambda p: write_map(p, ramp(100, 80)), "depth_size", "it is 80×100, and its image is 100×80"),
    (lambda p: write_map(p, ramp(high=4000)), "depth_mode", "it is 16-bit grey, and the encoding uint8 is 8-bit grey"),
    (lambda p: write_map(p, np.zeros((80, 100, 3), np.uint8)), "depth_mode", r"it is colour \(RGB\)"),
    (lambda p: write_map(p, np.zeros((80, 100, 4), np.uint8)), "depth_mode", r"it is colour \(RGBA\)"),
    (lambda p: write_map(p, np.zeros((80, 100), bool)), "depth_mode", "black and white"),
    (
        lambda p: Image.fromarray(np.full((80, 100), np.nan, np.float32)).save(p, format="TIFF"),
        "depth_mode",
        "floating point",
    ),
    (lambda p: Image.fromarray(ramp()).convert("P").save(p), "depth_mode", "palette"),
    (lambda p: write_map(p, np.full((80, 100), 7, np.uint8)), "depth_constant", "every pixel is 7"),
    (lambda p: write_map(p, np.zeros((80, 100), np.uint8)), "depth_empty", "nothing but 0"),
]


@pytest.mark.parametrize(("damage", "kind", "reason"), BROKEN)
def test_what_is_wrong_with_a_map(site, damage, kind, reason):
    damage(with_maps(site, UINT8))
    with pytest.raises(DataError, match=rf"depth/train/a\.png: .*{reason}.* \[{kind}\]"):
        site.open(depth=True)
    assert site.kinds(depth=True) == {kind: "error"}
    assert site.kinds() == {}, "without depth, nothing about it is read"
    with_maps_left_out = {
        "format": "yolo",
        "classes": ["cat", "dog"],
        "depth": UINT8,
        "on_problem": {kind: "leave_out"},
    }
    splits = {name: {"images": f"images/{name}"} for name in ("train", "val")}
    site.define(**with_maps_left_out, splits=splits)
    dataset = site.open(depth=True)
    assert [len(split.images) for split in dataset.splits.values()] == [0, 1]


@pytest.mark.parametrize(
    ("values", "kind", "reason"),
    [
        (ramp(), "depth_mode", "it is 8-bit grey, and the encoding metres_x256 is 16-bit grey"),
        (np.zeros((80, 100), np.uint16), "depth_empty", "nothing but 0"),
        (np.full((80, 100), 65535, np.uint16), "depth_empty", "what infinity becomes"),
        (np.full((80, 100), 300, np.uint16), "depth_constant", "every pixel is 300"),
        (
            ramp(high=4000) + np.uint16(5000),
            "depth_constant",
            "from 19.54 to 35.16 m, .* sees 255 alone, far being 10 m",
        ),
    ],
)
def test_what_is_wrong_with_metres(make_site, values, kind, reason):
    site = make_site()
    write_map(with_maps(site, METRES), values)
    with pytest.raises(DataError, match=rf"{reason}.* \[{kind}\]"):
        site.open(depth=True)


def test_a_constant_map_can_be_kept(make_site):
    site = make_site()
    path = with_maps(site, UINT8, on_problem={"depth_constant": "keep"})
    write_map(path, np.full((80, 100), 7, np.uint8))
    dataset = site.open(depth=True)
    assert [len(split.images) for split in dataset.splits.values()] == [1, 1]
    assert [(row.kind, row.action) for row in dataset.summary] == [("depth_constant", "keep")]


def test_two_images_cannot_share_a_map(make_site):
    site = make_site()
    with_maps(site, UINT8)
    site.image("images/train/a.jpg")
    with pytest.raises(DataError, match=r"the map of images/train/a\.jpg and of images/train/a\.png \[depth_shared\]"):
        site.open(depth=True)


def test_a_map_that_is_absent_names_the_command_that_makes_it(make_site):
    site = make_site()
    site.yolo("", depth=UINT8)
    with pytest.raises(DataError) as caught:
        site.open(depth=True)
    assert f"detui data depth {site.definition} --model DIR" in str(caught.value.hint)


def test_a_map_that_coco_names_is_where_it_says(make_site):
    site = make_site()
    entry = {"id": 1, "file_name": "a.png", "width": 100, "height": 80, "depth_file": "maps/of-a.png"}
    site.coco([], images=[entry], depth=UINT8)
    write_map(site.root / "train/maps/of-a.png", ramp())
    write_map(site.root / "depth/val/b.png", ramp())
    dataset = site.open(depth=True)
    found = [image.depth_file for split in dataset.splits.values() for image in split.images]
    assert found == ["train/maps/of-a.png", "depth/val/b.png"]
    assert [image.depth_file for image in site.open().splits["train"].images] == [None]


def test_voc_has_depth_too(make_site):
    site = make_site()
    site.voc("", depth={"images": "JPEGImages", **METRES})
    for stem in ("a", "b"):
        write_map(site.root / f"depth/{stem}.png", ramp(high=2000))
    assert site.kinds(depth=True) == {}


def test_a_map_is_decoded_once(make_site, monkeypatch):
    monkeypatch.setattr("detui.engine.data.imagefiles.SETTLE_NS", -(10**12))
    site = make_site()
    path = with_maps(site, UINT8)
    write_map(path, np.zeros((80, 100), np.uint8))
    before = site.open(depth=True, tolerate=True)
    monkeypatch.setattr("detui.engine.data.imagefiles.look_at_depth", lambda *a: pytest.fail("decoded again"))
    after = site.open(depth=True, tolerate=True)
    assert (after.problems, after.hashes) == (before.problems, before.hashes)
    monkeypatch.undo()
    write_map(path, ramp())
    assert site.kinds(depth=True) == {}, "a changed file is looked at again"


def test_a_damaged_cache_is_no_matter(make_site, monkeypatch):
    monkeypatch.setattr("detui.engine.data.imagefiles.SETTLE_NS", -(10**12))
    site = make_site()
    with_maps(site, UINT8)
    before = site.open(depth=True)
    (cache,) = site.cache.rglob("*.json")
    content = json.loads(cache.read_text())
    assert set(content["depth"]) == {"depth/train/a.png", "depth/val/b.png"}
    for spoilt in (5, [], [5] * 10, None):
        cache.write_text(json.dumps({**content, "depth": {"depth/train/a.png": spoilt}}))
        assert site.open(depth=True).hashes == before.hashes
    cache.write_text(json.dumps({**content, "depth": 7}))
    assert site.open(depth=True).hashes == before.hashes


def test_preparing_with_depth(make_site):
    site = make_site()
    path = with_maps(site, METRES)
    without = site.prepare(yolo=True)
    assert "depth" not in without.info
    assert not (without.path / "yolo/depth").exists()
    prepared = site.prepare(yolo=True, depth=True)
    assert prepared.info["depth"] == {"encoding": "metres_x256", "far": 10.0, "note": None}
    assert json.loads((prepared.path / "dataset.json").read_text())["depth"] == prepared.info["depth"]
    (image,) = json.loads((prepared.path / "train.json").read_text())["images"]
    assert image["depth_file"] == "depth/train/a.png"
    link = prepared.path / f"yolo/depth/train/{image['id']:012d}.png"
    assert link.is_symlink()
    assert link.resolve() == path.resolve()
    assert (prepared.path / f"yolo/images/train/{image['id']:012d}.png").exists()
    assert site.prepare(yolo=True).info == without.info


def test_the_fingerprint_covers_the_maps_and_what_is_seen_of_them(make_site):
    site = make_site()
    path = with_maps(site, METRES)
    without = site.prepare().info["fingerprint"]
    found = [without, site.prepare(depth=True).info["fingerprint"]]
    with_maps(site, {"encoding": "metres_x256", "far": 20.0})
    found.append(site.prepare(depth=True).info["fingerprint"])
    write_map(path, ramp(high=2000))
    found.append(site.prepare(depth=True).info["fingerprint"])
    assert len(set(found)) == 4
    assert site.prepare().info["fingerprint"] == without


def test_the_fingerprint_without_depth_is_that_of_before(tmp_path):
    """Data that was fingerprinted before there was depth keeps its number."""
    selection = {"name": "scenes", "train": {"split": "train", "images": 2}, "val": {"split": "val", "images": 1}}
    info = prepare(selection, Configuration.load(environ={"HOME": str(tmp_path)}), tmp_path / "c", yolo=False).info
    assert info["fingerprint"] == BEFORE


BEFORE = "6e89c86bcb06fcf812474a603dea902aead1205c8cd67488ac99208cb28d6414"


def test_data_without_depth_says_so(make_site):
    site = make_site()
    site.yolo("")
    with pytest.raises(RecipeError, match="its definition does not say where they lie") as caught:
        site.prepare(depth=True)
    assert "depth: {folder: depth" in str(caught.value.hint)


def test_scenes_draw_their_own(tmp_path):
    configuration = Configuration.load(environ={"HOME": str(tmp_path)})
    selection = {
        "name": "scenes",
        "train": {"split": "train", "images": 2},
        "val": {"split": "val", "images": 1},
        "options": {"size": 64},
        "depth": True,
    }
    prepared = prepare(selection, configuration, tmp_path / "cache", yolo=True)
    assert prepared.info["depth"]["encoding"] == "uint8"
    assert prepared.info["depth"]["far"] is None
    assert "metres × 25" in prepared.info["depth"]["note"]
    (path,) = (prepared.path / "yolo/depth/val").iterdir()
    assert path.name == f"{json.loads((prepared.path / 'val.json').read_text())['images'][0]['id']:012d}.png"
    seen = read_depth(path, "uint8", None)
    assert seen.shape == (64, 64)
    assert 25 <= seen.min() < seen.max() <= 250


def test_maps_are_taken_where_they_are(make_site):
    """With `depth=None`, as `detui data check` asks."""
    site = make_site()
    site.yolo("", depth=UINT8)
    assert site.open(depth=None).depth is None
    site.write("depth/depth.json", "{}")
    assert site.open(depth=None).depth is None
    with_maps(site, UINT8)
    found = site.open(depth=None).depth
    assert found is not None
    assert found.encoding == "uint8"
    assert site.open(depth=False).depth is None
    definition = load_definition("scenes")
    drawn = open_dataset(
        definition, site.configuration, splits=("val",), limits={"val": 1}, cache=site.cache, depth=None
    )
    assert drawn.depth is None
