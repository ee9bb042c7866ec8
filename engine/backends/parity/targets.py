"""What stands in an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detui.engine.backends.parity.frameworks.framework import Array


@dataclass(frozen=True, slots=True)
class Target:
    """The objects of one image."""

    labels: Array
    """[m] of int64, from 0."""
    boxes: Array
    """[m, 4] of float32: cx, cy, w, h in 0–1 of the image."""

    @classmethod
    def of(cls, labels: object, boxes: object) -> Target:
        """From lists or arrays."""
        found = np.asarray(boxes, np.float32).reshape(-1, 4)
        return cls(np.asarray(labels, np.int64).reshape(-1), found)

    def __len__(self) -> int:
        """How many objects."""
        return len(self.labels)


Pairs = list[tuple[Array, Array]]
"""For each image the predictions and the objects that belong together, two arrays [k] of whole numbers."""
