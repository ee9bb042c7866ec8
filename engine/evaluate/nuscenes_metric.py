"""nuScenes' detection metric in numpy alone: AP by distance of centres, five errors of what was found, and the NDS.

What nuscenes-devkit 1.2.0 computes with `detection_cvpr_2019`, number for number (a test holds the two together): a
detection matches the nearest box of its class in its frame that no better one has taken, within 0.5, 1, 2 and 4 m
along the ground; AP is the mean precision above recall 0.1, less 0.1 and scaled back to 0–1; the errors are means over
recall from 0.1 on, of what matched within 2 m. A class of which nothing is annotated has AP 0 and errors of 1, and
counts in every mean: perfect detections on such data do not reach 1 (nuscenes.py says what they reach).

Caesar et al., nuScenes: A multimodal dataset for autonomous driving, CVPR 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detui.engine.data.frame import NUSCENES_CLASSES
from detui.engine.evaluate.nuscenes_boxes import Boxes

DISTANCES = (0.5, 1.0, 2.0, 4.0)
"""Metres between centres within which a detection matches: AP is the mean over these."""
AT = DISTANCES.index(2.0)
"""At which of them errors are measured."""
ERRORS = ("ATE", "ASE", "AOE", "AVE", "AAE")
"""Translation (m), scale (1 − IoU), orientation (rad), velocity (m/s), attribute (1 − accuracy)."""
NOT_JUDGED = {"traffic_cone": ("AOE", "AVE", "AAE"), "barrier": ("AVE", "AAE")}
"""Errors that a class does not have."""
MIN_RECALL, MIN_PRECISION = 0.1, 0.1
POINTS = 101
"""Recall 0, 0.01, …, 1."""
WEIGHT = 5
"""Of mAP in the NDS; each error's score has 1."""

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Scores:
    """What one set of detections scores, class by class and over all ten."""

    ap: Doubles
    """[10, 4], classes as in NUSCENES_CLASSES, by DISTANCES."""
    errors: Doubles
    """[10, 5], as in ERRORS; NaN where a class has no such error."""
    precision: Doubles
    """[10, 4, 101], at recall 0, 0.01, …, 1."""
    mean_ap: float
    mean_errors: Doubles
    """[5]"""
    nds: float


def detection_score(mean_ap: float, errors: Sequence[float]) -> float:
    """NDS: of mAP five parts, and of each mean error 1 less it, at least 0."""
    return float((WEIGHT * mean_ap + sum(max(0.0, 1.0 - error) for error in errors)) / (WEIGHT + len(errors)))


def measure(truth: Boxes, detections: Boxes) -> Scores:
    """Score detections against ground truth, both as nuscenes_boxes.py gives them: judged boxes in the world's axes."""
    ap, errors = np.zeros((len(NUSCENES_CLASSES), len(DISTANCES))), np.ones((len(NUSCENES_CLASSES), len(ERRORS)))
    precision = np.zeros((len(NUSCENES_CLASSES), len(DISTANCES), POINTS))
    for place, name in enumerate(NUSCENES_CLASSES):
        boxes = truth.where(truth.label == place)
        found = detections.where(detections.label == place)
        found = found.where(np.argsort(found.score, kind="stable")[::-1])  # of equal ones the later first, as there
        taken = _match(boxes, found)
        for level in range(len(DISTANCES)):
            precision[place, level] = _precision(taken[level] >= 0, len(boxes))
            ap[place, level] = _average(precision[place, level])
        errors[place] = _errors(boxes, found, taken[AT], np.pi if name == "barrier" else 2 * np.pi)
        errors[place, [ERRORS.index(one) for one in NOT_JUDGED.get(name, ())]] = np.nan
    mean_ap, means = float(ap.mean(axis=1).mean()), np.nanmean(errors, axis=0)
    nds = detection_score(mean_ap, means.tolist())
    return Scores(ap=ap, errors=errors, precision=precision, mean_ap=mean_ap, mean_errors=means, nds=nds)


def _match(boxes: Boxes, found: Boxes) -> NDArray[np.int64]:
    """[4, N] The box of each detection, in their order, at each distance; -1 where it has none."""
    taken = np.full((len(DISTANCES), len(found)), -1, np.int64)
    limits = np.array(DISTANCES)
    levels = np.arange(len(DISTANCES))
    by_frame = np.argsort(found.frame, kind="stable")  # within a frame the order stays
    frames = found.frame[by_frame]
    for frame in np.unique(boxes.frame):
        ours = np.arange(*np.searchsorted(boxes.frame, (frame, frame + 1)))
        theirs = by_frame[slice(*np.searchsorted(frames, (frame, frame + 1)))]
        away = found.box[theirs, None, :2] - boxes.box[None, ours, :2]
        distance = np.sqrt((away**2).sum(axis=2))
        free = np.zeros((len(DISTANCES), len(ours)))  # infinite where a better detection has the box
        near = distance.min(axis=1, initial=np.inf) < limits[-1]
        for row in np.flatnonzero(near):
            nearest = (distance[row] + free).argmin(axis=1)
            hit = (distance[row] + free)[levels, nearest] < limits
            free[levels[hit], nearest[hit]] = np.inf
            taken[hit, theirs[row]] = ours[nearest[hit]]
    return taken


def _precision(hit: NDArray[np.bool_], boxes: int) -> Doubles:
    """[101] Precision at each recall, between points of the curve in a straight line; 0 beyond the last."""
    if not boxes or not hit.any():
        return np.zeros(POINTS)
    right = np.cumsum(hit).astype(np.float64)
    return np.interp(np.linspace(0, 1, POINTS), right / boxes, right / np.arange(1, len(hit) + 1), right=0)


def _average(precision: Doubles) -> float:
    beyond = precision[round(100 * MIN_RECALL) + 1 :] - MIN_PRECISION
    return float(np.mean(np.maximum(beyond, 0.0))) / (1.0 - MIN_PRECISION)


def _errors(boxes: Boxes, found: Boxes, taken: NDArray[np.int64], period: float) -> Doubles:
    """[5] The mean of each error from recall 0.1 to the highest that is reached; 1 where that is not reached."""
    hit = taken >= 0
    if not hit.any():
        return np.ones(len(ERRORS))
    grid = np.linspace(0, 1, POINTS)
    score = np.interp(grid, np.cumsum(hit) / len(boxes), found.score, right=0)
    first, last = round(100 * MIN_RECALL) + 1, int(np.flatnonzero(score).max(initial=0))
    if last < first:
        return np.ones(len(ERRORS))
    single = _of_matches(boxes.where(taken[hit]), found.where(hit), period)
    at = found.score[hit][::-1]
    means = [np.interp(score[::-1], at, _running(one)[::-1])[::-1][first : last + 1].mean() for one in single]
    return np.array(means)


def _of_matches(boxes: Boxes, found: Boxes, period: float) -> Doubles:
    """[5, M] The errors of pairs; NaN where nobody knows the velocity or the attribute of the box."""
    one, two = boxes.box, found.box
    volume, theirs = one[:, 3:6].prod(axis=1), two[:, 3:6].prod(axis=1)
    common = np.minimum(one[:, 3:6], two[:, 3:6]).prod(axis=1)
    turn = (one[:, 6] - two[:, 6] + period / 2) % period - period / 2
    wrong = np.where(boxes.attribute == "", np.nan, boxes.attribute != found.attribute)
    return np.stack([
        np.sqrt(((one[:, :2] - two[:, :2]) ** 2).sum(axis=1)),
        1 - common / (volume + theirs - common),
        np.abs(turn),
        np.sqrt(((one[:, 7:] - two[:, 7:]) ** 2).sum(axis=1)),
        wrong,
    ])  # fmt: skip


def _running(values: Doubles) -> Doubles:
    """[M] The mean of all up to each, without those that are not known; 1 where none is known at all."""
    known = ~np.isnan(values)
    if not known.any():
        return np.ones(len(values))
    counts = np.cumsum(known)
    return np.where(counts > 0, np.nancumsum(values) / np.maximum(counts, 1), 0.0)
