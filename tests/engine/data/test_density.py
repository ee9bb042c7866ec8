"""Objects per image, sizes and classes of a split."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detui.engine.configuration import Configuration
from detui.engine.data import load_definition, open_dataset
from detui.engine.data.density import composition, size_of_area
from detui.engine.data.form import Annotation, Image, Split


def split_with(counts: list[int], crowd: int = 0) -> Split:
    """One image for each count; `crowd` regions more on the first."""
    images = tuple(Image(id=n, file=f"{n}.png", width=9, height=9, source="x") for n in range(len(counts)))
    owners = [n for n, count in enumerate(counts) for _ in range(count)]
    annotations = [
        Annotation(id=i, image_id=owner, category_id=1 + i % 2, box=(0, 0, 1, 1), area=1.0, crowd=i > len(owners))
        for i, owner in enumerate([*owners, *[0] * crowd], 1)
    ]
    return Split(
        name="s", images=images, annotations=tuple(annotations), declared_images=len(images), declared_boxes={}
    )


@given(st.lists(st.integers(0, 130), min_size=1, max_size=40))
def test_statistics_agree_with_numpy(counts: list[int]) -> None:
    found = composition(split_with(counts), ("a", "b")).objects_per_image
    assert found is not None
    assert found.mean == pytest.approx(np.mean(counts))
    assert found.median == np.median(counts)
    assert found.p90 == np.percentile(counts, 90, method="inverted_cdf")
    assert found.max == max(counts)
    assert sum(found.histogram.values()) == len(counts)


def test_bins_say_what_they_hold() -> None:
    found = composition(split_with([0, 1, 2, 3, 4, 5, 9, 10, 99, 100, 250]), ("a", "b")).objects_per_image
    assert found is not None
    assert found.histogram == {"0": 1, "1": 1, "2": 1, "3-4": 2, "5-9": 2, "10-14": 1, "15-19": 0, "20-29": 0,
                               "30-49": 0, "50-99": 1, "100+": 2}  # fmt: skip
    few = composition(split_with([3, 3]), ("a", "b")).objects_per_image
    assert few is not None and list(few.histogram) == ["0", "1", "2", "3-4"]


def test_crowd_is_no_object() -> None:
    found = composition(split_with([2, 0], crowd=3), ("a", "b", "c"))
    assert found.objects == 2
    assert found.objects_by_class == {"a": 1, "b": 1, "c": 0}
    assert found.sizes == {"small": 2, "medium": 0, "large": 0}


def test_an_empty_split() -> None:
    found = composition(split_with([]), ("a",))
    assert (found.objects, found.objects_per_image) == (0, None)


@pytest.mark.parametrize(
    ("area", "name"), [(1023.9, "small"), (1024, "medium"), (9215.9, "medium"), (9216, "large"), (1e6, "large")]
)
def test_sizes(area: float, name: str) -> None:
    assert size_of_area(area) == name


def test_scenes_have_the_density_that_was_asked_for(tmp_path: Path) -> None:
    configuration = Configuration.load(environ={"HOME": str(tmp_path), "DETUI_WORKSPACE": str(tmp_path / "w")})
    definition = load_definition("scenes")
    for low, high in ((2, 3), (6, 8)):
        dataset = open_dataset(
            definition, configuration, options={"objects": [low, high]}, splits=("val",), limits={"val": 12}
        )
        split = dataset.splits["val"]
        found = composition(split, dataset.classes)
        assert found.objects_per_image is not None
        assert low <= found.objects_per_image.mean <= high and found.objects_per_image.max <= high
        by_image = [sum(a.image_id == image.id for a in split.annotations) for image in split.images]
        assert found.objects_per_image.median == statistics.median(by_image)
