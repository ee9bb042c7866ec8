"""Precision and recall at the confidence of the best F1, counted by hand."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from coco_cases import random_case

from detui.engine.evaluate import evaluate

BOX = [10.0, 10.0, 40.0, 40.0]
ELSEWHERE = [60.0, 60.0, 30.0, 30.0]


def truth(*categories: int) -> dict[str, Any]:
    """One box an image, of these categories."""
    return {
        "images": [{"id": n, "width": 100, "height": 100} for n in range(1, len(categories) + 1)],
        "annotations": [
            {"id": n, "image_id": n, "category_id": category, "bbox": BOX, "area": 1600.0, "iscrowd": 0}
            for n, category in enumerate(categories, start=1)
        ],
        "categories": [{"id": n, "name": name} for n, name in enumerate(("cat", "dog", "none"), start=1)],
    }


def said(image: int, score: float, category: int = 1, box: list[float] = BOX) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": box, "score": score}


def test_by_hand() -> None:
    """At 0.6: two of four found and one wrong, F1 4/7. At 0.3: three found and three wrong, 6/10. At 0.1: 6/11."""
    detections = [said(1, 0.9), said(2, 0.8), said(3, 0.7, box=ELSEWHERE), said(3, 0.5), said(4, 0.4, box=ELSEWHERE),
                  said(1, 0.3, box=ELSEWHERE), said(2, 0.1, box=ELSEWHERE)]  # fmt: skip
    values = evaluate(truth(1, 1, 1, 1), detections).values
    # From 0.4001 to 0.5: three of four found, one wrong, F1 3/4.
    assert values["precision"] == pytest.approx(3 / 4) and values["recall"] == pytest.approx(3 / 4)
    assert values["F1"] == pytest.approx(3 / 4)
    assert values["F1_confidence"] == pytest.approx(0.5), "the highest of those"
    assert values["precision/cat"] == pytest.approx(3 / 4)
    assert values["precision/none"] is None and values["recall/none"] is None


def test_one_confidence_for_all_classes() -> None:
    detections = [said(1, 0.9), said(2, 0.2, 2), said(1, 0.15, box=ELSEWHERE)]
    values = evaluate(truth(1, 2), detections).values
    assert (values["precision"], values["recall"]) == (1.0, 1.0)
    assert values["F1_confidence"] == pytest.approx(0.2), "the highest that still says both"


def test_without_boxes_or_detections() -> None:
    empty = truth()
    empty["images"] = [{"id": 1, "width": 9, "height": 9}]
    assert evaluate(empty, []).values["precision"] is None
    nothing = evaluate(truth(1), []).values
    assert (nothing["recall"], nothing["F1"]) == (0.0, 0.0)
    assert nothing["precision"] is None and nothing["F1_confidence"] is None, "nothing was said"


@pytest.mark.parametrize("seed", range(15))
def test_no_other_confidence_of_the_grid_is_better(seed: int) -> None:
    """Each confidence tried the slow way: detections below it thrown away, the rest counted by the reference."""
    known, detections = random_case(random.Random(seed))
    values = evaluate(known, detections).values
    if values["F1"] is None:
        return
    best = max(_f1(known, detections, confidence) for confidence in np.linspace(0, 1, 41))
    assert values["F1"] >= best - 1e-12
    if values["F1"] == 0:
        assert values["F1_confidence"] is None
        return
    assert _f1(known, detections, values["F1_confidence"]) == pytest.approx(values["F1"], abs=1e-12)


def _f1(known: dict[str, Any], detections: list[dict[str, Any]], confidence: float) -> float:
    import contextlib
    import io

    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    kept = [dict(entry) for entry in detections if entry["score"] >= confidence]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {**known, "annotations": [dict(a) for a in known["annotations"]]}
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(kept) if kept else COCO(), "bbox")
        if kept:
            evaluation.evaluate()
    scores = []
    for category in known["categories"]:
        boxes = [a for a in known["annotations"] if a["category_id"] == category["id"] and not a["iscrowd"]]
        if not boxes:
            continue
        found = counted = 0
        for entry in evaluation.evalImgs if kept else ():
            if entry and entry["category_id"] == category["id"] and entry["aRng"] == [0, 1e10]:
                ignored = entry["dtIgnore"][0].astype(bool)
                found += int(((entry["dtMatches"][0] > 0) & ~ignored).sum())
                counted += int((~ignored).sum())
        precision = found / counted if counted else 1.0
        recall = found / len(boxes)
        scores.append(2 * precision * recall / max(precision + recall, 1e-16))
    return float(np.mean(scores))
