"""Importing this makes MMDetection usable where mmcv has no compiled operators. A configuration file names it."""

from __future__ import annotations

from detui.engine.backends.mmdet.ops import ensure_ops

OPERATORS = ensure_ops()
"""Which operators are in use."""
