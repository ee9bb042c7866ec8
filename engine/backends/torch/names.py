"""The names of the statistics of AQR, for whoever checks a recipe without loading torch: see fusion/statistics.py."""

from __future__ import annotations

_OF_A_SIDE = (
    "weight_mean",
    "weight_std",
    "weight_min",
    "weight_max",
    "map_max",
    "map_raw_max",
    "zero_fraction",
    "clamped_fraction",
    "relative_change",
    "relative_change_active",
    "mean_change",
    "max_change",
    "active_fraction",
    "gain_min",
    "gain_max",
)
_OF_BOTH = ("gain_low", "gain_high", "clamp", "balance", "padding_fraction", "unseen_fraction", "gradient_norm")
STATISTICS = (
    *(f"aqr/{side}_{name}" for side in ("lidar", "camera") for name in _OF_A_SIDE),
    *(f"aqr/{name}" for name in _OF_BOTH),
)
"""All that a training can report."""
