"""How much of a difference in AP may be due to the choice of test images: a paired bootstrap.

Each replicate draws as many images as there are, with replacement, the same ones for both sides; an image that is drawn
twice counts twice, with all its boxes and detections. Matches do not depend on the weights, so AP is accumulated anew
from them and nothing is matched again. All replicates are computed together, in blocks: [detections × replicates].

What it says and what it does not: the interval is about these two trained models on images like these. It says nothing
of what another seed would have trained; that is `analysis.seeds`. The interval of a single AP is biased by resampling
(a class without boxes in a replicate drops out), that of a paired difference much less.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from detui.engine.evaluate.matches import AREAS, THRESHOLDS, ClassMatches, Matches, match

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Weights = NDArray[np.float32]

CONFIDENCE = 0.95
_BLOCK = 125
"""Replicates at a time: few enough for a class's numbers to stay in the processor's cache."""
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
    replicates: int = 1000,
    seed: int = 0,
) -> list[ImageDelta]:
    """Compare two COCO results lists on one ground truth (all checked before).

    AP, AP50, AP75; with `sizes` AP_small, AP_medium, AP_large; with `per_class` AP/<class>. Metrics without a box in
    the ground truth are left out. Needs at least two images; raises ValueError below that.
    """
    if len(truth["images"]) < 2:
        raise ValueError("a bootstrap over images needs at least two")
    areas = tuple(AREAS) if sizes else ("all",)
    sides = [match(truth, detections, areas=areas) for detections in (first, second)]
    weights = multinomial(len(sides[0].images), replicates, seed)
    drawn = [_metrics(side, weights, per_class) for side in sides]
    once = [_metrics(side, np.ones((len(sides[0].images), 1), np.float32), per_class) for side in sides]
    found = []
    for name in once[0]:
        one, two = float(once[0][name][0]), float(once[1][name][0])
        if not np.isnan(one):
            spread = drawn[1][name] - drawn[0][name]
            low, high = np.nanquantile(spread, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
            found.append(
                ImageDelta(
                    metric=name,
                    first=one,
                    second=two,
                    delta=two - one,
                    interval=(float(low), float(high)),
                    images=len(sides[0].images),
                    replicates=replicates,
                )
            )
    return found


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
            values[f"AP_{area}"] = _mean(ap, (0, 1))
            continue
        values |= {"AP": _mean(ap, (0, 1)), "AP50": _mean(ap[:, :1], (0, 1)), "AP75": _mean(ap[:, 5:6], (0, 1))}
        if per_class:
            values |= {f"AP/{name}": _mean(ap[k : k + 1], (0, 1)) for k, name in enumerate(side.classes)}
    return values


def _mean(ap: Floats, axes: tuple[int, ...]) -> Floats:
    """The mean over classes and thresholds that have boxes, as COCO takes it."""
    known = ~np.isnan(ap)
    count = known.sum(axis=axes)
    total = np.where(known, ap, 0.0).sum(axis=axes)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def weighted_ap(classes: Sequence[ClassMatches], weights: Weights) -> Floats:
    """AP of each class and threshold when images count as often as they are drawn.

    `weights`: [I, B], whole numbers. Returns [K, T, B]; NaN where no box of the class is drawn. At weights of one it is
    COCO's AP (arXiv:1405.0312; 101 points of recall) to the last bits.
    """
    result = np.full((len(classes), THRESHOLDS, weights.shape[1]), np.nan)
    blocks = [slice(at, at + _BLOCK) for at in range(0, weights.shape[1], _BLOCK)]
    prepared = [_Prepared.of(one, len(weights)) for one in classes]

    def work(block: slice) -> None:
        part = np.ascontiguousarray(weights[:, block])
        for k, one in enumerate(prepared):
            result[k, :, block] = one.ap(part)

    with ThreadPoolExecutor(max_workers=min(len(blocks), os.cpu_count() or 1)) as pool:
        list(pool.map(work, blocks))
    return result


@dataclass(frozen=True, slots=True)
class _Prepared:
    """One class in a form in which a replicate costs little: precision is needed where something is found, only."""

    truth: Any
    """Sparse [1, I]: boxes of each image."""
    before: Any
    """Sparse [P, I]: the detections of each image, counting at all thresholds, since the found one before."""
    levels: tuple[_Level, ...]
    """One a threshold."""

    @classmethod
    def of(cls, one: ClassMatches, images: int) -> _Prepared:
        positions = np.flatnonzero(one.found.any(axis=0))
        common = one.counted.all(axis=0)
        before = _since(np.flatnonzero(common), one.image, positions, images)
        levels = tuple(
            _Level.of(one.found[t], one.counted[t] & ~common, one.image, positions, images) for t in range(THRESHOLDS)
        )
        return cls(_sparse(one.truth[None, :]), before, levels)

    def ap(self, weights: Weights) -> Floats:
        """[T, B] for weights [I, B]."""
        boxes = (self.truth @ weights)[0].astype(np.float64)  # whole numbers: exact in either
        counted = np.cumsum(self.before @ weights, axis=0, dtype=np.float32)
        return np.stack([level.ap(weights, counted, boxes) for level in self.levels])


@dataclass(frozen=True, slots=True)
class _Level:
    """One class at one IoU threshold."""

    at: Any
    """[N] Which of the class's found detections are found at this threshold."""
    image: Any
    """[N] Their images."""
    extra: Any
    """Sparse [P, I] like `before`, of those that count at this threshold but not at all; None where there are none."""

    @classmethod
    def of(cls, found: Any, extra: Any, image: Any, positions: Any, images: int) -> _Level:
        rest = np.flatnonzero(extra)
        more = _since(rest, image, positions, images) if len(rest) else None
        at = np.flatnonzero(found[positions])
        return cls(at, image[positions[at]], more)

    def ap(self, weights: Weights, counted: Weights, boxes: Any) -> Floats:
        """[B]: the mean over 101 points of recall of the highest precision at or beyond each."""
        if self.extra is not None:
            counted = counted + np.cumsum(self.extra @ weights, axis=0, dtype=np.float32)
        found = np.cumsum(weights[self.image], axis=0, dtype=np.float32)  # whole numbers below 2²⁴: exact
        known = boxes > 0
        if not len(found):
            return np.where(known, 0.0, np.nan)
        precision = np.divide(found, np.maximum(counted[self.at], 1.0), dtype=np.float64)
        np.maximum.accumulate(precision[::-1], axis=0, out=precision[::-1])
        reached = _points(np.multiply(found, 100.0 / np.maximum(boxes, 1.0), dtype=np.float64))
        reached[1:] -= reached[:-1].copy()
        return np.where(known, np.einsum("nb,nb->b", reached, precision) / len(_RECALL), np.nan)


def _points(percent: Floats) -> Floats:
    """How many of the 101 points of recall are reached at `percent`, a ratio of whole numbers times 100."""
    reached = np.floor(percent + 1e-9)
    exact = np.flatnonzero(np.abs(percent - reached) < 1e-9)
    place = reached.ravel()[exact].astype(np.int64)
    reached.ravel()[exact] -= _UNREACHED[place]
    reached += 1.0
    return reached


def _since(rows: Any, image: Any, positions: Any, images: int) -> Any:
    """Sparse [P, I]: for each position the rows of each image behind the position before, up to itself."""
    segment = np.searchsorted(positions, rows, side="left")
    kept = segment < len(positions)  # what stands behind the last found one changes no precision
    ones = np.ones(int(kept.sum()), np.float32)
    return _sparse((ones, (segment[kept], image[rows[kept]])), shape=(len(positions), images))


def _sparse(content: Any, **more: Any) -> Any:
    """A sparse matrix by rows: a few boxes among thousands of images cost what they are, not what they might be."""
    from scipy.sparse import csr_array

    return csr_array(content, dtype=np.float32, **more)
