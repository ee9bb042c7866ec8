"""The rule that takes a data set out of a COCO file: what it keeps, what it says, and what cannot be written."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from detui.engine.configuration import Configuration
from detui.engine.data import load_definition
from detui.engine.data.coco_classes import GROUPS
from detui.engine.data.roots import find_root
from detui.engine.errors import DataError, RecipeError

CUP, SPOON, DOG, PERSON = 47, 50, 18, 1
CATEGORIES = [{"id": CUP, "name": "cup"}, {"id": SPOON, "name": "spoon"}, {"id": DOG, "name": "dog"},
              {"id": PERSON, "name": "person"}]  # fmt: skip
ON_IMAGES = {
    1: [CUP, CUP, SPOON],
    2: [CUP, CUP, SPOON, PERSON],
    3: [CUP],
    4: [CUP, CUP, CUP, DOG],
    5: [SPOON] * 6,
    6: [],
}
"""What is on each image."""


def build(site: Any, crowd: dict[int, int] | None = None, **select: Any) -> None:
    """Two splits with the same things on pictures of their own. `crowd`: one region more by image."""
    for split in ("train", "val"):
        annotations = []
        for image, numbers in ON_IMAGES.items():
            site.image(f"{split}/{image}.png", colour=image + (100 if split == "val" else 0))
            both = [(number, 0) for number in numbers] + [(n, 1) for at, n in (crowd or {}).items() if at == image]
            for place, (number, is_crowd) in enumerate(both):
                annotations.append({"id": 100 + len(annotations), "image_id": image, "category_id": number,
                                    "bbox": [place * 9, 5, 8, 8], "iscrowd": is_crowd})  # fmt: skip
        images = [{"id": n, "file_name": f"{n}.png", "width": 100, "height": 80} for n in ON_IMAGES]
        content = {"images": images, "annotations": annotations, "categories": CATEGORIES}
        site.write(f"{split}.json", json.dumps(content))
    splits = {name: {"annotations": f"{name}.json", "images": name} for name in ("train", "val")}
    site.define(format="coco", classes=["spoon", "cup"], splits=splits, select=select)


def taken(site: Any, split: str = "val") -> list[int]:
    return [image.id for image in site.open().splits[split].images]


@pytest.mark.parametrize(
    ("select", "images", "left_out"),
    [
        ({}, [1, 2, 3, 4, 5], {"too_few_objects": 1}),
        ({"objects": {"min": 0}}, [1, 2, 3, 4, 5, 6], {}),
        ({"objects": {"min": 3, "max": 5}}, [1, 2, 4], {"too_few_objects": 2, "too_many_objects": 1}),
        ({"different": {"min": 2}}, [1, 2], {"too_few_classes": 3, "too_few_objects": 1}),
        ({"different": {"max": 1}}, [3, 4, 5], {"too_many_classes": 2, "too_few_objects": 1}),
        ({"person": "leave_out"}, [1, 3, 4, 5], {"with_person": 1, "too_few_objects": 1}),
        ({"objects": {"min": 4}}, [5], {"too_few_objects": 5}),
        ({"objects": {"min": 4}, "person": "class"}, [5], {"too_few_objects": 5}),
    ],
)
def test_images_are_taken_by_what_is_on_them(make_site, select, images, left_out) -> None:
    site = make_site()
    build(site, **select)
    assert taken(site) == images
    selection = site.open().splits["val"].selection
    assert selection is not None
    assert dict(selection.left_out) == left_out
    assert (selection.images, selection.of_images) == (len(images), 6)


def test_other_classes_are_dropped_without_a_complaint(make_site) -> None:
    site = make_site()
    build(site)
    dataset = site.open()
    assert dataset.classes == ("spoon", "cup")
    assert dataset.summary == ()
    split = dataset.splits["train"]
    assert len(split.annotations) == sum(len([n for n in v if n in (CUP, SPOON)]) for v in ON_IMAGES.values())
    assert split.selection is not None and split.selection.dropped == 2
    assert split.declared_images == 6 and sum(split.declared_boxes.values()) == 18, "published counts are the file's"


def test_person_as_a_class_comes_last(make_site) -> None:
    site = make_site()
    build(site, person="class", objects={"min": 3, "max": 3})
    dataset = site.open()
    assert dataset.classes == ("spoon", "cup", "person")
    assert taken(site) == [1, 2, 4], "persons do not count as objects"
    assert [a.category_id for a in dataset.splits["val"].annotations if a.image_id == 2] == [2, 2, 1, 3]


def test_crowd_is_kept_and_does_not_count(make_site) -> None:
    site = make_site()
    build(site, {3: SPOON, 6: CUP}, objects={"min": 1, "max": 1})
    assert taken(site) == [3]
    split = site.open().splits["val"]
    assert [(a.category_id, a.crowd) for a in split.annotations] == [(2, False), (1, True)]
    assert split.selection is not None and split.selection.crowd == 1


def test_a_crowd_of_persons_is_persons(make_site) -> None:
    site = make_site()
    build(site, {1: PERSON}, person="leave_out")
    assert taken(site) == [3, 4, 5]


def test_the_hash_is_what_its_description_says(make_site) -> None:
    site = make_site()
    build(site, objects={"min": 4})
    selection = site.open().splits["val"].selection
    content = json.loads((site.root / "val.json").read_text())
    boxes = [a for a in content["annotations"] if a["image_id"] == 5]
    lines = ["class spoon", "class cup", "image 5", *(f"annotation {a['id']} spoon" for a in boxes)]
    assert selection is not None
    assert selection.sha256 == hashlib.sha256("".join(f"{line}\n" for line in sorted(lines)).encode()).hexdigest()


def test_the_hash_changes_with_what_is_selected_alone(make_site) -> None:
    one, two, three = make_site("one"), make_site("two"), make_site("three")
    build(one, objects={"min": 4})
    build(two, objects={"min": 6})
    build(three, objects={"min": 3})
    first, same, other = (site.open().splits["val"].selection for site in (one, two, three))
    assert first is not None and same is not None and other is not None
    assert first.sha256 == same.sha256 != other.sha256


def test_prepared_data_carries_the_selection(make_site) -> None:
    site = make_site()
    build(site, objects={"min": 3})
    prepared = site.prepare(train={"split": "train", "images": 2}, yolo=True)
    stored = json.loads((prepared.path / "dataset.json").read_text())
    selection = stored["splits"]["val"]["selection"]
    assert selection == prepared.info["splits"]["val"]["selection"]
    assert selection["images"] == stored["splits"]["val"]["images"] == 4
    assert selection["rule"]["objects"] == {"min": 3, "max": None}
    assert len(json.loads((prepared.path / "train.json").read_text())["images"]) == 2
    assert len(list((prepared.path / "yolo/labels/val").iterdir())) == 4


def test_more_images_than_were_selected_cannot_be_had(make_site) -> None:
    site = make_site()
    build(site, objects={"min": 3})
    with pytest.raises(RecipeError, match="has 4 images, 5 are asked for"):
        site.prepare(val={"split": "val", "images": 5})


def test_data_without_a_rule_is_what_it_was(make_site) -> None:
    site = make_site()
    site.coco([])
    assert "selection" not in site.prepare().info["splits"]["val"]


def test_a_class_that_the_file_lacks(make_site) -> None:
    site = make_site()
    build(site)
    text = site.definition.read_text().replace('"spoon"', '"spoons"')
    site.definition.write_text(text)
    with pytest.raises(DataError) as caught:
        site.open()
    assert "the definition selects spoons, which is no category of the file; spoon is" in caught.value.message


@pytest.mark.parametrize(
    ("select", "more", "text"),
    [
        ({"objects": {"min": 5, "max": 4}}, {}, "select.objects: min 5 is larger than max 4"),
        ({"objects": {"least": 5}}, {}, "select.objects.least: there is no such field"),
        ({"person": "drop"}, {}, "expected 'ignore', 'class' or 'leave_out'"),
        ({"ids": {"cup": 47, "spoon": 47}}, {}, "cup and spoon have the same number 47"),
        ({"ids": {"mug": 47}}, {}, "select.ids numbers what is not in classes: mug"),
        ({"ids": [47, 50]}, {}, "select.ids"),
        ({}, {"classes": None}, "select needs classes"),
        ({}, {"classes": [47, 50]}, "classes.0: found 47"),
        ({"person": "class"}, {"classes": ["cup", "person"]}, "person stands in classes"),
        ({}, {"published": {"without_boxes": {"val": 1}}}, "published.without_boxes"),
    ],
)
def test_what_cannot_be_written(make_site, select, more, text) -> None:
    site = make_site()
    build(site)
    value = {**json.loads(site.definition.read_text()), "select": select, **more}
    site.definition.write_text(json.dumps(value))
    with pytest.raises(RecipeError) as caught:
        load_definition(site.definition)
    assert text in caught.value.message


def test_coco_indoor_is_the_reading_of_31_classes() -> None:
    layout = load_definition("coco-indoor").layout
    counts: dict[str, int] = {}
    for name in layout.classes:  # type: ignore[union-attr]
        counts[GROUPS[name]] = counts.get(GROUPS[name], 0) + 1
    assert counts == {"furniture": 6, "electronic": 6, "appliance": 5, "kitchen": 7, "indoor": 7}


def test_its_files_are_found_where_coco_lies(tmp_path: Path) -> None:
    marker = tmp_path / "coco2017/annotations/instances_val2017.json"
    marker.parent.mkdir(parents=True)
    marker.write_text("{}")
    configuration = Configuration.load(environ={"HOME": str(tmp_path), "DETUI_DATA": str(tmp_path)})
    assert find_root(load_definition("coco-indoor"), configuration) == tmp_path / "coco2017"


def test_real_annotations(shared_data: Path, make_site) -> None:
    """The rule of `coco-indoor` on real photographs, counted here in another way."""
    site = make_site()
    for folder in ("annotations", "images"):
        (site.root / folder).symlink_to(shared_data / "coco_free" / folder)
    layout = load_definition("coco-indoor").layout
    assert layout.format == "coco" and layout.select is not None
    site.define(
        format="coco",
        classes=layout.classes,
        splits={"val": {"annotations": "annotations/instances_free.json", "images": "images"}},
        select=layout.select.model_dump(),
        on_problem=layout.on_problem,
    )
    content = json.loads((shared_data / "coco_free/annotations/instances_free.json").read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    on_image: dict[int, list[str]] = {}
    for annotation in content["annotations"]:
        if names[annotation["category_id"]] in layout.classes and not annotation["iscrowd"]:
            on_image.setdefault(annotation["image_id"], []).append(names[annotation["category_id"]])
    expected = {image for image, found in on_image.items() if 10 <= len(found) <= 100 and len(set(found)) > 1}
    dataset = site.open()
    split = dataset.splits["val"]
    assert {image.id for image in split.images} == expected
    assert len(expected) == 15
    assert sum(not a.crowd for a in split.annotations) == sum(len(on_image[image]) for image in expected)
    assert {dataset.classes[a.category_id - 1] for a in split.annotations} <= set(layout.classes or ())
