"""The classes of the nuScenes detection task, apart from what needs numpy: a plan reads them."""

from __future__ import annotations

NUSCENES_CLASSES = (
    "car", "truck", "construction_vehicle", "bus", "trailer",
    "barrier", "motorcycle", "bicycle", "pedestrian", "traffic_cone",
)  # fmt: skip
"""The ten classes; a label is a place in here."""
