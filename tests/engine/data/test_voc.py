"""PASCAL VOC: coordinates, the files' faults, and the real blood cells."""

from __future__ import annotations

import pytest

from detui.engine.configuration import Configuration
from detui.engine.data import load_definition, open_dataset, prepare
from detui.engine.data.voc import XmlError, parse_xml
from detui.engine.errors import DataError, MissingError


def an_object(*corners: int, name: str = "cat", extra: str = "") -> str:
    tags = "".join(f"<{t}>{v}</{t}>" for t, v in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True))
    return f"<object><name>{name}</name>{extra}<bndbox>{tags}</bndbox></object>\n"


def test_the_whole_image_is_the_whole_image(site):
    site.voc(an_object(1, 1, 100, 80, name="dog"))
    (annotation,) = site.open().splits["train"].annotations
    assert annotation.box == (0, 0, 100, 80)
    assert annotation.category_id == 2
    assert annotation.area == 8000


def test_coordinate_zero_passes_the_border(make_site):
    site = make_site()
    site.voc(an_object(0, 1, 10, 10))
    dataset = site.open()
    assert dataset.splits["train"].annotations[0].box == (0, 0, 10, 10)
    assert dataset.problems[0].kind == "beyond_border"


def test_image_ids_differ_between_splits(make_site):
    site = make_site()
    site.voc("")
    dataset = site.open()
    assert [image.id for split in dataset.splits.values() for image in split.images] == [1, 2]


def test_difficult_can_be_ignored(make_site):
    site = make_site()
    site.voc(an_object(1, 1, 9, 9, extra="<difficult>1</difficult>"), difficult="ignore")
    assert site.open().splits["train"].annotations[0].crowd


FAULTS = [
    ("<annotation>\n<size>", "unreadable_file", "Annotations/a.xml:2:"),
    ("", "unreadable_file", "Annotations/a.xml:1:"),
    ("<html></html>", "unreadable_file", "Annotations/a.xml:1:"),
    ("<annotation>\n</annotation>", "unreadable_file", "Annotations/a.xml:1:"),
    (
        "<annotation><size>\n<width>0</width><height>5</height></size></annotation>",
        "unreadable_file",
        "Annotations/a.xml:1:",
    ),
    ('<!DOCTYPE a [<!ENTITY b "c">]>\n<annotation/>', "unreadable_file", "Annotations/a.xml:1:"),
    (
        "<annotation><size><width>100</width><height>80</height></size>\n<object><name>cat</name></object></annotation>",
        "malformed",
        "Annotations/a.xml:2:",
    ),
    (
        "<annotation><size><width>100</width><height>80</height></size>\n<object><name>cat</name>\n<bndbox>\n"
        "<xmin>x</xmin></bndbox></object></annotation>",
        "malformed",
        "Annotations/a.xml:4:",
    ),
]


@pytest.mark.parametrize(("text", "kind", "place"), FAULTS)
def test_faulty_files(make_site, text, kind, place):
    site = make_site()
    site.voc("")
    site.write("Annotations/a.xml", text)
    with pytest.raises(DataError) as caught:
        site.open()
    assert place in caught.value.message
    assert f"[{kind}]" in caught.value.message


def test_a_class_that_is_not_there(make_site):
    site = make_site()
    site.voc("\n" + an_object(1, 1, 9, 9, name="cta"))
    with pytest.raises(DataError, match=r"Annotations/a\.xml:4: there is no class 'cta'; there are cat, dog"):
        site.open()
    site.voc("\n" + an_object(1, 1, 9, 9, name="cta"), on_problem={"unknown_class": "leave_out"})
    assert site.open().splits["train"].annotations == ()


def test_missing_files_are_named_with_the_line_of_the_list(make_site):
    site = make_site()
    site.voc("")
    site.write("ImageSets/train.txt", "a\nno_image\nno_xml\n\na\n")
    site.image("JPEGImages/no_xml.png")
    with pytest.raises(DataError) as caught:
        site.open()
    text = str(caught.value)
    assert "ImageSets/train.txt:2: there is no image JPEGImages/no_image.*" in text
    assert "ImageSets/train.txt:3: there is no file Annotations/no_xml.xml" in text
    assert "ImageSets/train.txt:5: the image a stands in line 1 already" in text


def test_an_image_without_annotation_can_be_kept(make_site):
    site = make_site()
    site.voc("", on_problem={"missing_annotation": "keep"})
    site.write("ImageSets/train.txt", "a\nbare\n")
    site.image("JPEGImages/bare.png", (33, 44))
    image = site.open().splits["train"].images[1]
    assert (image.width, image.height) == (33, 44)


def test_an_absent_list_is_missing(make_site):
    site = make_site()
    site.voc("")
    (site.root / "ImageSets/val.txt").unlink()
    with pytest.raises(MissingError, match=r"val\.txt"):
        site.open()


def test_entities_are_refused():
    bomb = b'<!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><annotation>&b;</annotation>'
    with pytest.raises(XmlError, match="document type"):
        parse_xml(bomb)


@pytest.fixture
def bccd_configuration(shared_data, tmp_path):
    return Configuration.load(environ={"HOME": str(tmp_path), "DETUI_DATA": str(shared_data)})


def test_blood_cells(bccd_configuration, tmp_path):
    """The real set: published counts hold, and its two boxes of zero size are found."""
    dataset = open_dataset(load_definition("bccd"), bccd_configuration, cache=tmp_path / "cache")
    assert {name: len(split.images) for name, split in dataset.splits.items()} == {"train": 205, "val": 87, "test": 72}
    assert len(dataset.checksums) == 6
    assert all(checksum.ok for checksum in dataset.checksums)
    assert sum(len(split.annotations) for split in dataset.splits.values()) == 4155 + 372 + 361 - 2
    places = {problem.where for problem in dataset.problems}
    assert places == {"Annotations/BloodImage_00338.xml:163", "Annotations/BloodImage_00343.xml:55"}
    assert {problem.kind for problem in dataset.problems} == {"zero_size"}


def test_blood_cells_prepared(bccd_configuration, tmp_path):
    """A selection that holds neither box still names both: the splits are checked whole."""
    selection = {
        "name": "bccd",
        "train": {"split": "train", "images": 120},
        "val": {"split": "val", "images": 40},
    }
    prepared = prepare(selection, bccd_configuration, tmp_path / "cache", yolo=True)
    (problem,) = prepared.info["problems"]
    assert (problem["kind"], problem["action"], problem["count"]) == ("zero_size", "leave_out", 2)
    assert prepared.info["splits"]["train"]["images"] == 120
    links = sorted((prepared.path / "yolo/images/val").iterdir())
    assert len(links) == 40
    assert all(link.is_symlink() and link.is_file() and len(link.stem) == 12 for link in links)
