"""The statistics that AQR forks of CMT print: blocks of indented lines, the same by every rank, without its rank.

    🔍 AQR Debug Info (Forward #1000):
       lidar_weights_stats:
         mean: 0.734678
         shape: [4, 1290]

All blocks of one forward pass are folded: `aqr/lidar_weight_mean` is the mean over ranks, `…/rank_sd`, `…/rank_min` and
`…/rank_max` say how far they lie apart. Nothing is derived from them: a log does not say in which mode (convex or
additive) the features were modulated, and so no gain is computed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from statistics import fmean, stdev

_HEAD = re.compile(r"AQR Debug Info \(Forward #(\d+)\)")
_SECTION = re.compile(r"(\w+):$")
_ENTRY = re.compile(r"(\w+): (\S.*)$")
_SHAPE = re.compile(r"(?:torch\.Size\()?\[(\d+), (\d+)")
SECTIONS = {
    "lidar_weights_stats": "lidar_weight",
    "camera_weights_stats": "camera_weight",
    "weight_map_bev_stats": "bev_map",
    "weight_map_pers_stats": "perspective_map",
    "modulation_effect_bev": "bev_change",
    "modulation_effect_pers": "perspective_change",
    "FeatureModulator_output_stats": "output",
}
"""The program's word for a group of numbers, and ours."""
_ENTRIES = {"mean_change": "mean", "std_change": "std", "max_change": "max", "relative_change": "relative"}

_PATIENCE = 5
"""So many other lines may stand between the blocks of two ranks: a warning, a line of the log."""

Told = Callable[[int, dict[str, float]], None]
"""Takes the number of the forward pass and the folded statistics."""


class AqrBlocks:
    """Reads printed lines, and tells the folded statistics of each forward pass."""

    def __init__(self, told: Told, trouble: Callable[[str], None]) -> None:
        """`trouble`: takes a sentence about lines that could not be put together."""
        self._told, self._trouble = told, trouble
        self._forward: int | None = None
        self._ranks = 0
        self._others = 0
        self._section: str | None = None
        self._values: dict[str, list[float]] = {}

    def read(self, line: str) -> None:
        """Read one line of the output, without the space around it."""
        head = _HEAD.search(line)
        if head is not None:
            self._open(int(head[1]))
        elif self._forward is not None:
            self._within(line)

    def _open(self, forward: int) -> None:
        if forward != self._forward:
            self.end()
        self._forward, self._section, self._others = forward, None, 0
        self._ranks += 1

    def _within(self, line: str) -> None:
        if _SECTION.fullmatch(line):
            self._section = SECTIONS.get(line[:-1])
        elif entry := _ENTRY.fullmatch(line):
            self._entry(entry[1], entry[2])
        elif line:
            self._section = None
            self._others += 1
            if self._others > _PATIENCE:
                self.end()  # the program went on: all ranks have printed theirs

    def _entry(self, name: str, text: str) -> None:
        if self._section is None:
            return
        shape = _SHAPE.match(text)
        if name == "shape":
            if self._section == "lidar_weight" and shape is not None:
                self._values.setdefault("aqr/queries", []).append(float(shape[2]))
            return
        try:
            number = float(text)
        except ValueError:
            return
        if number == number:  # nan is not available
            self._values.setdefault(f"aqr/{self._section}_{_ENTRIES.get(name, name)}", []).append(number)

    def end(self) -> None:
        """Tell what is open: no more of this forward pass will come."""
        forward, ranks, values = self._forward, self._ranks, self._values
        self._forward, self._ranks, self._others, self._section, self._values = None, 0, 0, None, {}
        if forward is None:
            return
        torn = sorted(name for name, of in values.items() if len(of) > ranks)
        if torn:
            text = f"The blocks of forward pass {forward} are printed into each other; left out: {', '.join(torn)}."
            self._trouble(text)
        whole = {name: of for name, of in values.items() if name not in torn}
        if whole:
            self._told(forward, {**folded(whole), "aqr/ranks": float(ranks)})


def folded(values: dict[str, list[float]]) -> dict[str, float]:
    """Return the mean over ranks of each; where there are several, also their spread (n − 1) and ends."""
    found: dict[str, float] = {}
    for name, of in values.items():
        found[name] = fmean(of)
        if len(of) > 1:
            found |= {f"{name}/rank_sd": stdev(of), f"{name}/rank_min": min(of), f"{name}/rank_max": max(of)}
    return found
