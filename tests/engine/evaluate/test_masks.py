"""Masks: void is left out of their IoU, none at all is a zero, and the bootstrap over images has them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detui.engine.data.masks import pixels, run_lengths
from detui.engine.errors import DataError
from detui.engine.evaluate import evaluate, evaluate_run
from detui.engine.evaluate.bootstrap import compare_on_images
from detui.engine.evaluate.void import without_void
from detui.engine.run.files import read_json, write_json
from detui.engine.run.lines import read_lines

SIDE = 10


def square(left: int, top: int, right: int, bottom: int) -> Any:
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


OBJECT = square(2, 2, 6, 6)
BAND = square(1, 1, 7, 7) & ~OBJECT


def truth_of(*masks: Any, void: Any = None) -> dict[str, Any]:
    """One image with objects of one class."""
    annotations = [
        {"id": number, "image_id": 7, "category_id": 1, "bbox": extent(mask), "area": float(mask.sum()), "iscrowd": 0,
         "segmentation": run_lengths(mask)}
        for number, mask in enumerate(masks, 1)
    ]  # fmt: skip
    truth: dict[str, Any] = {
        "images": [{"id": 7, "width": SIDE, "height": SIDE, "file_name": "a.png"}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "cat"}],
    }
    if void is not None:
        truth["void"] = [{"image_id": 7, "segmentation": run_lengths(void)}]
    return truth


def extent(mask: Any) -> list[float]:
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return [0.0, 0.0, 0.0, 0.0]
    left, top = int(columns.min()), int(rows.min())
    return [float(left), float(top), float(columns.max() + 1 - left), float(rows.max() + 1 - top)]


def said(mask: Any, score: float = 0.9, image: int = 7) -> dict[str, Any]:
    return {"image_id": image, "category_id": 1, "bbox": extent(mask), "score": score,
            "segmentation": run_lengths(mask)}  # fmt: skip


def test_void_is_no_part_of_the_iou() -> None:
    """16 pixels of an object in a mask of 36: an IoU of 0.44 by themselves, 1 where the 20 others are void."""
    found = [said(OBJECT | BAND)]
    values = evaluate(truth_of(OBJECT, void=BAND), found).values
    assert values["mask_AP"] == pytest.approx(1.0)
    assert values["AP"] == 0.0  # boxes stay as they are: 16 / 36, too
    assert evaluate(truth_of(OBJECT), found).values["mask_AP"] == 0.0


def test_what_is_left_of_a_mask_is_judged() -> None:
    """Half of the object and the whole band around it: 8 of 16, found at 0.50 and at nothing above."""
    found = [said(square(2, 2, 6, 4) | BAND)]
    values = evaluate(truth_of(OBJECT, void=BAND), found).values
    assert (values["mask_AP50"], values["mask_AP75"]) == (pytest.approx(1.0), 0.0)
    assert values["mask_AP"] == pytest.approx(0.1)


def test_a_mask_that_is_all_void_is_a_false_alarm() -> None:
    found = [said(BAND, 0.95), said(OBJECT, 0.9)]
    assert evaluate(truth_of(OBJECT, void=BAND), found).values["mask_AP"] == pytest.approx(0.5)


def random_case(seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    chance = np.random.default_rng(seed)
    images, annotations, void, found = [], [], [], []
    for image in range(1, 7):
        high, wide = chance.integers(8, 90, 2).tolist()
        images.append({"id": image, "width": wide, "height": high, "file_name": f"{image}.png"})
        unknown = chance.random((high, wide)) < 0.15
        if image % 3:
            void.append({"image_id": image, "segmentation": run_lengths(unknown)})
        for _ in range(int(chance.integers(1, 4))):
            top, left = int(chance.integers(0, high - 4)), int(chance.integers(0, wide - 4))
            mask = np.zeros((high, wide), np.bool_)
            mask[top : top + int(chance.integers(4, 60)), left : left + int(chance.integers(4, 60))] = True
            mine = mask & ~unknown if image % 3 else mask
            kind = int(chance.integers(1, 3))
            annotations.append({"id": len(annotations) + 1, "image_id": image, "category_id": kind,
                                "bbox": extent(mine), "area": float(mine.sum()), "iscrowd": int(chance.random() < 0.1),
                                "segmentation": run_lengths(mine)})  # fmt: skip
            for _ in range(int(chance.integers(0, 4))):
                moved = np.roll(mask, tuple(chance.integers(-2, 3, 2).tolist()), (0, 1))
                found.append({**said(moved, float(chance.integers(1, 20)) / 20, image), "category_id": kind})
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    return {"images": images, "annotations": annotations, "categories": categories, "void": void}, found


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_reference_on_masks_cut_by_hand(seed: int) -> None:
    truth, found = random_case(seed)
    void = {one["image_id"]: pixels(one["segmentation"]) for one in truth["void"]}
    cut = [
        {**one, "segmentation": run_lengths(pixels(one["segmentation"]) & ~void.get(one["image_id"], np.False_))}
        for one in found
    ]
    plain = {key: value for key, value in truth.items() if key != "void"}
    ours, theirs = evaluate(truth, found).values, evaluate(plain, packed(cut), library="pycocotools").values
    masks = [name for name in theirs if name.startswith("mask_")]
    assert "mask_AP_small/cat" in masks
    for name in masks:
        assert ours[name] == (theirs[name] if theirs[name] is None else pytest.approx(theirs[name], abs=1e-12)), name
    assert evaluate(plain, found).values["mask_AP"] != pytest.approx(ours["mask_AP"])


def packed(detections: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With compressed run lengths, the only ones that pycocotools takes of detections."""
    reference = pytest.importorskip("pycocotools.mask")
    found = [reference.frPyObjects(one["segmentation"], *one["segmentation"]["size"]) for one in detections]
    masks = [{**rle, "counts": rle["counts"].decode()} for rle in found]
    return [{**one, "segmentation": mask} for one, mask in zip(detections, masks, strict=True)]


def test_cutting_twice_changes_nothing_and_boxes_stay() -> None:
    truth, found = random_case(3)
    once = without_void(truth, found)
    assert once != found
    assert [one["segmentation"] for one in without_void(truth, once)] == [one["segmentation"] for one in once]
    assert [one["bbox"] for one in once] == [one["bbox"] for one in found]


@pytest.mark.parametrize(("masks", "there"), [(True, True), (None, False), (False, False)])
def test_no_detection_at_all(masks: bool | None, there: bool) -> None:
    """A detector of masks that finds nothing scores zero; one of boxes has no masks that could be judged."""
    values = evaluate(truth_of(OBJECT, void=BAND), [], masks=masks).values
    assert values.get("mask_AP", "absent") == (0.0 if there else "absent")
    assert values["AP"] == 0.0


def test_masks_of_a_detector_of_boxes_are_left_alone() -> None:
    assert "mask_AP" in evaluate(truth_of(OBJECT), [said(OBJECT)]).values
    assert "mask_AP" not in evaluate(truth_of(OBJECT), [said(OBJECT)], masks=False).values


def test_a_mask_is_missing_where_each_must_have_one() -> None:
    bare = {key: value for key, value in said(OBJECT).items() if key != "segmentation"}
    with pytest.raises(DataError, match="no run lengths"):
        evaluate(truth_of(OBJECT), [bare], masks=True)


@pytest.mark.parametrize("counts", [[SIDE * SIDE], "", []])
def test_an_empty_mask_is_merely_wrong(counts: Any) -> None:
    empty = {**said(OBJECT, 0.95), "segmentation": {"size": [SIDE, SIDE], "counts": counts}}
    values = evaluate(truth_of(OBJECT, void=BAND), [empty, said(OBJECT)]).values
    assert values["mask_AP"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("void", "says"),
    [
        ({}, "no list of masks"),
        ([{"image_id": 8, "segmentation": run_lengths(BAND)}], r"void\[0\]: This is no mask of an image"),
        ([{"image_id": 7, "segmentation": [[1, 1, 2, 1, 2, 2]]}], "no run lengths"),
        ([{"image_id": 7, "segmentation": {"size": [9, 10], "counts": [90]}}], "has the size"),
    ],
)
def test_wrong_void_is_named(void: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        evaluate({**truth_of(OBJECT), "void": void}, [said(OBJECT)])


def test_a_run_that_finds_nothing_has_a_mask_ap(dumping: Any) -> None:
    """What the run's spec says of its backend reaches the evaluation."""
    path = dumping.dir.path / "spec.json"
    spec = dumping.dir.spec()
    write_json(Path(spec.data["prepared"]) / "val.json", truth_of(OBJECT, void=BAND))
    path.unlink()
    write_json(path, replace(spec, masks=True).to_json())
    dumping.dump(2, [])
    assert evaluate_run(dumping.dir) == 1
    (line,) = read_lines(dumping.attempt.evaluations_path)
    assert line["values"]["val/mask_AP"] == 0.0
    assert read_json(path)["masks"] is True


@pytest.mark.parametrize("seed", [1, 2])
def test_the_bootstrap_starts_from_the_evaluation(seed: int) -> None:
    """On all images once, every metric of masks is what the evaluator says, sizes and classes too."""
    truth, found = random_case(seed)
    fewer = [one for place, one in enumerate(found) if place % 3]
    deltas = {one.metric: one for one in compare_on_images(truth, found, fewer, replicates=20)}
    first, second = evaluate(truth, found).values, evaluate(truth, fewer).values
    masks = [name for name in deltas if name.startswith("mask_")]
    assert {"mask_AP", "mask_AP50", "mask_AP_small", "mask_AP/cat"} <= set(masks)
    for name in deltas:
        assert (deltas[name].first, deltas[name].second) == pytest.approx((first[name], second[name]), abs=1e-9), name


def test_the_bootstrap_has_masks_where_everything_has_one() -> None:
    truth, found = random_case(1)
    bare = [{key: value for key, value in one.items() if key != "segmentation"} for one in found]

    def names(*sides: Any, **how: Any) -> list[str]:
        return [one.metric for one in compare_on_images(truth, *sides, replicates=4, **how) if "mask" in one.metric]

    assert names(found, bare) == names(found, found, masks=False) == []
    (nothing,) = [d for d in compare_on_images(truth, found, [], masks=True, replicates=4) if d.metric == "mask_AP"]
    assert nothing.second == 0.0 < nothing.first
