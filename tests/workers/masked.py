"""An experiment whose data and detections have masks, with void around the objects."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from trials import Trial

from detui.engine.data.masks import run_lengths
from detui.engine.run.files import write_json
from detui.engine.run.spec import RunSpec

HIGH, WIDE = 240, 320


def mask_of(box: list[float], margin: int = 0) -> Any:
    """[240, 320] The pixels of a box, with so many around it."""
    x, y, w, h = box
    mask = np.zeros((HIGH, WIDE), np.bool_)
    top, left = max(0, round(y) - margin), max(0, round(x) - margin)
    mask[top : max(0, round(y + h) + margin), left : max(0, round(x + w) + margin)] = True
    return mask


class Masked(Trial):
    """Trained as far as a test wants; its checkpoints are chosen by masks, which reach over the edges of objects."""

    def _info(self) -> dict[str, Any]:
        path = Path(self.data["prepared"]) / "val.json"
        truth = json.loads(path.read_text())
        objects: dict[int, Any] = {}
        for entry in truth["annotations"]:
            there = objects.setdefault(entry["image_id"], np.zeros((HIGH, WIDE), np.bool_))
            mask = mask_of(entry["bbox"])
            entry |= {"segmentation": run_lengths(mask), "area": float(mask.sum())}
            there |= mask
        truth["void"] = []
        for image, there in objects.items():
            boxes = [entry["bbox"] for entry in truth["annotations"] if entry["image_id"] == image]
            around = np.any([mask_of(box, 4) for box in boxes], axis=0)
            truth["void"].append({"image_id": image, "segmentation": run_lengths(around & ~there)})
        write_json(path, truth)
        self.data |= {"masks": True}
        goals = [
            {"title": {"en": "masks"}, "metric": "val/mask_AP50", "arm": "no-mosaic", "at_least": 0.01},
            {"title": {"en": "more"}, "metric": "val/mask_AP", "arm": "no-mosaic", "against": "baseline",
             "delta_at_least": 0.02},
        ]  # fmt: skip
        claims = [{"metric": "val/mask_AP", "arm": "baseline", "value": 0.65, "source": "document 002"}]
        rule = {"rule": "best", "metric": "val/mask_AP"}
        return super()._info() | {"checkpoint_rule": rule, "goals": goals, "claims": claims}

    def _spec(self, name: str) -> RunSpec:
        return replace(super()._spec(name), masks=True)

    def _dump(self, name: str, path: Path, draw: random.Random, skill: float) -> None:
        super()._dump(name, path, draw, skill)
        found = json.loads(path.read_text())
        path.write_text(json.dumps([{**one, "segmentation": run_lengths(mask_of(one["bbox"], 2))} for one in found]))
