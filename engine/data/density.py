"""What a split is made of: objects an image, object sizes, classes. Counts alone, with the standard library alone.

Objects are annotations that are judged one by one: crowd regions, and objects that a format says are not judged, do
not count. Sizes are COCO's, of the mask where there is one, in pixels of the original image: small below 32²,
medium below 96², large from there.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from detui.engine.data.form import Split

SMALL, MEDIUM = 32.0**2, 96.0**2
"""Square pixels of the original image from which an object is no longer small, no longer medium."""
BINS = (0, 1, 2, 3, 5, 10, 15, 20, 30, 50, 100)
"""Where the bins of objects an image begin; each ends before the next, the last has no end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Density:
    """Objects an image over all images of a split, those without any included."""

    mean: float
    median: float
    p90: int
    """The smallest number that at least nine images of ten do not exceed."""
    max: int
    histogram: dict[str, int]
    """Images by how many objects are on them: "0", "3-4", "100+"; every bin up to the last that is not empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """What one split is made of."""

    objects: int
    """Annotations that are judged one by one."""
    objects_per_image: Density | None
    """None for a split without images."""
    sizes: dict[str, int]
    """Objects that are small, medium, large."""
    objects_by_class: dict[str, int]
    """Objects by class, in the order of the classes; a class without any has 0."""

    def to_json(self) -> dict[str, Any]:
        """The form that `detui data check --json` carries."""
        return asdict(self)


def composition(split: Split, classes: Sequence[str]) -> Composition:
    """Count a split. `classes` of its data set, in the order of the category ids from 1."""
    per_image = {image.id: 0 for image in split.images}
    sizes = dict.fromkeys(("small", "medium", "large"), 0)
    by_class = dict.fromkeys(classes, 0)
    for annotation in split.annotations:
        if not annotation.crowd:
            per_image[annotation.image_id] += 1
            sizes[size_of_area(annotation.area)] += 1
            by_class[classes[annotation.category_id - 1]] += 1
    counts = list(per_image.values())
    return Composition(
        objects=sum(counts), objects_per_image=density_of(counts), sizes=sizes, objects_by_class=by_class
    )


def density_of(counts: Sequence[int]) -> Density | None:
    """Of the objects on each image; None without images."""
    return _density(sorted(counts)) if counts else None


def size_of_area(area: float) -> str:
    """small, medium or large by an area in square pixels of the original image."""
    if area < SMALL:
        return "small"
    return "medium" if area < MEDIUM else "large"


def _density(counts: list[int]) -> Density:
    """`counts` sorted, not empty."""
    return Density(
        mean=statistics.fmean(counts),
        median=float(statistics.median(counts)),
        p90=counts[-(-9 * len(counts) // 10) - 1],  # the rank, rounded up without floating point
        max=counts[-1],
        histogram=_histogram(counts),
    )


def _histogram(counts: list[int]) -> dict[str, int]:
    found = {}
    for start, following in zip(BINS, (*BINS[1:], None), strict=True):
        if start > counts[-1]:
            break
        found[_label(start, following)] = sum(start <= n and (following is None or n < following) for n in counts)
    return found


def _label(start: int, following: int | None) -> str:
    if following is None:
        return f"{start}+"
    return str(start) if following == start + 1 else f"{start}-{following - 1}"
