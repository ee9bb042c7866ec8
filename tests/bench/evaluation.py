"""The budgets of evaluation: 5,000 images × 100 detections × 80 classes, as one process of its own."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Say = Callable[[str, str, str], None]
IMAGES, CLASSES, DETECTIONS = 5000, 80, 100


def evaluation(say: Say) -> None:
    """Print what an evaluation and a paired bootstrap of 1,000 replicates take."""
    from detui.engine.evaluate import evaluate
    from detui.engine.evaluate.bootstrap import compare_on_images

    truth, first, second = case()
    wall, cpu = _timed(lambda: evaluate(truth, first))
    say("evaluation of 500,000 detections: CPU", f"{cpu:.1f} s ({wall:.1f} s wall)", "–")
    for title, more in (("AP, AP50, AP75", False), ("the same by size and class", True)):
        wall, cpu = _timed(lambda more=more: compare_on_images(truth, first, second, sizes=more, per_class=more))
        say(f"paired bootstrap, 1,000 replicates: {title}", f"{wall:.1f} s wall ({cpu:.1f} CPU)", "10 s on two cores")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say("memory of that process at most", f"{peak:.0f} MiB", "–")


def _timed(action: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - wall, time.process_time() - cpu


def case() -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """Ground truth, and two detectors of different quality on it."""
    draw = np.random.default_rng(0)
    boxes: list[dict[str, Any]] = []
    for image in range(1, IMAGES + 1):
        for category in draw.choice(CLASSES, draw.integers(1, 4), replace=False):
            for _ in range(draw.integers(1, 6)):
                side = float(np.exp(draw.uniform(np.log(8), np.log(300))))
                box = [
                    float(draw.uniform(0, 600)),
                    float(draw.uniform(0, 440)),
                    side,
                    side * float(draw.uniform(0.6, 1.6)),
                ]
                boxes.append({"id": len(boxes) + 1, "image_id": image, "category_id": int(category) + 1, "bbox": box,
                              "area": box[2] * box[3], "iscrowd": int(draw.random() < 0.01)})  # fmt: skip
    images = [{"id": image, "width": 640, "height": 480} for image in range(1, IMAGES + 1)]
    categories = [{"id": k, "name": f"c{k}"} for k in range(1, CLASSES + 1)]
    truth = {"images": images, "annotations": boxes, "categories": categories}
    return truth, _detector(truth, 1, 0.60), _detector(truth, 2, 0.63)


def _detector(truth: dict[str, Any], seed: int, quality: float) -> list[dict[str, Any]]:
    draw = np.random.default_rng(seed)
    of_image: dict[int, list[dict[str, Any]]] = {}
    for box in truth["annotations"]:
        of_image.setdefault(box["image_id"], []).append(box)
    found = []
    for image in range(1, IMAGES + 1):
        there = of_image.get(image, [])
        hits = [box for box in there if draw.random() < quality]
        for box in hits:
            moved = np.array(box["bbox"]) + draw.normal(0, 0.08, 4) * np.array(box["bbox"])[[2, 3, 2, 3]]
            found.append(_said(image, box["category_id"], [*moved[:2], *np.maximum(moved[2:], 1)], draw.beta(4, 2)))
        for _ in range(DETECTIONS - len(hits)):
            category = (
                there[draw.integers(len(there))]["category_id"] if draw.random() < 0.5 else draw.integers(CLASSES) + 1
            )
            side = np.exp(draw.uniform(np.log(8), np.log(300)))
            place = [draw.uniform(0, 600), draw.uniform(0, 440), side, side]
            found.append(_said(image, category, place, draw.beta(1, 6)))
    return found


def _said(image: int, category: Any, box: Any, score: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": int(category), "bbox": [float(n) for n in box],
            "score": round(float(score), 5)}  # fmt: skip
