"""An experiment on frames of cameras and LiDAR: two arms that are judged in the manner of nuScenes."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
from nuscenes_cases import of_truth, random_case, write
from trials import Trial

CLASSES = ("car", "pedestrian", "barrier", "traffic_cone", "bicycle")


class Framed(Trial):
    """Trained as far as a test wants; arms find more, and more exactly, with every epoch."""

    def _info(self) -> dict:
        known, _ = random_case(5, frames=8)
        write(Path(self.data["prepared"]) / "val.json", known)
        boxes = sum(len(frame["labels"]) for frame in known["frames"])
        splits = {role: {"json": f"{role}.json", "images": 8, "boxes": boxes} for role in ("train", "val")}
        self.data |= {"metric": "nuscenes", "classes": list(CLASSES), "splits": splits, "problems": []}
        goal = {"title": {"en": "useful", "zh": "可用"}, "metric": "val/NDS", "arm": "no-mosaic", "at_least": 0.2}
        claims = [
            {"metric": "val/NDS", "arm": "baseline", "value": 0.6825, "source": "document 004"},
            {"metric": "val/mATE", "arm": "baseline", "value": 0.3373, "source": "document 004"},
            {"metric": "val/mAP/bus", "arm": "baseline", "value": 0.729, "source": "document 004"},
        ]
        rule = {"rule": "best", "metric": "val/NDS"}
        return super()._info() | {"checkpoint_rule": rule, "goals": [goal], "claims": claims}

    def _dump(self, name: str, path: Path, draw: random.Random, skill: float) -> None:
        known = json.loads((Path(self.data["prepared"]) / "val.json").read_text())
        found, noise = of_truth(known), np.random.default_rng(draw.randrange(2**32))
        for frame in found["frames"]:
            for box in frame["boxes"]:
                box[0] += noise.normal(0, 20 / skill)
                box[6] += noise.normal(0, 5 / skill)
        write(path, found)
