"""An experiment of two arms on two data sets, of which the crowded one has other classes and more objects."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from trials import EPOCHS, Trial, prepare

from detui.engine.run.files import read_json, write_json

CLASSES = ("disc", "box|with pipe", "lamp")
"""Of the crowded data: two in common with the simple data, and one of their own."""
ARMS = ("l", "mnv4")
FAVOUR = {"l-crowded": 1.0, "mnv4-crowded": 0.55, "l-simple": 1.0, "mnv4-simple": 1.4}
"""How well each arm learns: the light one loses on the crowded data and wins on the simple."""


def crowd(folder: Path) -> dict[str, Any]:
    """Other pictures, other classes and more boxes; the `data` object."""
    info = prepare(folder, images=6)
    truth = read_json(folder / "val.json")
    truth["categories"] = [{"id": place + 1, "name": name} for place, name in enumerate(CLASSES)]
    draw = random.Random(2)
    for _ in range(3 * len(truth["annotations"])):
        x, y, image = draw.uniform(0, 300), draw.uniform(0, 220), draw.randint(1, 6)
        truth["annotations"].append({"id": len(truth["annotations"]) + 1, "image_id": image, "bbox": [x, y, 18, 18],
                                     "category_id": draw.randint(1, 3), "area": 324, "iscrowd": 0})  # fmt: skip
    write_json(folder / "val.json", truth)
    splits = {"train": {"json": "train.json", "images": 60, "boxes": 1230},
              "val": {"json": "val.json", "images": 6, "boxes": len(truth["annotations"])}}  # fmt: skip
    found = {**info, "name": "crowd", "title": "Crowded scenes", "fingerprint": "sha256:5e6f", "splits": splits,
             "classes": list(CLASSES), "problems": []}  # fmt: skip
    write_json(folder / "dataset.json", {**found, "root": str(folder / "images")})
    return found


class Crossed(Trial):
    """Arms `l` and `mnv4` on `crowded` and `simple`: four arms, in the order of the data sets."""

    def __init__(self, folder: Path, *, seeds: tuple[int, ...] = (0, 1, 2), **changes: Any) -> None:
        self.folder = folder
        super().__init__(folder, profile=changes.pop("profile", "full"), seeds=seeds, **changes)

    def _info(self) -> dict[str, Any]:
        self.data_sets = {"crowded": crowd(self.folder / "crowded"), "simple": self.data}
        arms = [
            {"name": f"{arm}-{role}", "of": arm, "data_set": role, "title": {"en": f"{arm} on {role}", "zh": arm},
             "config": {"model": {"name": arm}, "train": {"batch": 4, "imgsz": 320}}, "sources": {}, "epochs": EPOCHS}
            for role in self.data_sets for arm in ARMS
        ]  # fmt: skip
        against = {"metric": "val/AP"}
        return super()._info() | {
            "recipe": "scratch/crossed", "family": "scratch", "arms": arms, "varies": ["model"],
            "differs": {}, "fairness": [], "data": self.data_sets["crowded"], "data_sets": self.data_sets,
            "goals": [{**against, "arm": f"mnv4-{role}", "against": f"l-{role}", "delta_at_least": 0.0}
                      for role in self.data_sets],
            "claims": [
                {"metric": "train/loss_cls", "arm": "mnv4-crowded", "value": 0.38, "epoch": 1, "source": "seed, 1"},
                {"metric": "train/loss_cls", "arm": "mnv4-crowded", "value": 0.77, "epoch": 100, "source": "seed, 2"},
                {"metric": "val/AP", "arm": "mnv4-crowded", "value": 0.053, "epoch": 20, "source": "seed, 3"},
                {"metric": "val/AP", "arm": "l-crowded", "value": 0.235, "epoch": 21, "source": "seed, 4"},
                {"metric": "val/AP", "arm": "mnv4-simple", "value": 0.269, "epoch": None, "source": "seed, 5"},
                {"metric": "val/AP", "arm": "mnv4", "value": 0.1, "epoch": None, "source": "seed, 6"},
                {"metric": "train/loss_giou", "arm": "l-simple", "value": 0.7, "epoch": 10, "source": "seed, 7"},
            ],
            "runs": [f"{arm['name']}-s{seed}" for arm in arms for seed in self.seeds],
        }  # fmt: skip

    def role(self, name: str) -> str:
        """The data set of a run."""
        return name.rsplit("-s", 1)[0].rsplit("-", 1)[1]

    def _data(self, name: str) -> dict[str, Any]:
        return self.data_sets[self.role(name)]

    def _strength(self, name: str) -> float:
        return FAVOUR[name.rsplit("-s", 1)[0]]
