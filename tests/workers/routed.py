"""An experiment on AQR: a control without it, two arms with it, statistics and losses by iteration as a training of
one epoch of nuScenes reports them."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from framed import Framed
from trials import EPOCHS

STEPS = 140
"""An epoch; thirty of them are a little more than an epoch of nuScenes."""
TOLD = (1, 50, 500, 1000, 2000, 3000, 4000, STEPS * EPOCHS)
"""Iterations with statistics."""
OFF = {"weights": "off", "lidar": 0.82, "camera": 0.82, "max_weight_clamp": 2.5, "clamp_from": None,
       "residual_weight": 0.6, "mode": "convex", "kernel": "sum", "sigma": 1.0, "min_weight": 0.01,
       "saturate": "hard", "noised_drawn": False, "balance": None}  # fmt: skip
AQR = {
    "no-aqr": OFF,
    "aqr-2.5-0.6": {**OFF, "weights": "learned", "noised_drawn": True},
    "aqr-additive": {**OFF, "weights": "learned", "mode": "additive", "kernel": "peak", "clamp_from": 1.0},
}
BAND = {"metric": "aqr/camera_relative_change", "arm": "aqr-2.5-0.6", "at_least": 0.25, "at_most": 0.30}
OUT_OF_BOUNDS = ("aqr-additive-s2", 3000)
"""The run and the iteration where a gain is measured that the settings do not allow."""


class Routed(Framed):
    """Arms of AQR, with the template of the family."""

    def __init__(self, folder: Path, *, seeds: tuple[int, ...] = (0, 1, 2), **changes: Any) -> None:
        record = {"template": "aqr", "languages": ["en", "zh"]}
        super().__init__(folder, profile="full", seeds=seeds, **{"record": record, **changes})

    def _info(self) -> dict[str, Any]:
        arms = [
            {"name": name, "title": {"en": name, "zh": name}, "sources": {},
             "config": {"model": {"name": "fusion", "aqr": aqr}, "train": {"batch": 4}}}
            for name, aqr in AQR.items()
        ]  # fmt: skip
        differs = {f"model.aqr.{key}": {name: aqr[key] for name, aqr in AQR.items()} for key in OFF
                   if len({aqr[key] for aqr in AQR.values()}) > 1}  # fmt: skip
        claims = [{"metric": "val/mAP", "arm": "aqr-2.5-0.6", "value": 0.6397, "source": "a document"}]
        return super()._info() | {
            "recipe": "aqr/configurations", "family": "aqr", "backend": "torch", "arms": arms, "overrides": [],
            "title": {"en": "Configurations of AQR", "zh": "AQR 的配置"},
            "question": {"en": "Does AQR help?", "zh": "AQR 是否有帮助？"},
            "varies": ["model.aqr"], "differs": differs, "claims": claims,
            "fairness": [{"level": "varies", "field": field, "text": f"{field} differs, as declared."}
                         for field in differs],
            "goals": [{"metric": "val/mAP", "arm": "aqr-2.5-0.6", "against": "no-aqr", "delta_at_least": 0.0}],
            "checkpoint_rule": {"rule": "last"},
            "runs": [f"{name}-s{seed}" for name in AQR for seed in self.seeds],
        }  # fmt: skip

    def _spec(self, name: str) -> Any:
        return replace(super()._spec(name), backend="torch")

    def _strength(self, name: str) -> float:
        return {"no-aqr": 1.0, "aqr-2.5-0.6": 0.9, "aqr-additive": 0.7}[name.rsplit("-s", 1)[0]]

    def _lines(self, name: str, epochs: int, number: int) -> Iterator[dict[str, Any]]:
        rows = list(self._rows(name))
        for line in super()._lines(name, epochs, number):
            if line["kind"] == "begin":
                yield {**line, "steps_per_epoch": STEPS, "model": {"name": "fusion", "parameters": 285646}}
                continue
            until = line["step"] // 6 * STEPS
            while rows and rows[0]["step"] < until:
                yield rows.pop(0)
            values = {key: value for key, value in line.get("values", {}).items() if "ultralytics" not in key}
            if line["kind"] in ("step", "epoch"):
                values = losses(until, random.Random(f"{name} {until}"))
            yield {**line, "step": until, **({"values": values} if "values" in line else {})}
            while line["kind"] == "step" and rows and rows[0]["step"] == until:
                yield rows.pop(0)

    def _rows(self, name: str) -> Iterator[dict[str, Any]]:
        """Steps that are logged between the epochs' ends, and the statistics."""
        arm, draw = name.rsplit("-s", 1)[0], random.Random(name)
        for step in sorted({*TOLD, 49, 990, 1990, 2990, 3990}):
            line = {"t": float(step), "step": step, "epoch": (step - 1) // STEPS + 1, "stage": "main"}
            if step % STEPS:
                yield {"kind": "step", **line, "values": losses(step, draw)}
            if step in TOLD and arm != "no-aqr":
                yield {"kind": "statistic", **line, "values": statistics(name, step, draw)}


def losses(step: int, draw: random.Random) -> dict[str, float]:
    """The terms of two decoder layers; they fall with the iterations."""
    level = 1 + 2 * math.exp(-step / 800) + draw.uniform(0, 0.02)
    of = {"cls": 0.08, "bbox": 0.59, "dn_cls": 0.37, "dn_bbox": 0.52}
    return {f"train/loss_{layer}{term}": level * value for layer in ("d0_", "") for term, value in of.items()}


def statistics(name: str, step: int, draw: random.Random) -> dict[str, float]:
    """What a training says of AQR at an iteration; within its bounds but where the test wants it."""
    grown, arm = step / (STEPS * EPOCHS), name.rsplit("-s", 1)[0]
    aqr = AQR[arm]
    first, last = aqr["clamp_from"] or aqr["max_weight_clamp"], aqr["max_weight_clamp"]
    clamp = first + (last - first) * grown
    low = aqr["residual_weight"]
    high = low + clamp * ((1 - low) if aqr["mode"] == "convex" else 1.0)
    found = {"aqr/clamp": clamp, "aqr/gain_low": low, "aqr/gain_high": high, "aqr/padding_fraction": 0.12,
             "aqr/unseen_fraction": 0.05, "aqr/balance": 1.1,
             "aqr/gradient_norm": 0.01 + 0.02 * grown + draw.uniform(0, 0.004)}  # fmt: skip
    for sensor, active in (("lidar", 0.26), ("camera", 0.92)):
        mean = 0.74 + (0.08 * grown if sensor == "camera" else 0) + draw.uniform(0, 0.01)
        out = 0.2 if (name, step) == OUT_OF_BOUNDS and sensor == "camera" else 0.0
        change = 0.38 + 0.01 * grown + draw.uniform(0, 0.002)
        found |= {f"aqr/{sensor}_{key}": value for key, value in {
            "weight_mean": mean, "weight_std": mean / 5, "weight_min": mean / 7, "weight_max": 0.97 + mean / 50,
            "map_max": clamp, "map_raw_max": 8 * mean, "zero_fraction": 0.4, "clamped_fraction": 0.002,
            "mean_change": -0.018 - 0.002 * grown, "max_change": 2.5 + grown,
            "relative_change": active * change, "relative_change_active": change,
            "active_fraction": active, "gain_min": low, "gain_max": high + out}.items()}  # fmt: skip
    return found
