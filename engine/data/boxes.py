"""The checks that every format shares: is this box one that can be trained on?"""

from __future__ import annotations

import math

from detui.engine.data.form import Box
from detui.engine.data.problems import Ledger

ROUNDING = 0.01
"""Boxes may pass the border by so many pixels without a report: files round their coordinates."""


class BoxCheck:
    """Checks the boxes of one image after the other, duplicates included."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._width = self._height = 0.0
        self._seen: dict[tuple[object, ...], int | str | None] = {}

    def begin_image(self, width: float, height: float) -> None:
        """From now on boxes belong to an image of this size in pixels."""
        self._width, self._height = float(width), float(height)
        self._seen = {}

    def accept(
        self, box: Box, category: object, file: str, line: int | str | None, *, crowd: bool = False
    ) -> Box | None:
        """The box to use, clipped where that is the action; None when it is left out."""
        kind, reason = judge(box, self._width, self._height)
        if kind in ("", "beyond_border"):
            action = self._ledger.report(kind, file, line, reason) if kind else "keep"
            if action in ("error", "leave_out"):
                return None
            if self._is_duplicate(box, category, crowd, file, line):
                return None
            # A box kept beyond the border stays as it is; one within rounding is put onto the border.
            return box if kind and action == "keep" else clip(box, self._width, self._height)
        self._ledger.report(kind, file, line, reason)
        return None

    def _is_duplicate(self, box: Box, category: object, crowd: bool, file: str, line: int | str | None) -> bool:
        key = (category, crowd, *box)
        if key not in self._seen:
            self._seen[key] = line
            return False
        first = self._seen[key]
        reason = f"the same box {show(box)} of {category!r} stands at {first} already"
        return self._ledger.report("duplicate_box", file, line, reason) != "keep"


def judge(box: Box, width: float, height: float) -> tuple[str, str]:
    """The kind of problem and its reason; two empty strings for a sound box."""
    x, y, w, h = box
    if not all(map(math.isfinite, box)):
        return "not_finite", f"the box {show(box)} is not finite"
    if w < 0 or h < 0:
        return "inverted", f"the box {show(box)} has a negative size"
    if w == 0 or h == 0:
        return "zero_size", f"the box {show(box)} has zero size"
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        return "outside", f"the box {show(box)} lies outside the image of {width:g}×{height:g}"
    excess = max(-x, -y, x + w - width, y + h - height)
    if excess > ROUNDING:
        return "beyond_border", f"the box {show(box)} passes the border of {width:g}×{height:g} by {excess:.4g}"
    return "", ""


def clip(box: Box, width: float, height: float) -> Box:
    """The part of the box inside the image; the very same numbers when it is inside."""
    x, y, w, h = box
    if x >= 0 and y >= 0 and x + w <= width and y + h <= height:
        return box
    left, top = max(x, 0.0), max(y, 0.0)
    return left, top, min(x + w, width) - left, min(y + h, height) - top


def show(box: Box) -> str:
    """`[x, y, w, h]` with as few digits as needed."""
    return "[" + ", ".join(f"{value:g}" for value in box) + "]"
