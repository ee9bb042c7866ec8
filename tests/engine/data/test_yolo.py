"""YOLO text: lines, layouts, and the data.yaml of other people."""

from __future__ import annotations

import pytest

from detui.engine.errors import DataError, MissingError


def test_lines(site):
    site.yolo("1 0.5 0.5 0.2 0.25\n")
    (annotation,) = site.open().splits["train"].annotations
    assert annotation.category_id == 2
    assert annotation.box == pytest.approx((40, 30, 20, 20))


def test_an_empty_file_means_no_object(make_site):
    site = make_site()
    site.yolo("")
    dataset = site.open()
    assert len(dataset.splits["train"].images) == 1
    assert dataset.summary == ()


def test_a_missing_file_is_a_problem_unless_the_definition_says_otherwise(make_site):
    site = make_site()
    site.yolo(None)
    with pytest.raises(DataError, match=r"images/train/a\.png: there is no label file labels/train/a\.txt"):
        site.open()
    site.yolo(None, on_problem={"missing_annotation": "keep"})
    assert len(site.open().splits["train"].images) == 1


def test_polygons(make_site):
    site = make_site()
    site.yolo("0 0.1 0.1 0.3 0.1 0.3 0.5\n")
    (annotation,) = site.open().splits["train"].annotations
    assert annotation.box == pytest.approx((10, 8, 20, 32))
    assert annotation.area == pytest.approx(320)
    assert annotation.segmentation == [pytest.approx([10, 8, 30, 8, 30, 40])]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("0 0.5 0.5 0.2", "malformed"),
        ("0 0.5 0.5 0.2 x", "malformed"),
        ("0 0.5 0.5 0.2 0.2 0.9", "malformed"),
        ("2 0.5 0.5 0.2 0.2", "unknown_class"),
        ("-1 0.5 0.5 0.2 0.2", "unknown_class"),
        ("0.5 0.5 0.5 0.2 0.2", "unknown_class"),
        ("nan 0.5 0.5 0.2 0.2", "unknown_class"),
        ("0 40 40 10 10", "outside"),
        ("0 nan 0.1 0.3 0.1 0.3 0.5", "not_finite"),
    ],
)
def test_faulty_lines(make_site, line, kind):
    site = make_site()
    site.yolo(f"0 0.5 0.5 0.1 0.1\n{line}\n")
    with pytest.raises(DataError) as caught:
        site.open()
    message = caught.value.message
    assert "labels/train/a.txt:2:" in message
    assert f"[{kind}]" in message


def test_bytes_that_are_no_text(make_site):
    site = make_site()
    site.yolo("")
    (site.root / "labels/train/a.txt").write_bytes(b"0 0.5 0.5 0.1 0.1\n\xff\xfe")
    with pytest.raises(DataError) as caught:
        site.open()
    message = caught.value.message
    assert "labels/train/a.txt:2: it is not UTF-8 text [unreadable_file]" in message


def _data_yaml(site, text: str) -> None:
    site.yolo("1 0.5 0.5 0.2 0.25\n")
    site.write("data.yaml", text)
    site.definition.unlink()
    site.define(format="yolo", data_yaml="data.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "path: /somewhere/else\ntrain: images/train\nval: images/val\nnames: [cat, dog]\nnc: 2\n",
        "train: ../images/train\nval: ../images/val\nnames: {0: cat, 1: dog}\n",
        "path: .\ntrain: [images/train]\nval: val.txt\nnames: [cat, dog]\n",
    ],
)
def test_data_yaml(make_site, text):
    site = make_site()
    _data_yaml(site, text)
    site.write("val.txt", "./images/val/b.png\n")
    dataset = site.open()
    assert dataset.classes == ("cat", "dog")
    assert [split.images[0].file for split in dataset.splits.values()] == ["images/train/a.png", "images/val/b.png"]
    assert len(dataset.splits["train"].annotations) == 1


@pytest.mark.parametrize(
    ("text", "error", "place"),
    [
        ("train: images/train\nnames: [cat]\nnc: 2\n", DataError, "data.yaml:3:1"),
        ("train: images/train\n\nnames: [cat, cat]\n", DataError, "data.yaml:3:1"),
        ("train: images/train\nnames: {0: cat, 2: dog}\n", DataError, "data.yaml:2:1"),
        ("names: [cat]\n", DataError, "data.yaml:1:1"),
        ("- 1\n", DataError, "data.yaml:1:1"),
        ("train: images/nowhere\nnames: [cat]\n", MissingError, "data.yaml"),
    ],
)
def test_faulty_data_yaml(make_site, text, error, place):
    site = make_site()
    _data_yaml(site, text)
    with pytest.raises(error) as caught:
        site.open()
    assert str(caught.value.where).endswith(place)
