"""VisDrone's metric, counted by hand and held to the reference."""

from __future__ import annotations

import contextlib
import io
import random
from typing import Any

import numpy as np
import pytest
from coco_cases import random_case

from detui.engine.errors import DataError, UsageError
from detui.engine.evaluate import evaluate, judge
from detui.engine.evaluate.bootstrap import compare_on_images
from detui.engine.evaluate.regions import drop
from detui.engine.evaluate.visdrone import evaluate_visdrone

IMAGES = [{"id": n, "width": 200, "height": 100} for n in (1, 2, 3)]
CLASSES = [{"id": 1, "name": "car"}, {"id": 2, "name": "bus"}]

NAMES = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")


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
    values = evaluate_visdrone(truth, [said(1, 1, box), said(3, 11, box, 0.99)]).values
    assert values["AP"] == pytest.approx(1.0) and values["official_AP"] == pytest.approx(1.0)
    assert "AP/others" not in values


def test_a_false_alarm_in_a_region_costs_nothing() -> None:
    box, region = [10.0, 10.0, 40.0, 40.0], [120.0, 0.0, 80.0, 100.0]
    truth = scene([(1, 1, box)], [(1, region)])
    detections = [said(1, 1, [130.0, 20.0, 30.0, 30.0], 0.99), said(1, 1, box, 0.5)]
    assert evaluate_visdrone(truth, detections).values["AP"] == pytest.approx(1.0)
    without = evaluate({key: truth[key] for key in ("images", "annotations", "categories")}, detections)
    assert without.values["AP"] == pytest.approx(0.5)


def test_the_toolkit_weights_classes_by_the_images_they_are_in() -> None:
    """Cars on three images all found, one bus on one image never: (3 × 1 + 1 × 0) / 4, where COCO's mean is 1 / 2."""
    box = [10.0, 10.0, 40.0, 40.0]
    truth = scene([(1, 1, box), (2, 1, box), (3, 1, box), (1, 2, [100.0, 10.0, 40.0, 40.0])], [])
    values = evaluate_visdrone(truth, [said(n, 1, box) for n in (1, 2, 3)]).values
    assert values["AP"] == pytest.approx(0.5) and values["official_AP"] == pytest.approx(0.75)


def test_the_toolkit_takes_the_whole_curve() -> None:
    """One of two found at once, the other after one false alarm: precision 1 up to recall 1/2, then 2/3."""
    box, other = [10.0, 10.0, 40.0, 40.0], [100.0, 10.0, 40.0, 40.0]
    truth = scene([(1, 1, box), (1, 1, other)], [])
    detections = [said(1, 1, box, 0.9), said(1, 1, [60.0, 60.0, 9.0, 9.0], 0.8), said(1, 1, other, 0.7)]
    values = evaluate_visdrone(truth, detections).values
    assert values["official_AP50"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert values["AP50"] == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


def test_up_to_500_detections() -> None:
    box = [10.0, 10.0, 40.0, 40.0]
    noise = [said(1, 1, [120.0, 60.0, 8.0, 8.0], 0.9 - n / 10000) for n in range(450)]
    truth = scene([(1, 1, box)], [])
    assert (evaluate_visdrone(truth, [*noise, said(1, 1, box, 0.1)]).values["AP50"] or 0) > 0
    assert evaluate({**truth}, [*noise, said(1, 1, box, 0.1)]).values["AP50"] == 0


@pytest.mark.parametrize("seed", range(10))
def test_without_regions_it_is_coco_with_500_detections(seed: int) -> None:
    truth, detections = random_case(random.Random(seed))
    few = [entry for rank, entry in enumerate(detections) if rank < 90]
    values = evaluate_visdrone({**truth, "ignore_regions": []}, few).values
    expected = evaluate(truth, few).values
    for name in NAMES:
        value = expected[name]
        assert values[name] == (None if value is None else pytest.approx(value, abs=1e-12)), name


def test_a_data_set_without_the_notion_is_refused() -> None:
    truth, detections = random_case(random.Random(0))
    with pytest.raises(UsageError, match="no ignore regions") as caught:
        evaluate_visdrone(truth, detections, truth_name="val.json")
    assert "val.json" in str(caught.value) and "--metric coco" in str(caught.value)


def covered(box: list[float], regions: list[list[float]], width: int, height: int) -> bool:
    """The drop step pixel by pixel, with nothing of the evaluator's."""
    ignored = np.zeros((height, width), bool)
    for x, y, w, h in regions:
        ignored[max(0, round(y)) : max(0, round(y + h)), max(0, round(x)) : max(0, round(x + w))] = True
    x, y, w, h = box
    own = ignored[max(0, round(y)) : max(0, round(y + h)), max(0, round(x)) : max(0, round(x + w))]
    return own.size > 0 and own.sum() >= own.size / 2


def case_with_regions(draw: random.Random) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A random case with overlapping regions, some over the border, `others`, and an image with many detections."""
    truth, detections = random_case(draw)
    for image in truth["images"]:
        image |= {"width": 320, "height": 240}
    names = ["others" if n == 2 and draw.random() < 0.3 else c["name"] for n, c in enumerate(truth["categories"])]
    truth["categories"] = [c | {"name": name} for c, name in zip(truth["categories"], names, strict=True)]
    truth["ignore_regions"] = [
        {"image_id": image["id"], "bbox": [draw.randint(-40, 300), draw.uniform(-40, 220), draw.randint(1, 150), 70.0]}
        for image in truth["images"]
        for _ in range(draw.choice((0, 0, 1, 3)))
    ]
    if draw.random() < 0.5:
        places = [[draw.uniform(0, 280), draw.uniform(0, 200), 20.0, 20.0] for _ in range(700)]
        many = [said(1, draw.choice((1, 1, 1, 2)), place, draw.random() / 2) for place in places]
        detections = [*many, *detections]
    return truth, detections


def dropped(truth: dict[str, Any], detections: list[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The case after the drop step, by pixels."""
    regions = {image["id"]: [r["bbox"] for r in truth["ignore_regions"] if r["image_id"] == image["id"]]
               for image in truth["images"]}  # fmt: skip
    judged = {c["id"] for c in truth["categories"] if c["name"] != "others"}
    annotations, kept = (
        [e for e in entries if e["category_id"] in judged and not covered(e["bbox"], regions[e["image_id"]], 320, 240)]
        for entries in (truth["annotations"], detections)
    )
    categories = [c for c in truth["categories"] if c["id"] in judged]
    return {"images": truth["images"], "annotations": annotations, "categories": categories}, kept


def reference(truth: dict[str, Any], detections: list[dict[str, Any]]) -> dict[str, float | None]:
    """pycocotools at 1, 10, 100 and 500 detections; what it cannot know is None."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = {**truth, "annotations": [dict(entry) for entry in truth["annotations"]]}
        known.createIndex()
        evaluation = COCOeval(known, known.loadRes([dict(entry) for entry in detections]), "bbox")
        evaluation.params.maxDets = [1, 10, 100, 500]
        evaluation.evaluate()
        evaluation.accumulate()
    precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]

    def mean(numbers: Any) -> float | None:
        return float(numbers[numbers > -1].mean()) if (numbers > -1).any() else None

    sizes = ("", "_small", "_medium", "_large")
    values = {f"AP{size}": mean(precision[:, :, :, a, -1]) for a, size in enumerate(sizes)}
    values |= {"AP50": mean(precision[0, :, :, 0, -1]), "AP75": mean(precision[5, :, :, 0, -1])}
    values |= {f"AR{number}": mean(recall[:, :, 0, m]) for m, number in enumerate((1, 10, 100, 500))}
    values |= {f"AR{size}": mean(recall[:, :, a, -1]) for a, size in enumerate(sizes) if size}
    for k, category in enumerate(truth["categories"]):
        values |= {f"AP{size}/{category['name']}": mean(precision[:, :, k, a, -1]) for a, size in enumerate(sizes)}
        values[f"AP50/{category['name']}"] = mean(precision[0, :, k, 0, -1])
    return values


def assert_equal(ours: dict[str, float | None], theirs: dict[str, float | None]) -> None:
    for name, value in theirs.items():
        assert ours[name] == (None if value is None else pytest.approx(value, abs=1e-12)), name


@pytest.mark.parametrize("block", range(2))
def test_the_main_metric_is_the_reference_after_the_drop_step(block: int) -> None:
    crowded = several = 0
    for seed in range(block * 25, block * 25 + 25):
        truth, detections = case_with_regions(random.Random(seed))
        known, kept = dropped(truth, detections)
        if not kept or not known["annotations"]:
            continue
        result = evaluate_visdrone(truth, detections)
        assert_equal(result.values, reference(known, kept))
        assert (result.boxes, result.detections) == (sum(not a["iscrowd"] for a in known["annotations"]), len(kept))
        assert (result.max_dets, result.metric) == (500, "visdrone") and "drop step" in result.evaluator
        crowded += len(kept) > 500
        several += len(known["annotations"]) < len(truth["annotations"])
    assert crowded > 2 and several > 3


def test_the_reference_itself_can_compute() -> None:
    truth, detections = case_with_regions(random.Random(3))
    ours = evaluate_visdrone(truth, detections)
    theirs = evaluate_visdrone(truth, detections, library="pycocotools")
    assert theirs.evaluator.startswith("pycocotools") and theirs.max_dets == 500
    assert_equal(ours.values, theirs.values)


def toolkit(truth: dict[str, Any], detections: list[dict[str, Any]]) -> list[float]:
    """What the official toolkit does with a case after the drop step, one box after the other: AP, AP50, AP75."""
    from hotcoco.primitives import bbox_iou

    weights, areas = [], []
    for category in truth["categories"]:
        by_threshold = []
        for level in np.arange(10) / 20 + 0.5:
            boxes, verdicts = 0, []
            for image in truth["images"]:
                mine = [a for a in truth["annotations"] if a["image_id"] == image["id"]]
                mine = [a for a in mine if a["category_id"] == category["id"]]
                mine.sort(key=lambda a: a["iscrowd"])  # boxes that are judged are preferred
                boxes += len(mine)
                there = sorted((d for d in detections if d["image_id"] == image["id"]), key=lambda d: -d["score"])
                there = [d for d in there[:500] if d["category_id"] == category["id"]]
                taken: set[int] = set()
                for d in there:
                    best, at = min(level, 1 - 1e-10), None
                    for g, a in enumerate(mine):
                        if g in taken or (at is not None and not mine[at]["iscrowd"] and a["iscrowd"]):
                            continue
                        overlap = bbox_iou(np.array([d["bbox"]]), np.array([a["bbox"]]), np.array([a["iscrowd"] > 0]))
                        if overlap[0, 0] >= best:
                            best, at = overlap[0, 0], g
                    if at is None:
                        verdicts.append((d["score"], 0))
                    elif not mine[at]["iscrowd"]:
                        taken.add(at)
                        verdicts.append((d["score"], 1))
            verdicts.sort(key=lambda one: -one[0])
            hits = np.cumsum([hit for _, hit in verdicts])
            precision = hits / np.arange(1, len(hits) + 1)
            area = sum(hit * max(precision[n:]) for n, (_, hit) in enumerate(verdicts))
            by_threshold.append(area / max(boxes, 1))
        images = {a["image_id"] for a in truth["annotations"] if a["category_id"] == category["id"]}
        weights.append(len(images))
        areas.append(by_threshold)
    mean = np.average(np.array(areas), axis=0, weights=weights)
    return [float(mean.mean()), float(mean[0]), float(mean[5])]


@pytest.mark.parametrize("seed", range(8))
def test_the_official_numbers_are_the_toolkits(seed: int) -> None:
    truth, detections = case_with_regions(random.Random(seed))
    for rank, entry in enumerate(detections):  # without ties, which each library may order as it likes
        entry["score"] = (rank * 7919 % 10007) / 10007
    known, kept = dropped(truth, detections)
    values = evaluate_visdrone(truth, detections).values
    found = [values[f"official_{name}"] for name in ("AP", "AP50", "AP75")]
    if known["annotations"]:
        assert found == pytest.approx(toolkit(known, kept), abs=1e-12)
    else:
        assert found == [None, None, None]


def test_a_box_that_is_not_judged_harms_nobody_in_the_main_metric() -> None:
    """Score 0: found or not, AP is 1. The toolkit forgives detections on it too, but its recall wants it found."""
    box, other = [10.0, 10.0, 40.0, 40.0], [100.0, 10.0, 40.0, 40.0]
    truth = scene([(1, 1, box), (1, 1, other)], [])
    truth["annotations"][1]["iscrowd"] = 1
    for detections in ([said(1, 1, box)], [said(1, 1, other, 0.99), said(1, 1, box)]):
        values = evaluate_visdrone(truth, detections).values
        assert values["AP"] == pytest.approx(1.0) and values["official_AP"] == pytest.approx(0.5)


def test_the_toolkit_takes_500_detections_of_an_image_over_all_classes() -> None:
    box = [10.0, 10.0, 40.0, 40.0]
    truth = scene([(1, 1, box)], [])
    noise = [said(1, 2, [120.0, 60.0, 8.0, 8.0], 0.9 - n / 10000) for n in range(500)]
    values = evaluate_visdrone(truth, [*noise, said(1, 1, box, 0.1)]).values
    assert values["AP"] == pytest.approx(1.0) and values["official_AP"] == 0
    assert evaluate_visdrone(truth, [*noise[1:], said(1, 1, box, 0.1)]).values["official_AP"] == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(20))
def test_the_drop_step_is_that_of_pixels(seed: int) -> None:
    truth, detections = case_with_regions(random.Random(seed + 1000))
    known, kept = drop(truth, detections)
    expected, rest = dropped(truth, detections)
    assert known["annotations"] == expected["annotations"] and kept == rest
    assert known["categories"] == expected["categories"]
    again, same = drop(known, kept)
    assert (again, same) == (known, kept), "twice is once"


def test_the_metric_is_the_one_that_the_ground_truth_calls_for() -> None:
    truth, detections = case_with_regions(random.Random(5))
    plain = {key: value for key, value in truth.items() if key != "ignore_regions"}
    assert judge(truth, detections) == evaluate_visdrone(truth, detections)
    assert judge(plain, detections) == evaluate(plain, detections)
    assert judge(truth, detections, metric="coco") == evaluate(truth, detections)
    assert drop(plain, detections) == (plain, detections)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ignore_regions": {}}, "'ignore_regions' is no list"),
        ({"ignore_regions": [3]}, "int is no region"),
        ({"ignore_regions": [{"image_id": 9, "bbox": [0, 0, 1, 1]}]}, "ignore_regions[0]: image_id 9"),
        ({"ignore_regions": [{"image_id": 1, "bbox": [0, 0, 1]}]}, "ignore_regions[0]: bbox [0, 0, 1]"),
        ({"ignore_regions": [{"image_id": 1, "bbox": [0, 0, 1, float("nan")]}]}, "no finite number"),
        ({"ignore_regions": [{"image_id": 1}]}, "bbox None"),
        ({"images": [{"id": n} for n in (1, 2, 3)]}, "images[0]: The width None"),
        ({"images": [{"id": n, "width": 9, "height": 0} for n in (1, 2, 3)]}, "images[0]: The height 0"),
    ],
)
def test_regions_that_cannot_be_used_are_named(change: dict[str, Any], says: str) -> None:
    truth = scene([(1, 1, [10.0, 10.0, 40.0, 40.0])], []) | change
    with pytest.raises(DataError) as caught:
        judge(truth, [], truth_name="val.json")
    assert says in str(caught.value) and "val.json" in str(caught.value)


def test_nothing_detected_and_nothing_to_detect() -> None:
    truth = scene([(1, 1, [10.0, 10.0, 40.0, 40.0])], [(2, [0.0, 0.0, 9.0, 9.0])])
    values = judge(truth, []).values
    assert values["AP"] == values["AR500"] == values["official_AP"] == 0
    empty = judge(scene([], []), [said(1, 1, [10.0, 10.0, 40.0, 40.0])]).values
    assert empty["AP"] is None and empty["official_AP"] is None


@pytest.mark.parametrize("seed", range(4))
def test_the_bootstrap_judges_the_same_way(seed: int) -> None:
    truth, detections = case_with_regions(random.Random(seed))
    truth["images"] = [*truth["images"], {"id": 99, "width": 320, "height": 240}]  # at least two
    fewer = detections[::2]
    first, second = (judge(truth, side).values for side in (detections, fewer))
    deltas = {one.metric: one for one in compare_on_images(truth, detections, fewer, replicates=50)}
    assert {name for name in NAMES if first[name] is not None} == deltas.keys() & set(NAMES)
    for name, one in deltas.items():
        assert (one.first, one.second) == pytest.approx((first[name], second[name]), abs=1e-12), name
