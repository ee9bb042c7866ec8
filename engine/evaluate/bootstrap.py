"""How much of a difference in AP may be due to the choice of test images: a paired bootstrap.

Each replicate draws as many images as there are, with replacement, the same ones for both sides; an image that is drawn
twice counts twice, with all its boxes and detections. Matches do not depend on the weights, so AP is accumulated anew
from them and nothing is matched again. All replicates are computed together, in blocks: [detections × replicates].

What it says and what it does not: the interval is about these two trained models on images like these. It says nothing
of what another seed would have trained; that is `analysis.seeds`. The interval of a single AP is biased by resampling
(a class without boxes in a replicate drops out), that of a paired difference much less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from detui.engine.evaluate.matches import AREAS, THRESHOLDS, ClassMatches, Matches, match
from detui.engine.evaluate.regions import drop, limit
from detui.engine.evaluate.tables import MASKS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Weights = NDArray[np.float32]

CONFIDENCE = 0.95
_NUMBERS = 4_000_000
"""Detections × replicates at a time: a block of 32 MB."""
_RECALL = np.linspace(0.0, 1.0, 101)
_UNREACHED = np.array([k / 100 < _RECALL[k] for k in range(101)])
"""Recall points that the number k/100 does not reach, because linspace rounds up: COCO's own quirk, which is kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageDelta:
    """The difference of one metric between two sets of detections on the same images."""

    metric: str
    first: float
    second: float
    delta: float
    """second − first, on all images once."""
    interval: tuple[float, float]
    """Percentile interval of the difference over replicates, at 95 %."""
    images: int
    replicates: int


def compare_on_images(
    truth: Mapping[str, Any],
    first: Sequence[Mapping[str, Any]],
    second: Sequence[Mapping[str, Any]],
    *,
    sizes: bool = True,
    per_class: bool = True,
    masks: bool | None = None,
    replicates: int = 1000,
    seed: int = 0,
) -> list[ImageDelta]:
    """Compare two COCO results lists on one ground truth (all checked before), by the metric that it calls for.

    AP, AP50, AP75; with `sizes` AP_small, AP_medium, AP_large; with `per_class` AP/<class>; with `masks` all of them of
    masks, too, as mask_AP and so on (None: where everything has one). Metrics without a box in the ground truth are
    left out. Needs at least two images; raises ValueError below that.
    """
    if len(truth["images"]) < 2:
        raise ValueError("a bootstrap over images needs at least two")
    areas = tuple(AREAS) if sizes else ("all",)
    drawn = multinomial(len(truth["images"]), replicates, seed)
    if masks is None:
        masks = bool(first and second) and all(map(_has_mask, (*truth["annotations"], *first, *second)))
    weights = np.hstack([np.ones((len(drawn), 1), np.float32), drawn])  # the first column: every image once

    def of_side(detections: Sequence[Mapping[str, Any]]) -> dict[str, Floats]:
        judged, kept = drop(truth, detections)
        how: dict[str, Any] = {"areas": areas, "max_detections": limit(truth)}
        values = _metrics(match(judged, kept, **how), weights, per_class)
        if masks:
            of_masks = _metrics(match(judged, kept, masks=True, **how), weights, per_class)
            values |= {f"{MASKS}{name}": value for name, value in of_masks.items()}
        return values

    with ThreadPoolExecutor(max_workers=2) as pool:
        first_values, second_values = pool.map(of_side, (first, second))
    found = []
    for name, of_first in first_values.items():
        of_second = second_values[name]
        one, two = float(of_first[0]), float(of_second[0])
        if not np.isnan(one):
            spread = (of_second - of_first)[1:]
            low, high = np.nanquantile(spread, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
            found.append(
                ImageDelta(
                    metric=name,
                    first=one,
                    second=two,
                    delta=two - one,
                    interval=(float(low), float(high)),
                    images=len(drawn),
                    replicates=replicates,
                )
            )
    return found


def _has_mask(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("segmentation"))


def multinomial(images: int, replicates: int, seed: int) -> Weights:
    """How often each image is drawn: [images, replicates], whole numbers, each column sums to the number of images."""
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(images, np.full(images, 1.0 / images), size=replicates)
    return np.ascontiguousarray(drawn.T, dtype=np.float32)


def _metrics(side: Matches, weights: Weights, per_class: bool) -> dict[str, Floats]:
    """Metric → its value in each replicate; NaN where a replicate has no box for it."""
    values: dict[str, Floats] = {}
    for area in side.by_area:
        ap = weighted_ap(side.by_area[area], weights)
        if area != "all":
            values[f"AP_{area}"] = _mean(ap)
            continue
        values |= {"AP": _mean(ap), "AP50": _mean(ap[:, :1]), "AP75": _mean(ap[:, 5:6])}
        if per_class:
            values |= {f"AP/{name}": _mean(ap[k : k + 1]) for k, name in enumerate(side.classes)}
    return values


def _mean(ap: Floats) -> Floats:
    """The mean over classes and thresholds that have boxes, as COCO takes it: [K, T, B] to [B]."""
    known = ~np.isnan(ap)
    count = known.sum(axis=(0, 1))
    total = np.where(known, ap, 0.0).sum(axis=(0, 1))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def weighted_ap(classes: Sequence[ClassMatches], weights: Weights) -> Floats:
    """AP of each class and threshold when images count as often as they are drawn.

    `weights`: [I, B], whole numbers. Returns [K, T, B]; NaN where no box of the class is drawn. At weights of one it is
    COCO's AP (arXiv:1405.0312; 101 points of recall) to the last bits.
    """
    result = np.full((len(classes), THRESHOLDS, weights.shape[1]), np.nan)
    for k, one in enumerate(_Prepared.of(one, len(weights)) for one in classes):
        step = max(1, _NUMBERS // max(one.positions, 1))
        for at in range(0, weights.shape[1], step):
            result[k, :, at : at + step] = one.ap(np.ascontiguousarray(weights[:, at : at + step]))
    return result


@dataclass(frozen=True, slots=True)
class _Prepared:
    """One class in a form in which a replicate costs little: precision is needed where something is found, only."""

    truth: Any
    """Sparse [1, I]: boxes of each image."""
    since: Any
    """Sparse [(1 + T) × P, I]: the detections of each image since the found one before. First those that count at all
    thresholds, then for each threshold those that count there and not at all."""
    levels: tuple[_Level, ...]
    """One a threshold."""
    positions: int
    """P: detections that are found at some threshold."""

    @classmethod
    def of(cls, one: ClassMatches, images: int) -> _Prepared:
        positions = np.flatnonzero(one.found.any(axis=0))
        common = one.counted.all(axis=0)
        counted = np.vstack([common, one.counted & ~common])  # [1 + T, D]
        level, row = np.nonzero(counted)
        segment = np.searchsorted(positions, row, side="left")
        kept = segment < len(positions)  # what stands behind the last found one changes no precision
        at = (level * len(positions) + segment)[kept], one.image[row[kept]]
        shape = (len(counted) * len(positions), images)
        since = _sparse((np.ones(len(at[0]), np.float32), at), shape=shape)
        more: Any = counted[1:].any(axis=1)
        levels = tuple(_Level.of(one.found[t], bool(more[t]), one.image, positions) for t in range(THRESHOLDS))
        return cls(_sparse(one.truth[None, :]), since, levels, len(positions))

    def ap(self, weights: Weights) -> Floats:
        """[T, B] for weights [I, B]."""
        boxes = (self.truth @ weights)[0].astype(np.float64)  # whole numbers: exact in either
        table = (self.since @ weights).reshape(1 + THRESHOLDS, -1, weights.shape[1])
        common = _running_sum(table[0])
        values = []
        for level, more in zip(self.levels, table[1:], strict=True):
            values.append(level.ap(weights, common + _running_sum(more) if level.more else common, boxes))
        return np.stack(values)


@dataclass(frozen=True, slots=True)
class _Level:
    """One class at one IoU threshold."""

    at: Any
    """[N] Which of the class's found detections are found at this threshold."""
    image: Any
    """[N] Their images."""
    more: bool
    """Whether detections count here that do not count at all thresholds."""

    @classmethod
    def of(cls, found: Any, more: bool, image: Any, positions: Any) -> _Level:
        at = np.flatnonzero(found[positions])
        return cls(at, image[positions[at]], more)

    def ap(self, weights: Weights, counted: Weights, boxes: Any) -> Floats:
        """[B]: the mean over 101 points of recall of the highest precision at or beyond each.

        `counted`: [P, B] how many detections count up to each of the class's found ones.
        """
        found = _running_sum(weights[self.image])
        known = boxes > 0
        if not len(found):
            return np.where(known, 0.0, np.nan)
        precision = np.divide(found, np.maximum(counted[self.at], 1.0), dtype=np.float64)
        for row in range(len(precision) - 2, -1, -1):
            np.maximum(precision[row], precision[row + 1], out=precision[row])
        reached = _points(np.multiply(found, 100.0 / np.maximum(boxes, 1.0), dtype=np.float64))
        reached[1:] -= reached[:-1].copy()
        return np.where(known, np.einsum("nb,nb->b", reached, precision) / len(_RECALL), np.nan)


def _running_sum(rows: Weights) -> Weights:
    """Sum the rows [N, B] up to each, in place; whole numbers below 2²⁴, so exact.

    Row by row: NumPy's own accumulation goes down column by column, which takes four times as long.
    """
    for row in range(1, len(rows)):
        rows[row] += rows[row - 1]
    return rows


def _points(percent: Floats) -> Floats:
    """How many of the 101 points of recall are reached at `percent`, a ratio of whole numbers times 100."""
    reached = np.floor(percent + 1e-9)
    exact = np.flatnonzero(np.abs(percent - reached) < 1e-9)
    place = reached.ravel()[exact].astype(np.int64)
    reached.ravel()[exact] -= _UNREACHED[place]
    reached += 1.0
    return reached


def _sparse(content: Any, **more: Any) -> Any:
    """A sparse matrix by rows: a few boxes among thousands of images cost what they are, not what they might be."""
    from scipy.sparse import csr_array

    return csr_array(content, dtype=np.float32, **more)
