"""The evaluator against pycocotools, the reference, and its edge cases."""

from __future__ import annotations

import contextlib
import io
import random
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from detui.engine.errors import DataError
from detui.engine.evaluate import evaluate_boxes

NAMES = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
NAMES += ("AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large")


def reference(truth, detections):
    """pycocotools' twelve numbers and its precision array."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = truth
        known.createIndex()
        evaluation = COCOeval(known, known.loadRes([dict(entry) for entry in detections]), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(NAMES, evaluation.stats, strict=True)), evaluation.eval["precision"]


def same(ours, theirs):
    return ours is None if theirs == -1 else ours is not None and abs(ours - theirs) <= 1e-12


def assert_same(truth, detections):
    result = evaluate_boxes(truth, detections)
    stats, precision = reference(truth, detections)
    for name, value in stats.items():
        assert same(result.values[name], value), (name, result.values[name], value)
    for k, category in enumerate(truth["categories"]):
        for a, size in enumerate(("AP", "AP_small", "AP_medium", "AP_large")):
            numbers = precision[:, :, k, a, -1]
            value = numbers[numbers > -1].mean() if (numbers > -1).any() else -1
            assert same(result.values[f"{size}/{category['name']}"], value)
        numbers = precision[0, :, k, 0, -1]
        assert same(result.values[f"AP50/{category['name']}"], numbers.mean() if (numbers > -1).all() else -1)
    return result


def box(draw, side=None):
    side = side or draw.choice((8, 20, 32, 40, 96, 120))
    height = 1024 / side if draw.random() < 0.2 else draw.choice((8, 20, 32, 64, 100))
    return [draw.uniform(0, 300), draw.uniform(0, 300), float(side), float(height)]


def jitter(draw, values, amount):
    return [number + draw.uniform(-amount, amount) * max(values[2:]) for number in values[:2]] + [
        side * draw.uniform(1 - amount, 1 + amount) for side in values[2:]
    ]


def case(seed):
    """A random set with ties, crowds, empty images, empty classes, areas of exactly 1024, crowded images."""
    draw = random.Random(seed)
    classes = draw.randint(1, 4)
    images = [{"id": n, "width": 640, "height": 480, "file_name": f"{n}.png"} for n in range(1, draw.randint(2, 8))]
    truth, detections = [], []
    for image in images[: -1 if draw.random() < 0.5 else None]:
        for _ in range(draw.choice((0, 1, 5, 12))):
            place = box(draw)
            crowd = int(draw.random() < 0.1)
            category = draw.randint(1, classes)
            area = place[2] * place[3] * (draw.uniform(0.5, 1) if draw.random() < 0.2 else 1)
            truth.append({"id": len(truth) + 1, "image_id": image["id"], "category_id": category, "bbox": place,
                          "area": area, "iscrowd": crowd})  # fmt: skip
            for _ in range(draw.choice((0, 1, 1, 3))):
                detections.append(detection(draw, image, category, jitter(draw, place, draw.choice((0, 0.05, 0.3)))))
        for _ in range(draw.choice((0, 2, 150)) if draw.random() < 0.3 else 2):
            detections.append(detection(draw, image, draw.randint(1, classes + 1), box(draw)))
    categories = [{"id": n, "name": f"class {n}"} for n in range(1, classes + 2)]
    draw.shuffle(detections)
    return {"images": images, "annotations": truth, "categories": categories}, detections


def detection(draw, image, category, place):
    score = draw.choice((0.1, 0.5, 0.5, 0.9, draw.random()))
    return {"image_id": image["id"], "category_id": category, "bbox": place, "score": score}


@pytest.mark.parametrize("block", range(6))
def test_random_cases_equal_the_reference(block):
    compared = 0
    for seed in range(block * 50, block * 50 + 50):
        truth, detections = case(seed)
        if detections:  # the reference raises IndexError without any
            assert_same(truth, detections)
            compared += 1
    assert compared > 40


def tiny(**changes):
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 32, 32], "area": 1024, "iscrowd": 0}
    return {
        "images": [{"id": 1, "width": 100, "height": 100, "file_name": "a.png"}],
        "annotations": [annotation | changes],
        "categories": [{"id": 1, "name": "cell"}, {"id": 2, "name": "nothing"}],
    }


def found(**changes):
    return [{"image_id": 1, "category_id": 1, "bbox": [10, 10, 32, 32], "score": 0.9} | changes]


def test_area_of_exactly_1024_counts_as_small_and_as_medium():
    values = evaluate_boxes(tiny(), found()).values
    assert values["AP_small"] == pytest.approx(1) and values["AP_medium"] == pytest.approx(1)
    assert values["AP_large"] is None and values["AR_large"] is None


def test_class_without_boxes_is_not_available_rather_than_zero():
    result = evaluate_boxes(tiny(), found())
    assert result.values["AP/nothing"] is None and result.values["AP50/nothing"] is None
    assert result.curves["precision"]["all"]["nothing"] is None
    assert result.values["AP"] == pytest.approx(1)


def test_no_detections_score_zero_where_there_is_ground_truth():
    result = evaluate_boxes(tiny(), [])
    assert result.values["AP"] == 0 and result.values["AR100"] == 0 and result.values["AP_large"] is None
    assert result.detections == 0 and result.boxes == 1


def test_no_ground_truth_leaves_everything_not_available():
    truth = tiny() | {"annotations": []}
    assert set(evaluate_boxes(truth, found()).values.values()) == {None}


def test_curves_are_the_precision_array_at_half_overlap():
    truth, detections = next(pair for pair in map(case, range(99)) if len(pair[0]["annotations"]) > 20)
    result = assert_same(truth, detections)
    _, precision = reference(truth, detections)
    known = precision[0, :, :, 0, -1]
    known = known[:, (known > -1).all(axis=0)].mean(axis=1)
    assert np.allclose(result.curves["precision"]["all"]["all classes"], known, atol=1e-12)
    assert len(result.curves["recall"]) == 101 and result.curves["iou"] == 0.5


def test_nothing_is_printed(capfd):
    evaluate_boxes(tiny(), found())
    evaluate_boxes(tiny(), [])
    assert capfd.readouterr() == ("", "")


def test_a_segmentation_or_area_in_a_detection_changes_nothing():
    plain = evaluate_boxes(tiny(), found()).values
    assert evaluate_boxes(tiny(), found(area=5, segmentation=[[0, 0, 1, 1, 1, 0]])).values == plain


@pytest.mark.parametrize(
    ("detections", "reason"),
    [
        (found(image_id=7), "image_id 7"),
        (found(category_id=9), "category_id 9"),
        (found(image_id=True), "image_id True"),
        (found(score=float("nan")), "score nan"),
        (found(score="NaN"), "score 'NaN'"),
        (found(score=None), "score None"),
        (found(bbox=[1, 2, float("inf"), 4]), "no finite number"),
        (found(bbox=[1, 2, 3]), "is not [x, y, width, height]"),
        (found(bbox=[1, 2, -3, 4]), "negative size"),
        ([3], "int is no detection"),
        ({"detections": []}, "no list"),
    ],
)
def test_bad_detections_are_refused_by_name_and_place(detections, reason):
    with pytest.raises(DataError) as caught:
        evaluate_boxes(tiny(), detections, detections_name="val-epoch-0010.json")
    assert reason in str(caught.value) and "val-epoch-0010.json" in str(caught.value)


@pytest.mark.parametrize(
    ("truth", "reason"),
    [
        (tiny(id=0), "below 1"),
        (tiny(area=None), "area None"),
        (tiny(bbox=[1, 2, 3, float("nan")]), "no finite number"),
        (tiny(image_id=5), "image_id 5"),
        ({"images": [], "annotations": []}, "'categories'"),
        (tiny() | {"images": [{"id": 1}, {"id": 1}]}, "occurs twice"),
    ],
)
def test_bad_ground_truth_is_refused_by_name_and_place(truth, reason):
    with pytest.raises(DataError) as caught:
        evaluate_boxes(truth, found(), truth_name="val.json")
    assert reason in str(caught.value) and "val.json" in str(caught.value)


def blood_cells(folder: Path, images: int):
    """The first images of BCCD as COCO, read by hand: the evaluator's tests lean on no reader of ours."""
    truth = {"images": [], "annotations": [], "categories": []}
    classes = {"RBC": 1, "WBC": 2, "Platelets": 3}
    truth["categories"] = [{"id": number, "name": name} for name, number in classes.items()]
    for number, path in enumerate(sorted((folder / "Annotations").glob("*.xml"))[:images], start=1):
        root = ElementTree.parse(path).getroot()
        truth["images"].append({"id": number, "width": 640, "height": 480, "file_name": f"{path.stem}.jpg"})
        for entry in root.iter("object"):
            x0, y0, x1, y1 = (float(entry.findtext(f"bndbox/{k}")) for k in ("xmin", "ymin", "xmax", "ymax"))
            if x1 > x0 and y1 > y0:
                truth["annotations"].append(
                    {"id": len(truth["annotations"]) + 1, "image_id": number, "bbox": [x0, y0, x1 - x0, y1 - y0],
                     "category_id": classes[entry.findtext("name")], "area": (x1 - x0) * (y1 - y0), "iscrowd": 0}
                )  # fmt: skip
    return truth


def test_real_boxes_with_jitter_equal_the_reference(shared_data):
    truth = blood_cells(shared_data / "bccd" / "BCCD", 80)
    assert len(truth["annotations"]) > 800
    draw = random.Random(3)
    detections = [
        detection(draw, {"id": entry["image_id"]}, entry["category_id"], jitter(draw, entry["bbox"], amount))
        for entry in truth["annotations"]
        for amount in (0.02, 0.15)
        if draw.random() < 0.8
    ]
    result = assert_same(truth, detections)
    assert 0.2 < result.values["AP"] < 0.9 and result.boxes == len(truth["annotations"])
