"""The highest-loss misses and the views of small objects: which are chosen, and that they are drawn as said."""

from __future__ import annotations

import math

import pytest
from weighted import Weighted

from detui.engine.record import miss_pictures, pictures, small_objects
from detui.engine.record.failure_pictures import sheets as failure_sheets
from detui.engine.record.gather import gather
from detui.engine.record.misses import FLOOR, highest
from detui.engine.record.small_objects import around, is_small, window
from detui.engine.run.files import read_json, write_json


def truth(*boxes, images=3, **more):
    """Boxes as (image, class, bbox)."""
    return {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 100, "height": 100} for n in range(1, images + 1)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "others"}],
        "annotations": [
            {"id": number, "image_id": image, "category_id": category, "bbox": box, "area": box[2] * box[3],
             "iscrowd": int(bool(crowd))}
            for number, (image, category, box, *crowd) in enumerate(boxes, start=1)
        ],
        **more,
    }  # fmt: skip


def said(image, box, score=0.8, category=1):
    return {"image_id": image, "category_id": category, "bbox": box, "score": score}


HERE, WIDE = [10, 10, 20, 20], [10, 10, 40, 20]


def test_the_loss_is_that_of_the_best_product_of_confidence_and_overlap():
    known = truth((1, 1, HERE))
    weak, half = said(1, HERE, 0.3), said(1, WIDE, 0.9)  # products 0.3 and 0.45
    (miss,) = highest(known, [[weak, half, said(1, HERE, 0.99, category=2), said(2, HERE, 0.99)]])
    assert miss.best[0].product == pytest.approx(0.45) and miss.best[0].detection == half
    assert miss.loss == pytest.approx(-math.log(0.45))


def test_nothing_that_overlaps_costs_the_floor_and_an_exact_sure_hit_nothing():
    known = truth((1, 1, HERE))
    (miss,) = highest(known, [[said(1, [70, 70, 5, 5])], [], [said(1, HERE, 1.0)]])
    assert [one.loss for one in miss.best] == [-math.log(FLOOR), -math.log(FLOOR), 0.0]
    assert miss.best[0].detection is None and miss.loss == pytest.approx(-2 * math.log(FLOOR) / 3)


def test_the_worst_come_first_one_an_image_and_of_equal_ones_the_larger():
    known = truth((1, 1, HERE), (1, 1, [50, 50, 30, 30]), (2, 1, WIDE), (3, 1, HERE), (2, 1, HERE, "crowd"))
    found = highest(known, [[said(3, HERE, 0.5)]])
    assert [miss.box["id"] for miss in found] == [2, 3, 4, 1]
    assert [miss.box["id"] for miss in highest(known, [[said(3, HERE, 0.5)]], rows=2)] == [2, 3]


def test_what_the_datas_metric_drops_is_no_miss():
    known = truth((1, 1, HERE), (2, 2, HERE), (3, 1, HERE), ignore_regions=[{"image_id": 1, "bbox": [0, 0, 50, 50]}])
    assert [miss.box["id"] for miss in highest(known, [[]])] == [3]


def test_a_view_holds_most_small_boxes_and_lies_in_the_picture():
    assert window(100, 100, [[10, 10, 20, 20]]) == (0, 0, 100, 100), "large enough without zooming"
    crowd = [[900 + 10 * n, 40, 10, 10] for n in range(6)]
    left, top, right, bottom = window(1000, 500, [[20, 400, 10, 10], *crowd])
    assert (right - left, bottom - top) == (200, 100) and right <= 1000 and top >= 0
    assert all(left <= x + 5 <= right and top <= y + 5 <= bottom for x, y, _, _ in crowd)
    assert around(5, 5, 50, 50, 40, 30) == (0, 0, 40, 30)


@pytest.mark.parametrize(("side", "small"), [(31.9, True), (32.0, False)])
def test_small_is_as_the_evaluator_has_it(side, small):
    assert is_small({"bbox": [0, 0, side, side]}) is small
    assert is_small({"bbox": [0, 0, 99, 99], "area": 10.0}), "a mask's area counts, as in AP small"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """Three arms with one seed, evaluated and not filled."""
    trial = Weighted(
        tmp_path_factory.mktemp("misses"), arms=("baseline", "weighted", "uniform-scale"), seeds=(0,), profile="quick"
    )
    trial.train_all()
    return trial


def test_the_grid_of_misses_shows_box_and_best_detection(evaluated):
    (sheet,) = failure_sheets(gather(evaluated.path))
    figure = miss_pictures.draw(sheet, "quick run: not a result")
    known = read_json(sheet.prepared / "val.json")
    misses = highest(known, [pictures.predicted(subject.predictions) for subject in sheet.subjects])
    assert len(figure.axes) == 3 * len(misses) and "not a result" in figure.get_suptitle()
    for number, axis in enumerate(figure.axes):
        miss, best = misses[number // 3], misses[number // 3].best[number % 3]
        assert len(axis.patches) == 1 + (best.detection is not None)
        assert axis.get_xlabel().startswith("loss >= 6.90" if best.detection is None else f"loss {best.loss:.1f}"[:6])
        x, y, width, height = miss.box["bbox"]
        (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
        assert left <= x and x + width <= right and top <= y and y + height <= bottom
    assert [axis.get_ylabel().split("\n")[0] for axis in figure.axes[::3]] == [
        next(c["name"] for c in known["categories"] if c["id"] == miss.box["category_id"]) for miss in misses
    ]


def test_small_objects_are_counted_and_the_pictures_with_most_are_shown(evaluated):
    (sheet,) = small_objects.sheets(gather(evaluated.path))
    known = read_json(evaluated.path.parent / "prepared" / "val.json")
    counts = {one["id"]: 0 for one in known["images"]}
    for entry in known["annotations"]:
        counts[entry["image_id"]] += entry["area"] < 1024
    assert [one["id"] for one in sheet.shown.images] == sorted(counts, key=lambda n: (-counts[n], n))[:4]
    figure = small_objects.draw(sheet, "")
    for axis, shown in zip(figure.axes[::4], sheet.shown.images, strict=True):
        left, top, right, bottom = sheet.windows[shown["id"]]
        small = [one["bbox"] for one in known["annotations"] if one["image_id"] == shown["id"] and one["area"] < 1024]
        seen = sum(left <= x + w / 2 <= right and top <= y + h / 2 <= bottom for x, y, w, h in small)
        assert axis.get_xlabel() == f"{seen} small in view" and seen > 0
        assert axis.get_xlim() == (left, right) and axis.get_ylim() == (bottom, top)
    assert figure.axes[0].get_title() == "ground truth" and len(sheet.runs) == 3


def test_without_small_objects_there_is_no_such_figure(evaluated):
    path = evaluated.path.parent / "prepared" / "val.json"
    known = read_json(path)
    larger = [{**one, "area": max(one["area"], 1024.0)} for one in known["annotations"]]
    try:
        write_json(path, {**known, "annotations": larger})
        assert small_objects.sheets(gather(evaluated.path)) == []
    finally:
        write_json(path, known)
