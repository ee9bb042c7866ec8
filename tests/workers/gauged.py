"""An experiment whose trainings report statistics of AQR, terms of their loss, and the values that they used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trials import Trial

RELATIVE = {"no-mosaic-s0": 0.24, "no-mosaic-s1": 0.28}
"""The relative change of camera features at the end of each run of the arm that has AQR."""


class Gauged(Trial):
    """Statistics every 12 of 180 steps, by the runs of `no-mosaic` alone; the chosen checkpoint is that of step 180."""

    def _lines(self, name: str, epochs: int, number: int) -> Iterator[dict[str, Any]]:
        for line in super()._lines(name, epochs, number):
            if line["kind"] == "begin":
                line["used"] = {"model.aqr.residual_weight": 0.65, "model.aqr.mode": "convex", "train.amp": True}
            if line["kind"] == "step":
                line["values"] |= {"train/loss_cls": 1.0 + line["step"] / 1000, "train/loss_box": 2.0}
            yield line
            if line["kind"] == "step" and line["step"] % 12 == 0 and name in RELATIVE:
                step = line["step"]
                values = {"aqr/camera_relative_change": RELATIVE[name] * step / 180, "aqr/camera_weight_mean": 0.8,
                          "aqr/camera_relative_change_active": None}  # fmt: skip
                yield {"kind": "statistic", "t": line["t"], "step": step, "epoch": line["epoch"], "values": values}
