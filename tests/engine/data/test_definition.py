"""Definitions: a closed schema with places, and where data is looked for."""

from __future__ import annotations

import pytest

from detui.engine.configuration import Configuration
from detui.engine.data import definitions, load_definition, open_dataset
from detui.engine.data.roots import find_root
from detui.engine.errors import FormatError, MissingError, RecipeError, UsageError

GOOD = """schema: 1
name: mine
title: My own
format: voc
classes: [cat]
splits:
  train: {list: train.txt}
"""


def test_our_own_can_be_read():
    ours = {
        "bccd",
        "coco-indoor",
        "coco2017",
        "homeobjects",
        "scenes",
        "visdrone",
        "voc2012",
        "nuscenes",
        "nuscenes_frame",
        "fusion-scenes",
    }
    assert {definition.name for definition in definitions()} == ours
    assert all(definition.path.stem == definition.name for definition in definitions())


@pytest.mark.parametrize(
    ("old", "new", "place", "text"),
    [
        ("title", "titel", ":3:1", "titel: there is no such field"),
        ("[cat]", "[cat, cat]", ":5:1", "a class stands there twice: cat"),
        ("[cat]", "[]", ":5:1", "classes"),
        ("format: voc", "format: vok", ":4:1", "expected one of coco, yolo, voc, voc-instances, visdrone, scenes"),
        ("format: voc\n", "", ":1:1", "format: this field is missing"),
        ("train.txt", "../train.txt", ":7:11", "must be a path below"),
        ("{list: train.txt}", "{lst: train.txt}", ":7:11", "lst: there is no such field"),
        ("name: mine", "name: My Data", ":2:1", "name"),
        ("classes:", "on_problem: {zero: clip}\nclasses:", ":5:1", "there is no kind of problem 'zero'"),
        ("classes:", "on_problem: {zero_size: clip}\nclasses:", ":5:1", "zero_size cannot be 'clip'"),
    ],
)
def test_faults_have_a_place(tmp_path, old, new, place, text):
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(RecipeError) as caught:
        load_definition(path)
    error = caught.value
    assert text in error.message
    assert str(error.where).startswith(f"{path}{place}")


def test_a_newer_schema_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD.replace("schema: 1", "schema: 99"))
    with pytest.raises(FormatError, match="99"):
        load_definition(path)


def test_broken_yaml_and_absent_files(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("a: [1")
    with pytest.raises(UsageError):
        load_definition(path)
    path.write_text("- 1\n")
    with pytest.raises(RecipeError, match="mapping"):
        load_definition(path)
    with pytest.raises(MissingError):
        load_definition(tmp_path / "none.yaml")
    with pytest.raises(MissingError) as caught:
        load_definition("bcd")
    error = caught.value
    assert "bccd" in str(error.hint)


def test_every_place_tried_is_listed(tmp_path):
    config = tmp_path / ".config/detui/config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("data: {bccd: /nowhere/blood}\n")
    environ = {"HOME": str(tmp_path), "DETUI_DATA": f"{tmp_path}/a:{tmp_path}/b"}
    with pytest.raises(MissingError) as caught:
        find_root(load_definition("bccd"), Configuration.load(environ=environ))
    error = caught.value
    for place in ("/nowhere/blood/BCCD", "/nowhere/blood", f"{tmp_path}/a/bccd/BCCD", f"{tmp_path}/b/bccd"):
        assert f"tried {place} (" in error.message
    assert "DETUI_DATA" in str(error.hint) and "config.yaml" in str(error.hint)
    assert error.exit_code == 3


def test_nothing_configured(tmp_path):
    configuration = Configuration.load(environ={"HOME": str(tmp_path)})
    with pytest.raises(MissingError, match="no place is configured"):
        find_root(load_definition("bccd"), configuration)


def test_home_objects_are_counted(make_site):
    """Its published layout, with one image a split where 2,285 and 404 belong."""
    site = make_site()
    site.yolo("11 0.5 0.5 0.2 0.25\n")
    (site.root.parent / "homeobjects").mkdir()
    site.root.rename(site.root.parent / "homeobjects" / "homeobjects-3K")
    configuration = Configuration.load(environ={**site.environ, "DETUI_DATA": str(site.root.parent)})
    dataset = open_dataset(load_definition("homeobjects"), configuration, cache=site.cache, tolerate=True)
    assert len(dataset.classes) == 12 and dataset.classes[11] == "photo frame"
    assert [(a.category_id, a.image_id) for a in dataset.splits["train"].annotations] == [(12, 1)]
    assert [(c.what, c.published, c.found) for c in dataset.checksums] == [
        ("images of train", 2285, 1),
        ("images of val", 404, 1),
    ]
    assert [(row.kind, row.action) for row in dataset.summary] == [("published_count", "error")]


@pytest.mark.parametrize("inner", ["BCCD", "."])
def test_the_place_may_hold_the_folder_or_be_it(tmp_path, inner):
    marker = tmp_path / "blood" / inner / "ImageSets/Main/train.txt"
    marker.parent.mkdir(parents=True)
    marker.write_text("a\n")
    config = tmp_path / ".config/detui/config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(f"data: {{bccd: {tmp_path}/blood}}\n")
    root = find_root(load_definition("bccd"), Configuration.load(environ={"HOME": str(tmp_path)}))
    assert root == (tmp_path / "blood" / inner)
