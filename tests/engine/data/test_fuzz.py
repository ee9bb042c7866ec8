"""Whatever a file holds, reading it ends in data or in a message: no other error, and never without a place."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from detui.engine.data.coco import read_coco
from detui.engine.data.definition import (
    CocoDefinition,
    CocoSplit,
    VisdroneDefinition,
    VisdroneSplit,
    VocDefinition,
    VocSplit,
    YoloDefinition,
    YoloSplit,
)
from detui.engine.data.problems import Ledger
from detui.engine.data.reading import Reading
from detui.engine.data.visdrone import read_visdrone
from detui.engine.data.voc import read_voc
from detui.engine.data.yolo import read_yolo
from detui.engine.errors import DetuiError

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("a.png")
small = st.integers(-1, 3) | scalars
values = st.recursive(small, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner))


def entries(**fields):
    return st.lists(st.fixed_dictionaries({}, optional=fields) | values, max_size=4)


images = entries(id=small, file_name=scalars, width=st.integers(1, 9) | small, height=st.integers(1, 9) | small)
boxes = st.lists(st.floats() | st.integers(-2, 9), min_size=4, max_size=4) | values
annotations = entries(
    id=small, image_id=small, category_id=small, bbox=boxes, area=small, iscrowd=small, segmentation=values
)
categories = entries(id=small, name=scalars)
files = st.fixed_dictionaries({}, optional={"images": images, "annotations": annotations, "categories": categories})


def finish(read) -> None:
    """Run a reader; a DetuiError with a place is as good as data."""
    try:
        content = read()
    except DetuiError as error:
        assert error.where
        return
    for split in content.splits.values():
        for annotation in split.annotations:
            assert 1 <= annotation.category_id <= len(content.classes)
            assert annotation.box[2] > 0 and annotation.box[3] > 0
            assert annotation.area > 0


@settings(max_examples=150, deadline=None)
@given(files | values)
def test_coco(value):
    layout = CocoDefinition(name="x", title="x", format="coco", splits={"train": CocoSplit(annotations="x.json")})
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "x.json").write_text(json.dumps(value))
        finish(lambda: read_coco(layout, Reading(root=Path(name), ledger=Ledger())))


tags = ["annotation", "size", "width", "height", "object", "name", "bndbox", "xmin", "ymin", "xmax", "ymax", "x"]
pieces = [f"<{tag}>" for tag in tags] + [f"</{tag}>" for tag in tags] + ["cat", "1", "7", "nan", "1e999", "&a;", "<!--"]
xml = st.lists(st.sampled_from(pieces), max_size=40).map("".join).map(str.encode) | st.binary(max_size=40)


@st.composite
def documents(draw):
    """Mostly whole files with odd numbers in them."""
    numbers = st.integers(-1, 12).map(str) | st.sampled_from(["nan", "inf", "", "x", "1e999", "3.5"])
    objects = "".join(
        f"<object><name>{draw(st.sampled_from(['cat', 'dog', '']))}</name><bndbox>"
        + "".join(f"<{tag}>{draw(numbers)}</{tag}>" for tag in tags[7:11])
        + "</bndbox></object>"
        for _ in range(draw(st.integers(0, 4)))
    )
    size = f"<size><width>{draw(numbers)}</width><height>{draw(numbers)}</height></size>"
    return f"<annotation>{size}{objects}</annotation>".encode()


@settings(max_examples=150, deadline=None)
@given(documents() | xml, st.sampled_from(["a\n", "a 1\n", "\0\n", "..\n", "a\na\n"]))
def test_voc(content, listed):
    places = {"images": ".", "annotations": ".", "splits": {"t": VocSplit(list="t")}}
    layout = VocDefinition(name="x", title="x", format="voc", classes=["cat"], **places)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "t").write_text(listed)
        (root / "a.png").write_bytes(b"")
        (root / "a.xml").write_bytes(content)
        finish(lambda: read_voc(layout, Reading(root=root, ledger=Ledger())))


words = st.sampled_from(["0", "1", "0.5", "0.1", "-1", "nan", "inf", "x", "1e999", "0.0", "\ufeff", "9" * 400])
lines = st.lists(st.lists(words, max_size=9).map(" ".join), max_size=5).map("\n".join).map(str.encode)


@settings(max_examples=150, deadline=None)
@given(lines | st.binary(max_size=30))
def test_yolo(content):
    from PIL import Image

    layout = YoloDefinition(name="x", title="x", format="yolo", classes=["a"], splits={"t": YoloSplit(images="images")})
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for folder in ("images", "labels"):
            (root / folder).mkdir()
        Image.new("1", (10, 8)).save(root / "images/a.png")
        (root / "labels/a.txt").write_bytes(content)
        finish(lambda: read_yolo(layout, Reading(root=root, ledger=Ledger())))


rows = st.lists(st.lists(words | st.just("11"), max_size=9).map(",".join), max_size=5).map("\n".join).map(str.encode)
objects = st.lists(st.lists(st.integers(-1, 11), min_size=8, max_size=8), max_size=5)
typical = objects.map(lambda found: "\n".join(",".join(map(str, row)) for row in found).encode())


@settings(max_examples=100, deadline=None)
@given(rows | typical | st.binary(max_size=30))
def test_visdrone(content):
    from PIL import Image

    layout = VisdroneDefinition(name="x", title="x", format="visdrone", splits={"t": VisdroneSplit(folder="t")})
    with tempfile.TemporaryDirectory() as name:
        for folder in ("images", "annotations"):
            (Path(name) / "t" / folder).mkdir(parents=True)
        Image.new("1", (10, 8)).save(Path(name) / "t/images/a.png")
        (Path(name) / "t/annotations/a.txt").write_bytes(content)
        finish(lambda: read_visdrone(layout, Reading(root=Path(name), ledger=Ledger())))
