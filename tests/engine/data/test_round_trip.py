"""COCO to the internal form to YOLO and back: nothing is lost but rounding."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detui.engine.data.boxes import clip, judge
from detui.engine.data.definition import YoloDefinition, YoloSplit
from detui.engine.data.form import Annotation, Image, Split
from detui.engine.data.problems import Ledger
from detui.engine.data.reading import Reading, no_progress
from detui.engine.data.writers import coco_json, write_yolo
from detui.engine.data.yolo import read_yolo

TOLERANCE = 1e-4
"""Pixels, of images up to 3000: nine decimals are written."""

sizes = st.tuples(st.integers(10, 3000), st.integers(10, 3000))


@st.composite
def boxes(draw, width: int, height: int):
    """A box inside the image, of at least a hundredth of a pixel."""
    x = draw(st.floats(0, width - 0.02))
    y = draw(st.floats(0, height - 0.02))
    return x, y, draw(st.floats(0.01, width - x)), draw(st.floats(0.01, height - y))


@st.composite
def splits(draw):
    width, height = draw(sizes)
    found = draw(st.lists(st.tuples(st.integers(1, 3), boxes(width, height)), max_size=8, unique_by=_rounded))
    image = Image(id=draw(st.integers(0, 10**12 - 1)), file="a.png", width=width, height=height, source="x")
    annotations = tuple(
        Annotation(id=n, image_id=image.id, category_id=c, box=clip(b, width, height), area=b[2] * b[3])
        for n, (c, b) in enumerate(found, 1)
    )
    return Split(name="train", images=(image,), annotations=annotations, declared_images=1, declared_boxes={})


def _rounded(item):
    category, box = item
    return category, *(round(value, 3) for value in box)


@settings(max_examples=60, deadline=None)
@given(splits())
def test_there_and_back(split):
    from PIL import Image as Pillow

    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        image = split.images[0]
        Pillow.new("1", (image.width, image.height)).save(root / "a.png")
        write_yolo(root / "yolo", {"train": split}, ("a", "b", "c"), root, no_progress)
        layout = YoloDefinition(
            name="x",
            title="x",
            format="yolo",
            classes=["a", "b", "c"],
            splits={"train": YoloSplit(images="images/train")},
        )
        ledger = Ledger()
        back = read_yolo(layout, Reading(root=root / "yolo", ledger=ledger)).splits["train"]
    assert ledger.summary() == ()
    assert (back.images[0].width, back.images[0].height) == (image.width, image.height)
    assert int(Path(back.images[0].file).stem) == image.id
    assert [a.category_id for a in back.annotations] == [a.category_id for a in split.annotations]
    for ours, theirs in zip(split.annotations, back.annotations, strict=True):
        assert theirs.box == pytest.approx(ours.box, abs=TOLERANCE)


@settings(max_examples=60, deadline=None)
@given(splits())
def test_json_is_whole(split):
    value = coco_json(split, ("a", "b", "c"))
    assert [a["bbox"] for a in value["annotations"]] == [list(a.box) for a in split.annotations]
    assert all(a["id"] >= 1 and a["area"] > 0 for a in value["annotations"])


numbers = st.floats(allow_nan=True, allow_infinity=True, width=32)


@settings(max_examples=300, deadline=None)
@given(st.tuples(numbers, numbers, numbers, numbers), sizes)
def test_what_is_judged_sound_clips_to_a_box_inside(box, size):
    kind, _ = judge(box, *size)
    if kind in ("", "beyond_border"):
        x, y, w, h = clip(box, *size)
        assert w >= 0 and h >= 0
        assert 0 <= x <= size[0] and 0 <= y <= size[1]
        assert x + w <= size[0] * (1 + 1e-9) and y + h <= size[1] * (1 + 1e-9)
