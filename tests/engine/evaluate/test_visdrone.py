"""VisDrone's metric, counted by hand and held to the reference."""

from __future__ import annotations

import random
from typing import Any

import pytest
from coco_cases import random_case

from detui.engine.errors import UsageError
from detui.engine.evaluate import evaluate
from detui.engine.evaluate.visdrone import drop, evaluate_visdrone

IMAGES = [{"id": n, "width": 200, "height": 100} for n in (1, 2, 3)]
CLASSES = [{"id": 1, "name": "car"}, {"id": 2, "name": "bus"}]


def scene(boxes: list[tuple[int, int, list[float]]], regions: list[tuple[int, list[float]]]) -> dict[str, Any]:
    annotations = [
        {"id": n, "image_id": image, "category_id": category, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for n, (image, category, box) in enumerate(boxes, start=1)
    ]
    ignored = [{"image_id": image, "bbox": box} for image, box in regions]
    return {"images": IMAGES, "annotations": annotations, "categories": CLASSES, "ignore_regions": ignored}


def said(image: int, category: int, box: list[float], score: float = 0.9) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": box, "score": score}


@pytest.mark.parametrize(
    ("regions", "kept"),
    [
        ([], True),
        ([[0.0, 0.0, 29.0, 100.0]], True),  # 19 of 40 columns
        ([[0.0, 0.0, 30.0, 100.0]], False),  # exactly half
        ([[10.0, 10.0, 10.0, 40.0], [40.0, 10.0, 10.0, 40.0]], False),  # the union of two quarters
        ([[10.0, 10.0, 15.0, 40.0], [10.0, 10.0, 15.0, 40.0]], True),  # the same part twice is one part
        ([[-50.0, -50.0, 80.0, 400.0]], False),  # a region over the border
    ],
)
def test_what_lies_in_ignore_regions_is_dropped(regions: list[list[float]], kept: bool) -> None:
    box = [10.0, 10.0, 40.0, 40.0]
    truth = scene([(1, 1, box), (2, 1, box)], [(1, region) for region in regions])
    left, detections = drop(truth, [said(1, 1, box), said(2, 1, box)])
    assert [a["image_id"] for a in left["annotations"]] == ([1, 2] if kept else [2])
    assert [d["image_id"] for d in detections] == ([1, 2] if kept else [2]), "another image's regions do not count"


def test_others_are_nobodys_business() -> None:
    box = [10.0, 10.0, 40.0, 40.0]
    truth = scene([(1, 1, box), (2, 11, box)], [])
    truth["categories"] = [*CLASSES, {"id": 11, "name": "others"}]
    values = evaluate_visdrone(truth, [said(1, 1, box), said(3, 11, box, 0.99)])
    assert values["AP"] == pytest.approx(1.0) and values["official_AP"] == pytest.approx(1.0)
    assert "AP/others" not in values


def test_a_false_alarm_in_a_region_costs_nothing() -> None:
    box, region = [10.0, 10.0, 40.0, 40.0], [120.0, 0.0, 80.0, 100.0]
    truth = scene([(1, 1, box)], [(1, region)])
    detections = [said(1, 1, [130.0, 20.0, 30.0, 30.0], 0.99), said(1, 1, box, 0.5)]
    assert evaluate_visdrone(truth, detections)["AP"] == pytest.approx(1.0)
    without = evaluate({key: truth[key] for key in ("images", "annotations", "categories")}, detections)
    assert without.values["AP"] == pytest.approx(0.5)


def test_the_toolkit_weights_classes_by_the_images_they_are_in() -> None:
    """Cars on three images all found, one bus on one image never: (3 × 1 + 1 × 0) / 4, where COCO's mean is 1 / 2."""
    box = [10.0, 10.0, 40.0, 40.0]
    truth = scene([(1, 1, box), (2, 1, box), (3, 1, box), (1, 2, [100.0, 10.0, 40.0, 40.0])], [])
    values = evaluate_visdrone(truth, [said(n, 1, box) for n in (1, 2, 3)])
    assert values["AP"] == pytest.approx(0.5) and values["official_AP"] == pytest.approx(0.75)


def test_the_toolkit_takes_the_whole_curve() -> None:
    """One of two found at once, the other after one false alarm: precision 1 up to recall 1/2, then 2/3."""
    box, other = [10.0, 10.0, 40.0, 40.0], [100.0, 10.0, 40.0, 40.0]
    truth = scene([(1, 1, box), (1, 1, other)], [])
    detections = [said(1, 1, box, 0.9), said(1, 1, [60.0, 60.0, 9.0, 9.0], 0.8), said(1, 1, other, 0.7)]
    values = evaluate_visdrone(truth, detections)
    assert values["official_AP50"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert values["AP50"] == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


def test_up_to_500_detections() -> None:
    box = [10.0, 10.0, 40.0, 40.0]
    noise = [said(1, 1, [120.0, 60.0, 8.0, 8.0], 0.9 - n / 10000) for n in range(450)]
    truth = scene([(1, 1, box)], [])
    assert (evaluate_visdrone(truth, [*noise, said(1, 1, box, 0.1)])["AP50"] or 0) > 0
    assert evaluate({**truth}, [*noise, said(1, 1, box, 0.1)]).values["AP50"] == 0


@pytest.mark.parametrize("seed", range(10))
def test_without_regions_it_is_coco_with_500_detections(seed: int) -> None:
    truth, detections = random_case(random.Random(seed))
    few = [entry for rank, entry in enumerate(detections) if rank < 90]
    values = evaluate_visdrone({**truth, "ignore_regions": []}, few)
    expected = evaluate(truth, few).values
    for name in ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"):
        value = expected[name]
        assert values[name] == (None if value is None else pytest.approx(value, abs=1e-12)), name


def test_a_data_set_without_the_notion_is_refused() -> None:
    truth, detections = random_case(random.Random(0))
    with pytest.raises(UsageError, match="no ignore regions") as caught:
        evaluate_visdrone(truth, detections, truth_name="val.json")
    assert "val.json" in str(caught.value) and "--metric coco" in str(caught.value)
