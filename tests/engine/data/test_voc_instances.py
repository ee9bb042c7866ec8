"""PASCAL VOC's instance segmentation: indices, classes, void, the cross-check with the XML files, and every fault."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from detui.engine.configuration import Configuration
from detui.engine.data import load_definition, open_dataset, prepare
from detui.engine.data.masks import area_of
from detui.engine.errors import DataError
from detui.engine.run.files import read_json, write_json

SIZE = (12, 10)
CAT, DOG, VOID = 1, 2, 255


def mask_file(site: Any, name: str, indices: Any, mode: str = "P") -> None:
    picture = Image.fromarray(np.asarray(indices, np.uint8))
    if mode == "P":
        picture.putpalette([value for index in range(256) for value in (index, 255 - index, index // 2)])
    path = site.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    (picture if mode == "P" else picture.convert(mode)).save(path)


def the_object(name: str, corners: tuple[int, int, int, int], extra: str = "") -> str:
    tags = "".join(f"<{t}>{v}</{t}>" for t, v in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True))
    return f"<object><name>{name}</name>{extra}<bndbox>{tags}</bndbox></object>\n"


def pictures() -> tuple[Any, Any]:
    """A cat of 4×3 pixels at (2, 1), a dog that fills the two last columns, void around the cat's left."""
    objects = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    kinds = objects.copy()
    objects[1:4, 2:6], kinds[1:4, 2:6] = 1, CAT
    objects[:, 10:], kinds[:, 10:] = 7, DOG
    objects[1:4, 1], kinds[1:4, 1] = VOID, VOID
    return objects, kinds


CAT_BOX, DOG_BOX = (3, 2, 6, 4), (11, 1, 12, 10)
TWO = the_object("cat", CAT_BOX) + the_object("dog", DOG_BOX)


def voc(site: Any, objects: Any = None, kinds: Any = None, xml: str = TWO, **fields: Any) -> Any:
    """A folder with one image in train, which a test damages, and the same one sound in val."""
    for split, stem in (("train", "a"), ("val", "b")):
        usual = pictures()
        mine = stem == "a"
        mask_file(site, f"SegmentationObject/{stem}.png", objects if mine and objects is not None else usual[0])
        mask_file(site, f"SegmentationClass/{stem}.png", kinds if mine and kinds is not None else usual[1])
        site.image(f"JPEGImages/{stem}.jpg", SIZE)
        site.write(f"ImageSets/{split}.txt", f"{stem}\n")
        site.write(f"Annotations/{stem}.xml", f"<annotation>\n{xml if mine else TWO}</annotation>\n")
    splits = {name: {"list": f"ImageSets/{name}.txt"} for name in ("train", "val")}
    site.define(**{"format": "voc-instances", "classes": ["cat", "dog"], "splits": splits, **fields})
    return site


def test_objects_have_masks_extents_and_classes(site: Any) -> None:
    split = voc(site).open().splits["train"]
    cat, dog = split.annotations
    assert (cat.category_id, cat.box, cat.area) == (1, (2.0, 1.0, 4.0, 3.0), 12.0)
    assert (dog.category_id, dog.box, dog.area) == (2, (10.0, 0.0, 2.0, 10.0), 20.0)
    # Column by column from the left, zeros first; the dog's two whole columns are one run up to the end.
    assert cat.segmentation == {"size": [10, 12], "counts": [21, 3, 7, 3, 7, 3, 7, 3, 66]}
    assert dog.segmentation == {"size": [10, 12], "counts": [100, 20]}
    (void,) = split.void
    assert void.image_id == 1
    assert void.segmentation == {"size": [10, 12], "counts": [11, 3, 106]}


def test_an_object_in_the_first_pixel_starts_with_an_empty_run(make_site: Any) -> None:
    objects, kinds = pictures()
    objects[:] = kinds[:] = 1
    (one,) = voc(make_site(), objects, kinds).open().splits["train"].annotations
    assert one.segmentation["counts"] == [0, 120]
    assert one.box == (0.0, 0.0, 12.0, 10.0)


def test_masks_equal_the_reference(make_site: Any) -> None:
    reference = pytest.importorskip("pycocotools.mask")
    objects = np.random.default_rng(0).choice(np.array([0, 1, 2, 254, 255], np.uint8), (SIZE[1], SIZE[0]))
    split = voc(make_site(), objects, np.where(objects % 255 > 0, DOG, objects), xml="").open().splits["train"]
    for index, one in zip((1, 2, 254), split.annotations, strict=True):
        packed = reference.frPyObjects(one.segmentation, SIZE[1], SIZE[0])
        assert (reference.decode(packed) == (objects == index)).all()
        assert list(one.box) == reference.toBbox(packed).tolist()
        assert one.area == reference.area(packed) == area_of(one.segmentation)


def test_two_masks_of_one_extent_are_two_objects(make_site: Any) -> None:
    objects, kinds = np.zeros((2, 10, 12), np.uint8)
    objects[0:3, 0:3] = [[1, 2, 1], [2, 1, 2], [1, 2, 1]]
    objects[0, 0] = objects[2, 2] = 1
    objects[2, 0], objects[0, 2] = 2, 2
    objects[1, 0] = objects[0, 1] = 1
    objects[1, 2] = objects[2, 1] = 2
    kinds[objects > 0] = CAT
    found = voc(make_site(), objects, kinds, xml="").open().splits["train"].annotations
    assert [one.box for one in found] == [(0.0, 0.0, 3.0, 3.0)] * 2


def test_the_prepared_truth_has_masks_and_void(make_site: Any) -> None:
    prepared = voc(make_site()).prepare()
    truth = read_json(prepared.path / "train.json")
    assert truth["void"] == [{"image_id": 1, "segmentation": {"size": [10, 12], "counts": [11, 3, 106]}}]
    assert [one["segmentation"]["counts"] for one in truth["annotations"]][1] == [100, 20]
    assert prepared.info["masks"] is True and "metric" not in prepared.info


def test_a_folder_from_before_masks_were_told_stays_in_use(make_site: Any) -> None:
    site = voc(make_site())
    path = site.prepare().path
    said = read_json(path / "dataset.json")
    write_json(path / "dataset.json", {key: value for key, value in said.items() if key != "masks"})
    again = site.prepare()
    assert again.path == path and again.info["masks"] is True


@pytest.mark.parametrize("place", ["mask", "void"])
def test_the_fingerprint_depends_on_every_pixel(make_site: Any, place: str) -> None:
    first = voc(make_site("first")).prepare().info["fingerprint"]
    objects, kinds = pictures()
    objects[(2, 3) if place == "mask" else (5, 8)] = VOID  # a hole in the cat, or void elsewhere: boxes stay
    second = voc(make_site("second"), objects, kinds).prepare()
    assert second.info["fingerprint"] != first
    assert voc(make_site("third")).prepare().info["fingerprint"] == first


def test_difficult_can_be_ignored(make_site: Any) -> None:
    xml = the_object("dog", DOG_BOX, "<difficult>1</difficult>") + the_object("cat", CAT_BOX)
    kept = voc(make_site("kept"), xml=xml).open()
    assert [one.crowd for one in kept.splits["train"].annotations] == [False, False]
    ignored = voc(make_site("ignored"), xml=xml, difficult="ignore").open()
    assert [one.crowd for one in ignored.splits["train"].annotations] == [False, True]


def without(site: Any, name: str) -> None:
    (site.root / name).unlink()


def cut(site: Any) -> None:
    path = site.root / "SegmentationClass/a.png"
    path.write_bytes(path.read_bytes()[:60])


FAULTS = [
    (lambda s: mask_file(s, "SegmentationObject/a.png", pictures()[0], "RGB"), "mask_mode",
     r"SegmentationObject/a\.png: it is a PNG of mode RGB, and no palette PNG"),
    (lambda s: mask_file(s, "SegmentationClass/a.png", pictures()[1], "L"), "mask_mode", r"SegmentationClass/a\.png"),
    (lambda s: mask_file(s, "SegmentationObject/a.png", np.zeros((12, 10))), "mask_size",
     r"SegmentationObject/a\.png: it is 10×12, and JPEGImages/a\.jpg 12×10"),
    (lambda s: without(s, "SegmentationClass/a.png"), "missing_mask", r"SegmentationClass/a\.png"),
    (cut, "broken_mask", r"SegmentationClass/a\.png: the picture cannot be used"),
    (lambda s: without(s, "JPEGImages/a.jpg"), "missing_image", r"ImageSets/train\.txt:1"),
    (lambda s: without(s, "Annotations/a.xml"), "missing_annotation", r"ImageSets/train\.txt:1.*Annotations/a\.xml"),
    (lambda s: s.write("Annotations/a.xml", "<annotation>\n<obj"), "unreadable_file", r"Annotations/a\.xml:2"),
    (lambda s: s.write("ImageSets/train.txt", "a\na\n"), "duplicate_image", r"ImageSets/train\.txt:2"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "kind", "says"), FAULTS)
def test_faulty_files(make_site: Any, damage: Any, kind: str, says: str) -> None:
    site = voc(make_site())
    damage(site)
    with pytest.raises(DataError, match=rf"{says}.*\[{kind}\]"):
        site.open()


def test_a_mask_whose_class_nobody_says(make_site: Any) -> None:
    objects, kinds = pictures()
    kinds[objects == 7] = 0
    with pytest.raises(DataError, match=r"a\.png:object 7: none of its 20 pixels has a class.*\[mask_class\]"):
        voc(make_site(), objects, kinds).open()
    kinds[objects == 7] = 3
    with pytest.raises(DataError, match=r"object 7: its class has the number 3, and there are 2 \[unknown_class\]"):
        voc(make_site("two"), objects, kinds).open()


def test_most_pixels_decide_and_the_rest_is_told(make_site: Any) -> None:
    objects, kinds = pictures()
    kinds[0:4, 10] = CAT
    kinds[4:9, 10:] = VOID
    site = voc(make_site(), objects, kinds)
    dataset = site.open()
    assert dataset.splits["train"].annotations[1].category_id == DOG
    assert "object 7: 4 of its 20 pixels have another class than most" in str(dataset.problems[0])
    assert site.kinds() == {"mixed_class": "keep"}


@pytest.mark.parametrize(
    ("xml", "kind", "says"),
    [
        (
            the_object("cat", CAT_BOX) + the_object("cat", DOG_BOX),
            "xml_class",
            "pixels say dog, Annotations/a.xml:3 says",
        ),
        (the_object("cat", CAT_BOX), "mask_without_box", "a.xml has no box for this dog"),
        (TWO + the_object("cat", (8, 8, 9, 9)), "box_without_mask", "Annotations/a.xml:4: this cat has no mask"),
        (the_object("cat", (3, 2, 12, 10)) + the_object("dog", DOG_BOX), "box_elsewhere", "an IoU of 0.13"),
    ],
)
def test_boxes_that_say_something_else(make_site: Any, xml: str, kind: str, says: str) -> None:
    """The masks stay as they are, and a definition may refuse such an image."""
    dataset = voc(make_site(), xml=xml).open()
    assert [one.category_id for one in dataset.splits["train"].annotations] == [CAT, DOG]
    assert [problem.kind for problem in dataset.problems] == [kind]
    assert says in str(dataset.problems[0])
    with pytest.raises(DataError, match=rf"\[{kind}\]"):
        voc(make_site("strict"), xml=xml, on_problem={kind: "error"}).open()


def configured(home: Path, **places: Path) -> Configuration:
    """A configuration file that says where data lies."""
    file = home / ".config/detui/config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"data": {name: str(place) for name, place in places.items()}}), encoding="utf-8")
    return Configuration.load(environ={"HOME": str(home)})


@pytest.mark.parametrize("level", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_the_root_is_found_at_each_level(make_site: Any, level: str) -> None:
    site = make_site()
    voc(site)
    text = (site.root / "tiny.yaml").read_text().replace('"title"', '"folder": "VOCdevkit/VOC2012", "title"')
    deep = site.home / "deep"
    (deep / "VOCdevkit").mkdir(parents=True)
    site.root.rename(deep / "VOCdevkit/VOC2012")
    definition = site.home / "elsewhere.yaml"
    definition.write_text(text)
    configuration = configured(site.home, tiny=deep / level)
    assert open_dataset(load_definition(definition), configuration).root == deep / "VOCdevkit/VOC2012"


def test_the_eight_photographs(shared_data: Any, tmp_path: Any) -> None:
    """Real pictures in VOC's layout, under detui's own definition but for the number of images."""
    folder = shared_data / "voc2012_format"
    if not folder.is_dir():
        pytest.skip(f"needs the photographs at {folder}, which are absent")
    own = load_definition("voc2012")
    text = own.path.read_text(encoding="utf-8").partition("published:")[0]
    (tmp_path / "eight.yaml").write_text(text, encoding="utf-8")
    configuration = configured(tmp_path, voc2012=folder)
    selection = {"name": str(tmp_path / "eight.yaml")}
    prepared = prepare(selection, configuration, tmp_path / "cache", yolo=False)
    assert prepared.info["problems"] == []
    for role, objects in (("train", 15), ("val", 12)):
        truth = read_json(prepared.path / f"{role}.json")
        assert (len(truth["images"]), len(truth["annotations"]), len(truth["void"])) == (4, objects, 4)
        for one in truth["annotations"]:
            stem = next(i["file_name"] for i in truth["images"] if i["id"] == one["image_id"]).split("/")[1][:-4]
            indices = np.asarray(Image.open(folder / f"VOCdevkit/VOC2012/SegmentationObject/{stem}.png"))
            counts = [(indices == index).sum() for index in range(1, 255)]
            assert one["area"] in counts


def test_the_check_says_how_much_is_void(make_site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from detui.tui.commands.data import command

    site = voc(make_site())
    for name, value in site.environ.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(command, ["check", str(site.definition)])
    assert result.exit_code == 0, result.output
    assert "    void: 2.5 % of the pixels, in 1 images" in result.output


def test_a_contact_sheet_shows_outlines(make_site: Any) -> None:
    from detui.engine.data.sheet import OUTLINE, contact_sheet

    dataset = voc(make_site()).open()
    picture = Image.open(io.BytesIO(contact_sheet(dataset, "train").png)).convert("RGB")
    colour = [int(OUTLINE[at : at + 2], 16) for at in (1, 3, 5)]
    painted = (np.asarray(picture) == colour).all(axis=2).sum()
    # The cat's 4×3 pixels are 69×51 of the tile, the dog's 2×10 are 14×69; of the first the box covers the outline.
    assert 100 < painted < 1000
