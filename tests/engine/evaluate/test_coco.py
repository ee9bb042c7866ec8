"""The evaluator against pycocotools, the reference, and its edge cases."""

from __future__ import annotations

import contextlib
import io
import random
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from coco_cases import detection, jitter, random_case

from detui.engine.errors import DataError
from detui.engine.evaluate import evaluate

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
    result = evaluate(truth, detections)
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


@pytest.mark.parametrize("block", range(6))
def test_random_cases_equal_the_reference(block):
    compared = 0
    for seed in range(block * 50, block * 50 + 50):
        truth, detections = random_case(random.Random(seed))
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
    values = evaluate(tiny(), found()).values
    assert values["AP_small"] == pytest.approx(1) and values["AP_medium"] == pytest.approx(1)
    assert values["AP_large"] is None and values["AR_large"] is None


def test_class_without_boxes_is_not_available_rather_than_zero():
    result = evaluate(tiny(), found())
    assert result.values["AP/nothing"] is None and result.values["AP50/nothing"] is None
    assert result.curves["precision"]["all"]["nothing"] is None
    assert result.values["AP"] == pytest.approx(1)


def test_no_detections_score_zero_where_there_is_ground_truth():
    result = evaluate(tiny(), [])
    assert result.values["AP"] == 0 and result.values["AR100"] == 0 and result.values["AP_large"] is None
    assert result.detections == 0 and result.boxes == 1


def test_no_ground_truth_leaves_everything_not_available():
    truth = tiny() | {"annotations": []}
    assert set(evaluate(truth, found()).values.values()) == {None}


def test_curves_are_the_precision_array_at_half_overlap():
    truth, detections = next(
        p for p in (random_case(random.Random(n)) for n in range(99)) if len(p[0]["annotations"]) > 20
    )
    result = assert_same(truth, detections)
    _, precision = reference(truth, detections)
    known = precision[0, :, :, 0, -1]
    known = known[:, (known > -1).all(axis=0)].mean(axis=1)
    assert np.allclose(result.curves["precision"]["all"]["all classes"], known, atol=1e-12)
    assert len(result.curves["recall"]) == 101 and result.curves["iou"] == 0.5


def test_nothing_is_printed(capfd):
    evaluate(tiny(), found())
    evaluate(tiny(), [])
    assert capfd.readouterr() == ("", "")


def test_a_segmentation_or_area_in_a_detection_changes_nothing():
    plain = evaluate(tiny(), found()).values
    assert evaluate(tiny(), found(area=5, segmentation=[[0, 0, 1, 1, 1, 0]])).values == plain


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
        evaluate(tiny(), detections, detections_name="val-epoch-0010.json")
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
        evaluate(truth, found(), truth_name="val.json")
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


def masks_of(truth, detections):
    """The same with masks: each box's own pixels, as polygons there and as run lengths here."""
    from pycocotools import mask

    sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
    outlined = [{**a, "segmentation": [_outline(a["bbox"])]} for a in truth["annotations"]]
    found = []
    for entry in detections:
        height, width = sizes[entry["image_id"]]
        lengths = mask.merge(mask.frPyObjects([_outline(entry["bbox"])], height, width))
        found.append({**entry, "segmentation": {**lengths, "counts": lengths["counts"].decode()}})
    return {**truth, "annotations": outlined}, found


def _outline(box):
    x, y, w, h = box
    return [x, y, x + w, y, x + w, y + h, x, y + h]


@pytest.mark.parametrize("seed", range(12))
def test_masks_equal_the_reference(seed):
    truth, detections = masks_of(*random_case(random.Random(seed)))
    for annotation in truth["annotations"]:  # a crowd region is run lengths in COCO's files
        annotation["iscrowd"] = 0
    if not detections:
        return
    ours = evaluate(truth, detections).values
    theirs = evaluate(truth, detections, library="pycocotools").values
    assert ours.keys() == theirs.keys() and "mask_AP_small" in ours
    for name, value in theirs.items():
        assert (ours[name] is None) == (value is None) and (value is None or abs(ours[name] - value) <= 1e-12), name


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"segmentation": None}, "no run lengths"),
        ({"segmentation": {"size": [1, 2], "counts": "a"}}, r"has the size \[1, 2\], the image \[100, 100\]"),
        ({"segmentation": {"size": [100, 100], "counts": None}}, "no run lengths"),
    ],
)
def test_a_wrong_mask_is_named(change, says):
    truth, detections = masks_of(tiny(), found() + found(score=0.5))
    detections[1] |= change
    with pytest.raises(DataError, match=says) as caught:
        evaluate(truth, detections, detections_name="masks.json")
    assert "masks.json: [1]" in str(caught.value)


def test_masks_need_masks_to_compare_with():
    _, detections = masks_of(tiny(), found())
    with pytest.raises(DataError, match=r"annotations\[0\] of the ground truth has none"):
        evaluate(tiny(), detections)


@pytest.mark.parametrize("seed", range(10))
def test_the_reference_can_be_asked_for(seed):
    truth, detections = random_case(random.Random(100 + seed))
    ours, theirs = evaluate(truth, detections), evaluate(truth, detections, library="pycocotools")
    assert detections and theirs.evaluator.startswith("pycocotools ")
    for name, value in theirs.values.items():
        assert value == pytest.approx(ours.values[name], abs=1e-12), name
    assert evaluate(truth, [], library="pycocotools").values["AP"] in (0.0, None)
