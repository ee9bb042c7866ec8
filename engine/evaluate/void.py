"""Void: pixels of which nobody said what they are, which no mask is judged on.

A ground truth may carry `void`: a list of {"image_id", "segmentation"}, run lengths. Those pixels are taken out of the
mask of every detection before it is compared; the masks of the ground truth have none of them. Otherwise a mask that
fills an object up to its true edge would lose, against one that stops short of the band that annotators draw there.
Boxes stay as they are. A mask that lies wholly in void is empty then: it finds nothing and is a false alarm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

VOID = "void"
"""Key of the ground truth."""

Entries = Sequence[Mapping[str, Any]]


def without_void(truth: Mapping[str, Any], detections: Entries) -> Entries:
    """Detections (checked before, each with a mask) without the void pixels of their images; new entries where any are.

    A ground truth without void, and images without any, leave them as they are. Doing it twice changes nothing more.
    """
    from hotcoco import mask

    judged = _judged(truth)
    if not judged:
        return detections
    return [
        {**entry, "segmentation": mask.merge([as_rle(entry["segmentation"]), judged[entry["image_id"]]], True)}
        if entry["image_id"] in judged
        else entry
        for entry in detections
    ]


def _judged(truth: Mapping[str, Any]) -> dict[int, Any]:
    """Image → all of its pixels but the void ones; images without any are not among them."""
    from hotcoco import mask

    found: dict[int, list[Any]] = {}
    for entry in truth.get(VOID) or ():
        found.setdefault(entry["image_id"], []).append(entry["segmentation"])
    one = {image: parts[0] if len(parts) == 1 else mask.merge([*map(as_rle, parts)], False)
           for image, parts in found.items()}  # fmt: skip
    return {image: _complement(rle) for image, rle in one.items()}


def _complement(rle: Mapping[str, Any]) -> Any:
    from detui.engine.data.masks import decompress

    counts = rle["counts"] if isinstance(rle["counts"], list) else decompress(rle["counts"])
    return as_rle({"size": rle["size"], "counts": counts[1:] if counts and counts[0] == 0 else [0, *counts]})


def as_rle(segmentation: Any, size: Sequence[int] | None = None) -> Any:
    """Compressed run lengths of run lengths, or of polygons in an image of `size` (height, width)."""
    from hotcoco import mask

    if isinstance(segmentation, Mapping):
        if not isinstance(segmentation["counts"], list):
            return segmentation
        height, width = segmentation["size"]
        return mask.frPyObjects(dict(segmentation), height, width)
    assert size is not None, "polygons are of an image"
    return mask.merge(mask.frPyObjects(segmentation, *size), False)
