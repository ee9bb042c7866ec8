"""Which box of an XML file is of which mask: by class and overlap, each at most once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from detui.engine.data.form import Box
from detui.engine.data.voc import XmlObject

SAME = 0.5
"""IoU from which a box of another class is of the same thing."""


def matched(masks: Mapping[int, tuple[str, Box]], boxes: Sequence[XmlObject]) -> dict[int, int]:
    """Mask (index → class and extent) → place of its box; masks without one are not among them.

    Boxes of the mask's own class that touch it come first, those that overlap more before others; what is left over
    may be of another class where it lies in the same place.
    """
    overlaps = {
        (index, at): box.overlap(extent) for index, (_, extent) in masks.items() for at, box in enumerate(boxes)
    }

    def rank(pair: tuple[int, int]) -> tuple[bool, float]:
        return masks[pair[0]][0] != boxes[pair[1]].name, -overlaps[pair]

    pairs: dict[int, int] = {}
    for index, at in sorted((pair for pair, overlap in overlaps.items() if overlap > 0), key=rank):
        same_class = masks[index][0] == boxes[at].name
        if index not in pairs and at not in pairs.values() and (same_class or overlaps[index, at] >= SAME):
            pairs[index] = at
    return pairs
