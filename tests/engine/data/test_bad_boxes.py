"""Every kind of bad box, in every format: named with file and line, and treated as the definition says."""

from __future__ import annotations

import math

import pytest

from detui.engine.data.boxes import ROUNDING, clip, judge
from detui.engine.errors import DataError


def voc_object(xmin: object, ymin: object, xmax: object, ymax: object, name: str = "cat") -> str:
    corners = f"<xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax>"
    return f"<object><name>{name}</name>\n<bndbox>{corners}</bndbox></object>\n"


def coco_box(box: list[object], number: int = 1, **fields: object) -> dict[str, object]:
    return {"id": number, "image_id": 1, "category_id": 17, "bbox": box, "iscrowd": 0, **fields}


BOXES = [
    ("zero_size", (10, 10, 10, 20), "0 0.5 0.5 0 0.1", [10, 10, 0, 5]),
    ("inverted", (30, 10, 20, 20), "0 0.5 0.5 -0.2 0.1", [10, 10, -5, 5]),
    ("not_finite", ("nan", 10, 20, 20), "0 nan 0.5 0.1 0.1", [math.nan, 10, 5, 5]),
    ("not_finite", (1, 10, "inf", 20), "0 0.5 inf 0.1 0.1", [10, 10, math.inf, 5]),
    ("outside", (201, 10, 220, 20), "0 3 0.5 0.1 0.1", [200, 10, 5, 5]),
]


@pytest.mark.parametrize(("kind", "corners", "line", "box"), BOXES)
def test_every_reader_finds_it_and_says_where(make_site, kind, corners, line, box):
    for name, write, place in (
        ("voc", lambda s: s.voc(voc_object(*corners), on_problem={kind: "error"}), "Annotations/a.xml:4:"),
        (
            "yolo",
            lambda s: s.yolo(f"1 0.5 0.5 0.2 0.2\n\n{line}\n", on_problem={kind: "error"}),
            "labels/train/a.txt:3:",
        ),
        (
            "coco",
            lambda s: s.coco([coco_box([1, 1, 5, 5]), coco_box(box, 2)], on_problem={kind: "error"}),
            "train.json:annotations[1]:",
        ),
    ):
        site = make_site(f"{name}")
        write(site)
        with pytest.raises(DataError) as caught:
            site.open()
        assert place in caught.value.message, name
        assert f"[{kind}]" in caught.value.message
        assert caught.value.exit_code == 1
        assert caught.value.where == str(site.root)


def test_defaults(make_site):
    """Zero size and duplicates are left out, beyond the border is clipped, the rest stops."""
    site = make_site()
    site.coco([coco_box([10, 10, 0, 5]), coco_box([90, 70, 20, 20], 2), *[coco_box([1, 1, 4, 4], n) for n in (3, 4)]])
    dataset = site.open()
    assert [a.box for a in dataset.splits["train"].annotations] == [(90, 70, 10, 10), (1, 1, 4, 4)]
    assert {row.kind: row.action for row in dataset.summary} == {
        "zero_size": "leave_out",
        "beyond_border": "clip",
        "duplicate_box": "leave_out",
    }


def test_same_box_of_another_class_is_no_duplicate(make_site):
    site = make_site()
    site.coco([coco_box([1, 1, 4, 4]), coco_box([1, 1, 4, 4], 2, category_id=18)])
    assert len(site.open().splits["train"].annotations) == 2


def test_beyond_the_border_can_be_kept(make_site):
    site = make_site()
    site.coco([coco_box([90, 70, 20, 20])], on_problem={"beyond_border": "keep"})
    assert site.open().splits["train"].annotations[0].box == (90, 70, 20, 20)


def test_ten_are_listed_and_all_are_counted(make_site):
    site = make_site()
    site.yolo("".join(f"0 0.5 0.5 -0.2 0.{n:02d}\n" for n in range(1, 26)))
    with pytest.raises(DataError) as caught:
        site.open()
    assert caught.value.message.startswith("25 problems in the data set tiny:")
    assert caught.value.message.count("labels/train/a.txt:") == 10
    assert "and 15 more" in caught.value.message
    assert "on_problem: {inverted: leave_out}" in str(caught.value.hint)
    assert "detui data check /" in str(caught.value.hint), "a definition of one's own is called by its path"


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ((0, 0, 100, 80), ""),
        ((-ROUNDING / 2, 0, 50, 80), ""),
        ((-1, 0, 50, 80), "beyond_border"),
        ((0, 0, 100.5, 80), "beyond_border"),
        ((-50, 0, 50, 80), "outside"),
        ((0, 80, 5, 5), "outside"),
        ((5, 5, 5, 0.0), "zero_size"),
        ((5, 5, 5, -1), "inverted"),
    ],
)
def test_judge(box, kind):
    assert judge(box, 100, 80)[0] == kind


def test_a_box_within_rounding_ends_on_the_border():
    assert clip((-0.005, 0, 50, 80.001), 100, 80) == (0, 0, 49.995, 80)
    inside = (0.1, 0.2, 0.3, 0.4)
    assert clip(inside, 100, 80) is inside
