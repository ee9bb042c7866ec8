"""Numbers and names of classes that do not belong together, as scripts really mix them up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from detui.engine.data.coco_classes import GROUPS, IDS, NAMES, SPACES
from detui.engine.data.id_space import FROM_0, FROM_1, OWN, Category, faults, space_of
from detui.engine.errors import DataError

KITCHEN = ("bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl")


def table(numbers: dict[str, int], *, groups: bool = True) -> dict[int, Category]:
    return {number: Category(name, GROUPS.get(name) if groups else None) for name, number in numbers.items()}


def reasons(categories: dict[int, Category], used: tuple[int, ...] = (), **stated: int) -> list[str]:
    return [fault.reason for fault in faults(categories, dict.fromkeys(used, 1), stated)]


def test_the_table_is_that_of_the_published_file(shared_data: Path) -> None:
    content = json.loads((shared_data / "coco_free/annotations/instances_free.json").read_text())
    stated = {entry["name"]: (entry["id"], entry["supercategory"]) for entry in content["categories"]}
    assert {name: (IDS[name], GROUPS[name]) for name in IDS} == stated
    assert len(IDS) == 80


@pytest.mark.parametrize("space", SPACES)
def test_each_space_is_known_and_sound(space: str) -> None:
    categories = table(dict(SPACES[space]))
    assert space_of(categories) == space
    assert reasons(categories, used=tuple(categories)) == []


@pytest.mark.parametrize(
    "numbers",
    [
        {name: index for index, name in enumerate(KITCHEN, 1)},  # a subset numbered anew
        {name: index for index, name in enumerate([n for n in IDS if n != "hair drier"], 1)},  # nearly all of it
        {name: IDS[name] for name in KITCHEN},  # a subset with its own ids
        {"person": 1, "bicycle": 2, "car": 3, "van": 4, "truck": 5, "bus": 6},  # another taxonomy
        {"cat": 17, "horse": 3},
        {"cat": 17, "dog": 18, "chair": 3, "couch": 9, "bed": 5, "tv": 6},  # two that fit by accident
        {},
    ],
)
def test_numbers_of_ones_own_are_left_alone(numbers: dict[str, int]) -> None:
    assert reasons(table(numbers), used=tuple(numbers.values())) == []


def test_names_of_the_80_under_numbers_of_the_file() -> None:
    numbers = {name: number for name, number in IDS.items() if name not in ("spoon", "bottle", "banana", "cup")}
    found = reasons(table({**numbers, "spoon": 44, "banana": 47}, groups=False))
    assert found == [
        f"category 44 is called spoon, but the others follow {OWN}, where 44 means bottle and spoon is 50 "
        f"(44 is spoon in {FROM_0})",
        f"category 47 is called banana, but the others follow {OWN}, where 47 means cup and banana is 52 "
        f"(47 is banana in {FROM_1})",
    ]


def test_annotations_with_numbers_of_the_80() -> None:
    (reason,) = reasons(table(dict(IDS)), used=(1, 12, 26, 44, 45))
    assert reason.startswith("3 annotations have the category 12, 26, 45, which the file's categories do not have")
    assert f"44 is read as bottle and means spoon ({FROM_0}) or knife ({FROM_1})" in reason


@pytest.mark.parametrize("space", [FROM_0, FROM_1])
def test_annotations_with_numbers_of_the_file(space: str) -> None:
    (reason,) = reasons(table(dict(SPACES[space])), used=(44, 47, 84, 90))
    assert "2 annotations have the category 84, 90" in reason
    assert f"44 is read as {'spoon' if space == FROM_0 else 'knife'} and means bottle ({OWN})" in reason


def test_a_subset_that_was_numbered_anew_with_wrong_names() -> None:
    """Only the groups, which the script copied from the right entries, still tell."""
    taken = [IDS[name] for name in (*KITCHEN, "chair", "couch", "bed", "tv", "sink", "vase")]
    right = {number: Category(NAMES[n], GROUPS[NAMES[n]]) for number, n in enumerate(taken, 1)}
    assert reasons(right) == []
    right[3] = Category("banana", "kitchen")
    (reason,) = reasons(right)
    assert reason == "category 3 is called banana and belongs to 'kitchen'; in COCO banana belongs to 'food'"


def test_numbers_that_a_definition_states() -> None:
    assert reasons(table(dict(IDS)), bottle=44, cup=47) == []
    first, second = reasons(table(dict(IDS)), spoon=44, cup=41, toaster=80, sofa=7)
    assert first == (
        f"the definition says that spoon is category 44; the file calls 44 bottle, and spoon is 50 "
        f"(44 is spoon in {FROM_0})"
    )
    assert "cup is category 41; the file calls 41 skateboard, and cup is 47" in second


def free(site: Any, shared_data: Path, change: Any, **fields: Any) -> None:
    """A site with the real photographs and a changed copy of their annotations."""
    (site.root / "images").symlink_to(shared_data / "coco_free/images")
    content = json.loads((shared_data / "coco_free/annotations/instances_free.json").read_text())
    change(content)
    site.write("instances.json", json.dumps(content))
    actions = {"beyond_border": "keep", "duplicate_box": "keep", "unknown_class": "leave_out"}
    splits = {"val": {"annotations": "instances.json", "images": "images"}}
    site.define(format="coco", splits=splits, on_problem=actions, **fields)


def as_80(content: dict[str, Any]) -> None:
    for annotation in content["annotations"]:
        annotation["category_id"] = SPACES[FROM_0][NAMES[annotation["category_id"]]]


def renamed(content: dict[str, Any]) -> None:
    names = {44: "spoon", 50: "bottle", 47: "banana", 52: "cup"}
    for category in content["categories"]:
        category["name"] = names.get(category["id"], category["name"])


@pytest.mark.parametrize(
    ("change", "place", "text"),
    [(as_80, "instances.json:annotations", "means"), (renamed, "instances.json:categories[39]", "called spoon")],
)
def test_real_annotations_mixed_up_are_refused(shared_data, make_site, change, place, text) -> None:
    site = make_site()
    free(site, shared_data, change)
    with pytest.raises(DataError) as caught:
        site.open()
    assert f"{place}: " in caught.value.message
    assert text in caught.value.message
    assert "[id_space]" in caught.value.message


def test_stated_numbers_are_a_checksum_and_names_decide(shared_data, make_site) -> None:
    site = make_site()
    free(site, shared_data, lambda _: None, classes=["bottle", "cup"], select={"ids": {"bottle": 39, "cup": 47}})
    assert site.kinds()["id_space"] == "error"
    (problem,) = [problem for problem in site.open(tolerate=True).problems if problem.kind == "id_space"]
    assert problem.where == "instances.json:categories[39]"
    assert f"the file calls 39 baseball bat, and bottle is 44 (39 is bottle in {FROM_0})" in problem.reason
