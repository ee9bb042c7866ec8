"""Looking at point clouds: raw float32, so many columns a point."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SeenPoints:
    """What a look at a point cloud found: its own facts, however many columns it is said to have."""

    sha256: str
    size: int
    """Bytes."""
    finite: bool
    """Whether every number is, as far as the bytes are whole numbers."""

    def complaint(self, columns: int) -> str | None:
        """Why it is no cloud of points with so many columns."""
        if self.size == 0:
            return "it is empty"
        if self.size % (4 * columns):
            return f"its {self.size} bytes are no whole number of points with {columns} columns of 4 bytes"
        return None if self.finite else "it holds numbers that are not finite"


def look_at_points(content: bytes) -> SeenPoints:
    """Examine the bytes of a point cloud."""
    import numpy as np

    numbers = np.frombuffer(content[: len(content) // 4 * 4], "<f4")
    return SeenPoints(hashlib.sha256(content).hexdigest(), len(content), bool(np.isfinite(numbers).all()))
