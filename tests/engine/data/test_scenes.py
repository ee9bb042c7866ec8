"""Generated scenes: the same bits everywhere, honest boxes, variety within the options."""

from __future__ import annotations

import hashlib
import json
import math

import numpy as np
import pytest

from detui.engine.configuration import Configuration
from detui.engine.data import load_definition, open_dataset, prepare
from detui.engine.data.masks import area_of, run_lengths
from detui.engine.data.png import encode_png
from detui.engine.data.scene_draw import VISIBLE_PERCENT, draw_scene
from detui.engine.data.scene_options import SceneOptions
from detui.engine.data.scene_shapes import CLUTTER, DIRECTIONS, OBJECTS, TEXTURES, cosine, local_frame, sine
from detui.engine.errors import RecipeError

GOLDEN = "7e94d665096ef2db96514ecd066d8d04d2761b9bb730c3ccb15ef4531bd8be2e"
ALL = SceneOptions(size=128, classes=list(OBJECTS), objects=[1, 9], seed=7, turn=32)


def scene_hash() -> str:
    """Of everything about six scenes that reach every shape, texture and size."""
    digest = hashlib.sha256()
    for index in range(6):
        scene = draw_scene(ALL, "train", index)
        digest.update(encode_png(scene.image) + encode_png(scene.depth))
        digest.update(json.dumps([[o.category, o.box, run_lengths(o.mask)] for o in scene.objects]).encode())
    return digest.hexdigest()


def test_the_bits_are_pinned():
    """If this fails and the change of pixels is meant, raise RENDERER and put the new hash here."""
    assert scene_hash() == GOLDEN


def test_seed_split_and_index_each_matter():
    first = draw_scene(ALL, "train", 0).image
    for other in (
        draw_scene(ALL, "train", 1),
        draw_scene(ALL, "val", 0),
        draw_scene(ALL.model_copy(update={"seed": 8}), "train", 0),
    ):
        assert (other.image != first).any()
    assert (draw_scene(ALL, "train", 0).image == first).all()


def test_the_table_of_directions_is_right():
    for k in range(-DIRECTIONS, 2 * DIRECTIONS):
        angle = 2 * math.pi * k / DIRECTIONS
        assert cosine(k) == round(4096 * math.cos(angle))
        assert sine(k) == round(4096 * math.sin(angle))


@pytest.mark.parametrize("index", range(8))
def test_boxes_masks_and_depth_agree(index):
    scene = draw_scene(SceneOptions(size=160, objects=[4, 8], noise=0), "train", index)
    taken = np.zeros((160, 160), bool)
    nearest = 0
    for thing in scene.objects:
        x, y, w, h = thing.box
        rows, columns = np.nonzero(thing.mask)
        assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (x, y, x + w, y + h)
        assert not (taken & thing.mask).any()
        taken |= thing.mask
        (depth,) = set(scene.depth[thing.mask].tolist())
        assert 25 <= nearest <= depth <= 150 or nearest == 0
        nearest = depth
    assert scene.depth[~taken].max() > 150


@pytest.mark.parametrize("name", list(OBJECTS))
def test_an_object_is_visible_to_a_fair_part(name):
    """However crowded the scene: no object of the medium bin shows less than 40 % of that bin's least area."""
    sizes = {"small": 0.0, "medium": 1.0, "large": 0.0}
    options = SceneOptions(size=160, classes=[name], objects=[8, 8], clutter=8, sizes=sizes)
    smallest = min(o.mask.sum() for i in range(4) for o in draw_scene(options, "x", i).objects)
    # The bin begins at 36²; an eighth is lost to rounding of thin shapes at most.
    assert smallest >= 36 * 36 * VISIBLE_PERCENT / 100 * 7 / 8


@pytest.mark.parametrize(("mix", "low", "high"), [("small", 0, 32**2), ("medium", 32**2, 96**2), ("large", 96**2, 1e9)])
def test_sizes_follow_the_mix(mix, low, high):
    sizes = {"small": 0.0, "medium": 0.0, "large": 0.0, mix: 1.0}
    options = SceneOptions(size=320, objects=[1, 1], sizes=sizes, clutter=0, classes=list(OBJECTS))
    areas = [o.mask.sum() for i in range(20) for o in draw_scene(options, "train", i).objects]
    assert len(areas) == 20
    # The border cuts some; the others stay in their bin.
    assert sum(low <= area <= high for area in areas) >= (20 if mix == "small" else 14)


def test_what_does_not_fit_is_drawn_smaller():
    options = SceneOptions(size=64, objects=[3, 3], sizes={"small": 0.0, "medium": 0.0, "large": 1.0})
    assert all(o.mask.sum() < 32**2 for i in range(5) for o in draw_scene(options, "train", i).objects)


def test_an_empty_scene_is_possible():
    assert draw_scene(SceneOptions(size=64, objects=[0, 0]), "train", 0).objects == ()


def test_every_shape_and_texture_differs():
    u, v, _ = local_frame((200, 200), (90, 90), 3)
    shapes = [shape for shape, _, _ in OBJECTS.values()] + list(CLUTTER)
    masks = {shape(u, v).tobytes() for shape in shapes}
    assert len(masks) == len(shapes)
    from detui.engine.data.scene_shapes import texture

    grain = np.arange(u.size).reshape(u.shape) % 257
    assert len({texture(kind, 300, u, v, grain).tobytes() for kind in range(TEXTURES)}) == TEXTURES


def test_png_is_read_back_by_pillow(tmp_path):
    from PIL import Image

    rng = np.random.RandomState(0)
    for shape in ((5, 7, 3), (300, 200, 3), (9, 4)):
        pixels = rng.randint(0, 256, shape).astype(np.uint8)
        path = tmp_path / "x.png"
        path.write_bytes(encode_png(pixels))
        with Image.open(path) as image:
            image.load()
            assert (np.asarray(image) == pixels).all()


def test_run_lengths_agree_with_the_reference():
    reference = pytest.importorskip("pycocotools.mask")
    rng = np.random.RandomState(1)
    masks = [rng.rand(7, 5) < p for p in (0.0, 0.3, 0.7, 1.0)] + [np.eye(4, dtype=bool)]
    for mask in masks:
        runs = run_lengths(mask)
        packed = reference.frPyObjects(runs, *runs["size"])
        assert (reference.decode(packed).astype(bool) == mask).all()
        assert area_of(runs) == mask.sum()
        assert area_of({"size": runs["size"], "counts": packed["counts"].decode()}) == mask.sum()


def test_files_are_drawn_once_and_only_as_many_as_wanted(tmp_path):
    definition = load_definition("scenes")
    configuration = Configuration.load(environ={"HOME": str(tmp_path)})
    options = {"size": 64, "masks": True, "depth": True}

    def open_it():
        limits = {"train": 3, "val": 2}
        return open_dataset(
            definition, configuration, options=options, splits=("train", "val"), limits=limits, cache=tmp_path / "c"
        )

    dataset = open_it()
    files = sorted(p for p in dataset.root.rglob("*") if p.is_file())
    assert len(files) == 2 * (3 + 2) + 2
    times = [p.stat().st_mtime_ns for p in files]
    again = open_it()
    assert [p.stat().st_mtime_ns for p in files] == times
    assert again.splits == dataset.splits
    assert dataset.summary == ()
    for split in dataset.splits.values():
        for annotation in split.annotations:
            assert annotation.area == area_of(annotation.segmentation)
        assert all(image.depth_file for image in split.images)


def test_prepared_masks_are_what_the_reference_reads(tmp_path):
    """Uncompressed run lengths of every object, of its extent and its area."""
    reference = pytest.importorskip("pycocotools.coco")
    configuration = Configuration.load(environ={"HOME": str(tmp_path)})
    selection = {"name": "scenes", "options": {"size": 64, "masks": True}, "train": {"images": 2}, "val": {"images": 3}}
    prepared = prepare(selection, configuration, tmp_path / "c", yolo=False)
    assert prepared.info["masks"] is True
    known = reference.COCO(str(prepared.path / "val.json"))
    assert len(known.anns) >= 6
    for annotation in known.anns.values():
        assert annotation["segmentation"]["size"] == [64, 64]
        rows, columns = np.nonzero(known.annToMask(annotation))
        left, top = columns.min(), rows.min()
        assert annotation["bbox"] == [left, top, columns.max() + 1 - left, rows.max() + 1 - top]
        assert annotation["area"] == len(rows)
    plain = prepare({**selection, "options": {"size": 64}}, configuration, tmp_path / "c", yolo=False)
    assert "masks" not in plain.info


def test_more_scenes_than_defined(tmp_path):
    configuration = Configuration.load(environ={"HOME": str(tmp_path)})
    with pytest.raises(RecipeError, match="has 400 scenes, and 500 are asked for"):
        open_dataset(load_definition("scenes"), configuration, limits={"train": 500}, cache=tmp_path)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"sizes": {"smal": 1}}, r"data\.options\.sizes\.smal: .*no such field"),
        ({"size": "160"}, "expected .*integer"),
        ({"objects": [5, 2]}, "the least number is above the largest"),
        ({"classes": ["disc", "disc"]}, "a shape stands there twice"),
        ({"classes": ["disk"]}, "disk"),
        ({"sizes": {"small": 0.0, "medium": 0.0, "large": 0.0}}, "at least one share"),
    ],
)
def test_bad_options(options, text):
    with pytest.raises(RecipeError, match=text):
        load_definition("scenes").with_options(options)


def test_options_merge_with_the_definition():
    layout = load_definition("scenes").with_options({"sizes": {"large": 0.5}, "seed": 3}).layout
    assert layout.options.seed == 3
    assert (layout.options.sizes.small, layout.options.sizes.large) == (0.1, 0.5)


def test_other_data_has_no_options():
    with pytest.raises(RecipeError, match="only generated data"):
        load_definition("bccd").with_options({"size": 3})
