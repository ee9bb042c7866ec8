"""Precision and recall at one confidence: what a detector does when it is used, rather than ranked.

At IoU 0.5, means over the classes that have boxes. One confidence for all classes, the one at which the mean of F1 is
highest (the highest such one), on a grid of thousandths; it is printed with the numbers, because they mean nothing
without it. A class of
which nothing is detected at that confidence has precision 1 and recall 0, and so F1 0 (as Ultralytics takes it).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from detui.engine.evaluate.matches import ClassMatches, Matches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

GRID = np.linspace(0.0, 1.0, 1001)
"""Confidences that are tried."""
NAMES = ("precision", "recall", "F1", "F1_confidence")


def at_best_f1(matches: Matches) -> dict[str, float | None]:
    """`precision`, `recall`, `F1`, `F1_confidence`, and the first two for each class as `precision/<class>`.

    None where there is no box at all, or none of a class, or where nothing at all is found.
    """
    classes = matches.by_area["all"]
    curves = [_curves(one) for one in classes]
    known = [curve for curve in curves if curve is not None]
    if not known:
        return dict.fromkeys((*NAMES, *_by_class(matches.classes)))
    precision, recall, f1 = (np.mean([curve[place] for curve in known], axis=0) for place in range(3))
    best = len(f1) - 1 - int(np.argmax(f1[::-1]))  # the highest of confidences that are as good
    if f1[best] == 0:  # nothing is right at any of them: there is no best one, and no precision at it
        nothing: dict[str, float | None] = dict.fromkeys((*NAMES, *_by_class(matches.classes)))
        return nothing | {"recall": 0.0, "F1": 0.0}
    values: dict[str, float | None] = dict(
        zip(NAMES, map(float, (precision[best], recall[best], f1[best], GRID[best])), strict=True)
    )
    for name, curve in zip(matches.classes, curves, strict=True):
        values[f"precision/{name}"] = None if curve is None else float(curve[0][best])
        values[f"recall/{name}"] = None if curve is None else float(curve[1][best])
    return values


def _by_class(classes: Sequence[str]) -> list[str]:
    return [f"{what}/{name}" for name in classes for what in ("precision", "recall")]


def _curves(one: ClassMatches) -> tuple[Floats, Floats, Floats] | None:
    """Precision, recall and F1 at IoU 0.5 for each confidence of GRID: three times [1001]; None without boxes."""
    boxes = int(one.truth.sum())
    if not boxes:
        return None
    kept = one.counted[0]
    found = np.r_[0, np.cumsum(one.found[0][kept])]
    # How many detections have at least this confidence: scores fall, so their negatives rise.
    said = np.searchsorted(-one.score[kept], -GRID, side="right")
    precision = np.where(said > 0, found[said] / np.maximum(said, 1), 1.0)
    recall = found[said] / boxes
    return precision, recall, 2 * precision * recall / np.maximum(precision + recall, 1e-16)
