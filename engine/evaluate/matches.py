"""Which detection finds which box: what AP is accumulated from, kept so that images can be weighted afterwards.

hotcoco matches. It hands out one Python object for each image, class and size, empty-handed ones included, which takes
half a minute and 6 GB for 5,000 images × 100 detections × 80 classes. It is therefore given only the detections that
overlap a box of their class enough to be matched at the lowest threshold; all others are misses without being asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from detui.engine.evaluate.void import as_rle, without_void

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Flags = NDArray[np.bool_]

AREAS: dict[str, tuple[float, float]] = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
"""COCO's sizes in square pixels of the original image; both bounds belong to both neighbours."""
THRESHOLDS = 10
"""IoU 0.50, 0.55 … 0.95."""
_LOWEST = 0.5 - 1e-6
_NOTHING = np.empty((0, 7))


@dataclass(frozen=True, slots=True)
class ClassMatches:
    """The detections of one class, judged for one size, by falling score. D detections, T = 10 thresholds."""

    image: Integers
    """[D] Index of the image, in the order of `Matches.images`."""
    score: Floats
    """[D] Confidence."""
    found: Flags
    """[T, D] Whether it finds a box that counts."""
    counted: Flags
    """[T, D] Whether it counts at all: not on a crowd region or a box of another size, and itself of this size."""
    truth: Integers
    """[I] How many boxes of the class that count each image has."""


@dataclass(frozen=True, slots=True)
class Matches:
    """All that AP depends on, for one set of detections."""

    images: tuple[int, ...]
    """Ids, sorted."""
    classes: tuple[str, ...]
    """Names, by category id."""
    by_area: Mapping[str, tuple[ClassMatches, ...]]
    """Size → one entry a class."""


def match(
    truth: Mapping[str, Any],
    detections: Sequence[Mapping[str, Any]],
    *,
    areas: Sequence[str] = ("all",),
    max_detections: int = 100,
    masks: bool = False,
) -> Matches:
    """Match COCO results with COCO ground truth (both checked before, in original pixels).

    `masks`: by the IoU of masks, without the ground truth's void, instead of boxes; each has one then.
    """
    images = tuple(sorted(entry["id"] for entry in truth["images"]))
    categories = {c["id"]: c["name"] for c in sorted(truth["categories"], key=lambda c: c["id"])}
    table = _Table.of(detections, images, list(categories), max_detections)
    boxes = _boxes(truth, images, list(categories))
    if masks:
        table, boxes = table.with_masks(without_void(truth, detections)), boxes.with_masks(truth)
    hopeful = table.hopeful(boxes)
    verdicts = _verdicts(truth, table, hopeful, areas, max_detections)
    by_class = [_class(table, boxes, verdicts, k, len(images)) for k in range(len(categories))]
    by_area = {area: tuple(one[area] for one in by_class) for area in areas}
    return Matches(images, tuple(categories.values()), by_area)


@dataclass(frozen=True, slots=True)
class _Boxes:
    """Ground truth as columns."""

    pair: Integers
    """Image index × classes + class index."""
    box: Floats
    area: Floats
    crowd: Flags
    place: Integers
    """Where each stands in the ground truth."""
    mask: Sequence[Any] | None = None
    """Compressed run lengths, where masks are matched."""

    def with_masks(self, truth: Mapping[str, Any]) -> _Boxes:
        """The same with the masks of the ground truth."""
        sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
        entries = [truth["annotations"][place] for place in self.place]
        return replace(self, mask=[as_rle(one["segmentation"], sizes[one["image_id"]]) for one in entries])


@dataclass(frozen=True)
class _Table:
    """Detections as columns, by image, in the order given, without those beyond the limit of an image and class."""

    pair: Integers
    box: Floats
    score: Floats
    size: Floats
    """Square pixels, of the box or of the mask."""
    place: Integers
    """Where each stands in what was given."""
    classes: int
    ids: tuple[int, ...]
    categories: tuple[int, ...]
    mask: Sequence[Any] | None = None
    """Compressed run lengths, where masks are matched."""

    @cached_property
    def category(self) -> Integers:
        """Class index of each row."""
        return self.pair % self.classes

    @classmethod
    def of(
        cls, detections: Sequence[Mapping[str, Any]], images: Sequence[int], categories: Sequence[int], limit: int
    ) -> _Table:
        count = len(detections)
        image = np.searchsorted(images, np.array([d["image_id"] for d in detections], np.int64))
        category = np.searchsorted(categories, np.array([d["category_id"] for d in detections], np.int64))
        pair = image * len(categories) + category
        score = np.array([d["score"] for d in detections], np.float64)
        box = np.array([d["bbox"] for d in detections], dtype=np.float64).reshape(count, 4)
        order = np.lexsort((-score, pair))  # stable: equal scores stay in the order given, as in pycocotools
        pair, score, box = pair[order], score[order], box[order]
        starts = _starts(pair)
        rank = np.arange(count) - np.repeat(starts, np.diff(starts, append=count))
        kept = rank < limit
        pair, box, score, place = pair[kept], box[kept], score[kept], order[kept]
        size = box[:, 2] * box[:, 3]
        return cls(pair, box, score, size, place, len(categories), tuple(images), tuple(categories))

    def with_masks(self, detections: Sequence[Mapping[str, Any]]) -> _Table:
        """The same with the masks of what was given."""
        from hotcoco import mask

        masks = [as_rle(detections[place]["segmentation"]) for place in self.place]
        size = np.asarray(mask.area(masks), np.float64) if masks else np.empty(0)
        return replace(self, mask=masks, size=size)

    def given(self, rows: Integers) -> Any:
        """Some of its rows in the form that hotcoco takes: an array of boxes, or entries with masks."""
        image, category = self.pair[rows] // self.classes, self.category[rows]
        ids, categories = np.array(self.ids, np.int64)[image], np.array(self.categories, np.int64)[category]
        if self.mask is None:
            return np.column_stack([ids, self.box[rows], self.score[rows], categories]) if len(rows) else _NOTHING
        return [
            {"image_id": one, "category_id": kind, "score": score, "segmentation": self.mask[row]}
            for one, kind, score, row in zip(ids.tolist(), categories.tolist(), self.score[rows].tolist(), rows,
                                             strict=True)
        ]  # fmt: skip

    def hopeful(self, boxes: _Boxes) -> Integers:
        """The rows that overlap a box, or mask, of their image and class enough to be matched."""
        from hotcoco.primitives import bbox_iou, mask_iou

        found = []
        for pair, rows in _groups(boxes.pair):
            first, last = np.searchsorted(self.pair, (pair, pair + 1))
            if first < last:
                if self.mask is None or boxes.mask is None:
                    overlap = bbox_iou(self.box[first:last], boxes.box[rows], boxes.crowd[rows])
                else:
                    overlap = mask_iou(self.mask[first:last], boxes.mask[rows], boxes.crowd[rows].tolist())
                found.append(first + np.flatnonzero(overlap.max(axis=1) >= _LOWEST))
        return np.concatenate(found) if found else np.empty(0, np.int64)


def _groups(pair: Integers) -> Iterator[tuple[int, slice]]:
    """Each value of a sorted column with the rows where it stands."""
    starts = _starts(pair)
    for first, last in zip(starts, np.append(starts, len(pair))[1:], strict=True):
        yield int(pair[first]), slice(int(first), int(last))


def _starts(pair: Integers) -> Integers:
    """Where a new value begins in a sorted column."""
    return np.flatnonzero(np.diff(pair, prepend=-1))


def _boxes(truth: Mapping[str, Any], images: Sequence[int], categories: Sequence[int]) -> _Boxes:
    image_at = {image: index for index, image in enumerate(images)}
    class_at = {category: index for index, category in enumerate(categories)}
    entries = truth["annotations"]
    pair = np.array([image_at[a["image_id"]] * len(categories) + class_at[a["category_id"]] for a in entries], np.int64)
    order = np.argsort(pair, kind="stable")
    box = np.array([a["bbox"] for a in entries], np.float64).reshape(len(entries), 4)
    area = np.array([a["area"] for a in entries], np.float64)
    crowd = np.array([bool(a.get("iscrowd")) for a in entries], np.bool_)
    return _Boxes(pair[order], box[order], area[order], crowd[order], order)


Verdicts = tuple["Integers", "Flags", "Flags"]
"""Rows of the table, and for each [T]: found, counted."""


def _verdicts(
    truth: Mapping[str, Any], table: _Table, hopeful: Integers, areas: Sequence[str], limit: int
) -> dict[str, Verdicts]:
    """What hotcoco says of the hopeful rows, for each size."""
    from hotcoco import COCO, COCOeval

    image, category = table.pair[hopeful] // table.classes, table.category[hopeful]
    asked = {(table.ids[i], table.categories[k]) for i, k in zip(image.tolist(), category.tolist(), strict=True)}
    few = [entry for entry in truth["annotations"] if (entry["image_id"], entry["category_id"]) in asked]
    known = COCO({**truth, "annotations": few})  # boxes that nothing can match need no verdict
    kind = "bbox" if table.mask is None else "segm"
    evaluation = COCOeval(known, known.load_res(table.given(hopeful)), kind)
    params = evaluation.params
    params.area_rng = [list(AREAS[area]) for area in areas]
    params.area_rng_lbl = list(areas)
    params.max_dets = [limit]
    evaluation.evaluate()
    names = {AREAS[area]: area for area in areas}
    found: dict[str, list[tuple[Integers, Flags, Flags]]] = {area: [] for area in areas}
    for entry in evaluation.eval_imgs:
        if entry is None or not entry["dtIds"]:
            continue
        area = names[(float(entry["aRng"][0]), float(entry["aRng"][1]))]
        matched = np.array(entry["dtMatched"], np.bool_).reshape(THRESHOLDS, -1)
        ignored = np.array(entry["dtIgnore"], np.bool_).reshape(THRESHOLDS, -1)
        found[area].append((np.array(entry["dtIds"], np.int64) - 1, matched & ~ignored, ~ignored))
    return {area: _joined(hopeful, parts) for area, parts in found.items()}


def _joined(hopeful: Integers, parts: Sequence[tuple[Integers, Flags, Flags]]) -> Verdicts:
    if not parts:
        empty = np.empty((THRESHOLDS, 0), np.bool_)
        return np.empty(0, np.int64), empty, empty
    rows = hopeful[np.concatenate([part[0] for part in parts])]
    return rows, np.concatenate([p[1] for p in parts], axis=1), np.concatenate([p[2] for p in parts], axis=1)


def _class(table: _Table, boxes: _Boxes, verdicts: dict[str, Verdicts], k: int, images: int) -> dict[str, ClassMatches]:
    """One class, for each size."""
    mine = np.flatnonzero(table.category == k)
    order = np.argsort(-table.score[mine], kind="stable")
    image, score = table.pair[mine][order] // table.classes, table.score[mine][order]
    size = table.size[mine]
    ours = (boxes.pair % table.classes == k) & ~boxes.crowd
    found = {}
    for area, (rows, found_at, counted_at) in verdicts.items():
        low, high = AREAS[area]
        counted = np.tile((size >= low) & (size <= high), (THRESHOLDS, 1))  # a miss counts where it is of this size
        hits = np.zeros_like(counted)
        asked = np.flatnonzero(table.category[rows] == k)
        at = np.searchsorted(mine, rows[asked])
        hits[:, at], counted[:, at] = found_at[:, asked], counted_at[:, asked]
        sized = ours & (boxes.area >= low) & (boxes.area <= high)
        truth = np.bincount(boxes.pair[sized] // table.classes, minlength=images)
        found[area] = ClassMatches(image, score, hits[:, order], counted[:, order], truth)
    return found
