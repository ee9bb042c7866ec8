"""What a record says of the data: counts, density, the rule's hash, fingerprint; of one data set and of several."""

from __future__ import annotations

from typing import Any

import pytest

from detui.engine.record.data_table import DataTable
from detui.engine.record.words import Words

HASH = "ab" * 32
CROWDED: dict[str, Any] = {
    "name": "coco-indoor", "title": "COCO | indoor", "fingerprint": "cd" * 32, "classes": ["chair", "b|d"],
    "splits": {
        "train": {"json": "train.json", "images": 40, "boxes": 760, "objects": 750,
                  "objects_per_image": {"mean": 18.75, "median": 17.5}, "selection": {"sha256": HASH}},
        "val": {"json": "val.json", "images": 10, "boxes": 200, "objects": 200,
                "objects_per_image": {"mean": 20.0, "median": 20.0}, "selection": {"sha256": "ef" * 32}},
    },
    "problems": [],
}  # fmt: skip
SIMPLE: dict[str, Any] = {
    "name": "homeobjects", "title": "HomeObjects", "fingerprint": "12" * 32, "classes": ["bed"],
    "splits": {"train": {"images": 30, "boxes": 300}, "val": {"images": 9, "boxes": 90}},
    "problems": [{"kind": "zero_size", "action": "leave_out", "count": 2, "examples": ["a.txt:1 empty"]}],
}  # fmt: skip
"""Prepared before objects were counted, and taken by no rule."""


def test_one_data_set_in_the_set_up() -> None:
    rows = dict(DataTable({"data": CROWDED}, Words("en")).rows())
    assert rows == {
        "data": "`coco-indoor` COCO \\| indoor",
        "splits": "train: 40 images, 760 boxes; val: 10 images, 200 boxes",
        "objects per image": "train: mean 18.8, median 17.5 (750 objects); val: mean 20.0, median 20 (200 objects)",
        "hash of the selection": f"train: `{HASH}`; val: `{'ef' * 32}`",
        "list of images": "",
        "classes": "2: chair, b\\|d",
        "data fingerprint": f"`{'cd' * 32}`",
        "problems in the data": "none found",
    }


def test_what_older_data_does_not_say_is_left_out() -> None:
    rows = dict(DataTable({"data": SIMPLE}, Words("en")).rows())
    assert rows["objects per image"] == rows["hash of the selection"] == ""
    assert rows["problems in the data"] == "2 × box of zero size (left out)"
    assert list(DataTable({"data": None}, Words("en")).rows()) == []
    assert not DataTable({}, Words("en")).table()


def test_several_data_sets_each_with_its_role() -> None:
    info = {"data": CROWDED, "data_sets": {"crowded": CROWDED, "simple": SIMPLE}}
    rows = dict(DataTable(info, Words("zh")).rows())
    assert rows["数据集 (crowded)"].startswith("`coco-indoor`") and rows["数据集 (simple)"].startswith("`homeobjects`")
    assert rows["数据指纹 (simple)"] == f"`{'12' * 32}`"
    table = DataTable(info, Words("en")).table()
    assert [list(row) for row in table.rows] == [
        ["`coco-indoor` (crowded)", "COCO \\| indoor", "train: 40; val: 10", "train: 750; val: 200",
         "train: 18.8; val: 20.0", "2", f"train: `{HASH[:12]}`; val: `{'ef' * 6}`", f"`{'cd' * 6}`"],
        ["`homeobjects` (simple)", "HomeObjects", "train: 30; val: 9", "–", "–", "1", "–", f"`{'12' * 6}`"],
    ]  # fmt: skip
    assert {len(row) for row in table.rows} == {len(table.head)}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_text_from_elsewhere_stays_in_its_cell(language: str) -> None:
    hostile = {**SIMPLE, "name": "a|b", "title": "x | `y`\n| z", "fingerprint": "`|`"}
    info = {"data_sets": {"one|two": hostile}}
    for line in str(DataTable(info, Words(language)).table()).splitlines()[2:]:
        assert line.replace("\\|", "").count("|") == 9
