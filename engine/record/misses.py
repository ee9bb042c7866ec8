"""The boxes that all arms together came least near to, by a loss made of the evaluator's inputs.

The loss of a ground-truth box for one arm is -ln of the best product of confidence and IoU that a detection of its
class on its image has, at least FLOOR: 0 where it is found surely and exactly, and -ln FLOOR where nothing overlaps it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detui.engine.record.failures import Detections, Truth

FLOOR = 0.001
"""The least product that is told from none."""
ROWS = 6


@dataclass(frozen=True, slots=True)
class Best:
    """How near one arm came to a box."""

    product: float
    """Confidence × IoU of the best detection; 0 where none of its class overlaps the box."""
    detection: Mapping[str, Any] | None
    """That detection, as COCO results have it."""

    @property
    def loss(self) -> float:
        """-ln of the product, at most -ln FLOOR."""
        return -math.log(max(self.product, FLOOR))


@dataclass(frozen=True, slots=True)
class Miss:
    """A ground-truth box, and how near each arm came to it."""

    box: Mapping[str, Any]
    """Its annotation."""
    best: tuple[Best, ...]
    """One an arm."""

    @property
    def loss(self) -> float:
        """Mean over the arms."""
        return sum(one.loss for one in self.best) / len(self.best)


def highest(truth: Truth, arms: Sequence[Detections], rows: int = ROWS) -> list[Miss]:
    """The boxes of the highest mean loss, the highest first; of equal ones the larger, then the lower id.

    An image gives one box; a further one only where there are fewer such images than `rows`. Crowd regions are no
    boxes, and what the data's metric drops (evaluate/regions.py) is not looked at.
    """
    misses = sorted(_all(truth, arms), key=lambda miss: (-miss.loss, -float(miss.box["area"]), miss.box["id"]))
    seen: set[int] = set()
    first: list[Miss] = []
    more: list[Miss] = []
    for miss in misses:
        (more if miss.box["image_id"] in seen else first).append(miss)
        seen.add(miss.box["image_id"])
    chosen = first[:rows]
    return chosen + more[: rows - len(chosen)]


def _all(truth: Truth, arms: Sequence[Detections]) -> Iterator[Miss]:
    """Every box of the ground truth, with the nearest that each arm came to it."""
    from detui.engine.evaluate.regions import drop

    boxes: dict[tuple[int, int], list[Mapping[str, Any]]] = {}
    for entry in drop(truth, ())[0]["annotations"]:
        if not entry.get("iscrowd"):
            boxes.setdefault((entry["image_id"], entry["category_id"]), []).append(entry)
    by_arm = [_grouped(drop(truth, detections)[1]) for detections in arms]
    for place, group in boxes.items():
        nearest = [_nearest(group, said.get(place, ())) for said in by_arm]
        yield from (Miss(box, best) for box, *best_of in zip(group, *nearest, strict=True) for best in [tuple(best_of)])


def _grouped(detections: Detections) -> dict[tuple[int, int], list[Mapping[str, Any]]]:
    found: dict[tuple[int, int], list[Mapping[str, Any]]] = {}
    for entry in detections:
        found.setdefault((entry["image_id"], entry["category_id"]), []).append(entry)
    return found


def _nearest(boxes: Sequence[Mapping[str, Any]], said: Sequence[Mapping[str, Any]]) -> list[Best]:
    """For each box of one image and class the best of its detections."""
    if not said:
        return [Best(0.0, None)] * len(boxes)
    import numpy as np
    from hotcoco.primitives import bbox_iou

    found, known = (np.array([entry["bbox"] for entry in side], np.float64) for side in (said, boxes))
    overlap = bbox_iou(found, known, np.zeros(len(boxes), np.bool_))  # [detections, boxes]
    product = overlap * np.array([entry["score"] for entry in said], np.float64)[:, None]
    best = product.argmax(axis=0)
    return [Best(float(product[row, column]), said[row] if product[row, column] > 0 else None)
            for column, row in enumerate(best)]  # fmt: skip
