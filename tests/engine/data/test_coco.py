"""COCO JSON: ids, areas, crowd, faults, and real photographs."""

from __future__ import annotations

import json

import pytest

from detui.engine.errors import DataError

SQUARE = [[10.0, 10.0, 20.0, 10.0, 20.0, 20.0, 10.0, 20.0]]


def box(number: int = 1, **fields: object) -> dict[str, object]:
    return {"id": number, "image_id": 1, "category_id": 17, "bbox": [10, 10, 10, 10], **fields}


def test_categories_become_contiguous_by_id(site):
    site.coco([box(), box(2, category_id=18)])
    dataset = site.open()
    assert dataset.classes == ("cat", "dog")
    assert [a.category_id for a in dataset.splits["train"].annotations] == [1, 2]


def test_chosen_classes_keep_the_order_of_the_definition(make_site):
    site = make_site()
    site.coco([box(), box(2, category_id=18)], classes=["dog"], on_problem={"unknown_class": "leave_out"})
    dataset = site.open()
    assert dataset.classes == ("dog",)
    assert [a.category_id for a in dataset.splits["train"].annotations] == [1]


@pytest.mark.parametrize(
    ("fields", "area"),
    [
        ({}, 100.0),
        ({"area": None}, 100.0),
        ({"area": -3}, 100.0),
        ({"area": float("nan")}, 100.0),
        ({"area": 42.5}, 42.5),
        ({"segmentation": [[10, 10, 20, 10, 20, 20]]}, 50.0),
        ({"segmentation": SQUARE, "area": 0}, 100.0),
        ({"segmentation": {"size": [80, 100], "counts": [5, 7, 8, 3, 7977]}}, 10.0),
    ],
)
def test_area_is_never_missing(make_site, fields, area):
    site = make_site()
    site.coco([box(**fields)])
    (annotation,) = site.open().splits["train"].annotations
    assert annotation.area == area
    assert annotation.segmentation == fields.get("segmentation")


def test_annotation_ids_start_at_one(make_site):
    site = make_site()
    site.coco([box(0), box(77, category_id=18)])
    content = json.loads((site.prepare().path / "train.json").read_text())
    assert [a["id"] for a in content["annotations"]] == [1, 2]


FAULTS = [
    ({"annotations": [7]}, "malformed", "train.json:annotations[0]: found 7"),
    ({"annotations": [box(bbox=[1, 2, 3])]}, "malformed", "annotations[0]: annotation 1 has the bbox [1, 2, 3]"),
    ({"annotations": [box(bbox=[1, 2, 3, "4"])]}, "malformed", "annotations[0]"),
    ({"annotations": [box(image_id=99)]}, "unknown_image", "annotations[0]: there is no image 99"),
    ({"annotations": [box(category_id=5)]}, "unknown_class", "annotations[0]: annotation 1 has the category 5"),
    ({"annotations": [box(iscrowd=2)]}, "malformed", "annotations[0]"),
    (
        {"annotations": [box(), box(bbox=[1, 1, 2, 2])]},
        "duplicate_annotation",
        "annotations[1]: the id 1 is that of annotations[0]",
    ),
    ({"images": [{"id": "x", "file_name": "a.png"}]}, "malformed", "images[0]: its id is 'x'"),
    ({"images": [{"id": 1, "file_name": "../a.png", "width": 1, "height": 1}]}, "malformed", "images[0]"),
    ({"images": [{"id": 1, "file_name": "a.png", "width": 0, "height": 1}]}, "malformed", "images[0]: the width"),
    (
        {"images": [{"id": n, "file_name": "a.png", "width": 100, "height": 80} for n in (1, 2)]},
        "duplicate_image",
        "images[1]: the file a.png stands there already",
    ),
    (
        {"images": [{"id": 1, "file_name": f, "width": 100, "height": 80} for f in ("a.png", "c.png")]},
        "duplicate_image",
        "images[1]: the id 1 stands there already",
    ),
    (
        {"images": [{"id": 1, "file_name": "gone.png", "width": 100, "height": 80}]},
        "missing_image",
        "train/gone.png: there is no such file",
    ),
]


@pytest.mark.parametrize(("parts", "kind", "text"), FAULTS)
def test_faulty_entries(make_site, parts, kind, text):
    site = make_site()
    site.coco(parts.get("annotations", []), images=parts.get("images"))
    with pytest.raises(DataError) as caught:
        site.open()
    message = caught.value.message
    assert f"[{kind}]" in message
    assert text in message


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"images": [],\n "annotations": [}', "train.json:2:18"),
        ("[]", "train.json"),
        ('{"images": []}', "train.json"),
        ("", "train.json:1:1"),
        ("[" * 100_000, "train.json"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1}]}', "train.json: categories[0]"),
        ('{"images": [], "annotations": [], "categories": []}', "train.json"),
    ],
)
def test_faulty_files(make_site, text, place):
    site = make_site()
    site.coco([])
    site.write("train.json", text)
    with pytest.raises(DataError) as caught:
        site.open()
    assert str(caught.value.where).endswith(place)


def test_other_bytes_than_text(make_site):
    site = make_site()
    site.coco([])
    (site.root / "train.json").write_bytes(b'{\n"a": "\xff"}')
    with pytest.raises(DataError) as caught:
        site.open()
    assert str(caught.value.where).endswith("train.json:2")


def test_photographs(shared_data, make_site):
    """Real annotations: 16 crowd regions, 73 of the 80 classes in use, every mask carried through."""
    pytest.importorskip("pycocotools")
    from pycocotools import mask as reference

    from detui.engine.data.masks import decompress

    site = make_site()
    site.define(
        format="coco",
        splits={"train": {"annotations": "annotations/instances_free.json", "images": "images"}},
        on_problem={"beyond_border": "keep", "duplicate_box": "keep"},
    )
    for folder in ("annotations", "images"):
        (site.root / folder).symlink_to(shared_data / "coco_free" / folder)
    dataset = site.open()
    split = dataset.splits["train"]
    assert len(split.images) == 137
    assert len(split.annotations) == sum(split.declared_boxes.values()) == 1287
    assert split.declared_crowd == sum(a.crowd for a in split.annotations) == 16
    assert len({a.category_id for a in split.annotations}) == 73
    assert len(dataset.classes) == 80
    for annotation in split.annotations:
        if annotation.crowd:
            runs = annotation.segmentation
            packed = reference.frPyObjects(runs, *runs["size"])
            assert decompress(packed["counts"]) == runs["counts"]
