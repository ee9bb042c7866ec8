"""The curves of AQR over iterations: weights, what they change, how much of it, and what learns them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from detui.tui.aqr import PREFIX, SIDES, side_names
from detui.tui.language import tr
from detui.tui.widgets.series import Series

Floats = NDArray[np.float64]
Points = Mapping[str, Sequence[tuple[int, float]]]
"""Of each statistic: the steps at which it was given, and its values."""
Place = Callable[[Floats], Floats]
"""Takes steps (n,) to the x axis, (n,)."""


def aqr_lines(points: Points, place: Place) -> dict[str, tuple[Series, ...]]:
    """Return the lines of each chart about AQR, by the name of the chart; () where the run reports nothing of it."""
    named = {"lidar": tr("LiDAR"), "camera": tr("camera")}
    change, gain, maps = [], [], []
    for side in SIDES:
        change += [
            (tr("{sensor}, all", sensor=named[side]), side_names(side, "relative_change")),
            (tr("{sensor}, active", sensor=named[side]), side_names(side, "relative_change_active")),
        ]
        gain += [
            (tr("{sensor}, least", sensor=named[side]), side_names(side, "gain_min")),
            (tr("{sensor}, most", sensor=named[side]), side_names(side, "gain_max")),
        ]
        maps += [
            (named[side], side_names(side, "map_max")),
            (tr("{sensor}, raw", sensor=named[side]), side_names(side, "map_raw_max")),
        ]
    gain += [(tr("allowed"), (f"{PREFIX}gain_low",)), ("", (f"{PREFIX}gain_high",))]
    maps += [(tr("clamp"), (f"{PREFIX}clamp",))]
    weights = (_banded(points, place, named[side], side) for side in SIDES)
    return {
        "aqr_weights": tuple(one for one in weights if one is not None),
        "aqr_change": _plain(points, place, change),
        "aqr_gain": _plain(points, place, gain) if _measured(points, "gain_max") else (),
        "aqr_maps": _plain(points, place, maps) if _measured(points, "map_max") else (),
        "aqr_gradient": _plain(points, place, [(tr("norm"), (f"{PREFIX}gradient_norm",))]),
    }


def _measured(points: Points, what: str) -> bool:
    return any(name in points for side in SIDES for name in side_names(side, what))


def _plain(points: Points, place: Place, lines: Sequence[tuple[str, Sequence[str]]]) -> tuple[Series, ...]:
    found = []
    for label, names in lines:
        name = next((name for name in names if name in points), None)
        if name is not None:
            steps, y = np.array(points[name], dtype=np.float64).T
            found.append(Series(label, place(steps), y))
    return tuple(found)


def _banded(points: Points, place: Place, label: str, side: str) -> Series | None:
    """Return the mean weight of a side with ± its standard deviation over queries as a band."""
    mean, std = (dict(points.get(side_names(side, what)[0], ())) for what in ("weight_mean", "weight_std"))
    if not mean:
        return None
    steps, y = np.array(sorted(mean.items()), dtype=np.float64).T
    if not std:
        return Series(label, place(steps), y)
    spread = np.array([std.get(int(step), np.nan) for step in steps])
    return Series(label, place(steps), y, y - spread, y + spread)
