"""A whole experiment on disk, written through the run directory's own API and scored by the real evaluator."""

from __future__ import annotations

import json
import math
import random
import statistics
import sys
from collections import Counter
from pathlib import Path

from detui.engine.evaluate import evaluate_run
from detui.engine.run.directory import RunDir
from detui.engine.run.files import write_json
from detui.engine.run.lines import LineWriter
from detui.engine.run.spec import DeviceRequest, RunSpec, StageSpec

CLASSES = ("disc", "box|with pipe", "tri<b>angle")
EPOCHS = 30
MILESTONES = (10, 20, 30)
COLOURS = ((190, 70, 60), (60, 90, 190), (70, 160, 80))


def prepare(folder: Path, images: int = 10) -> dict:
    """Pictures of coloured shapes and their ground truth; the `data` object of experiment.json."""
    from PIL import Image, ImageDraw

    draw = random.Random(1)
    (folder / "images").mkdir(parents=True)
    truth = {"images": [], "annotations": [], "categories": [{"id": i + 1, "name": n} for i, n in enumerate(CLASSES)]}
    for number in range(1, images + 1):
        name = f"scene_{number:04d}.png"
        picture = Image.new("RGB", (320, 240), (215, 210, 200))
        brush = ImageDraw.Draw(picture)
        truth["images"].append({"id": number, "file_name": name, "width": 320, "height": 240})
        for _ in range(draw.randint(3, 7)):
            side, category = draw.choice((20, 50, 110)), draw.randint(1, 3)
            x, y = draw.uniform(0, 320 - side), draw.uniform(0, 240 - side)
            shape = brush.ellipse if category == 1 else brush.rectangle
            shape([x, y, x + side, y + side], fill=COLOURS[category - 1])
            truth["annotations"].append(
                {"id": len(truth["annotations"]) + 1, "image_id": number, "category_id": category,
                 "bbox": [x, y, side, side], "area": side * side, "iscrowd": 0}
            )  # fmt: skip
        picture.save(folder / "images" / name)
    write_json(folder / "val.json", truth)
    per_image = sorted(Counter(entry["image_id"] for entry in truth["annotations"]).values())
    density = {"mean": statistics.fmean(per_image), "median": float(statistics.median(per_image))}
    splits = {
        "train": {"json": "train.json", "images": 96, "boxes": 480, "objects": 480,
                  "objects_per_image": {"mean": 5.0, "median": 5.0}},
        "val": {"json": "val.json", "images": images, "boxes": sum(per_image), "objects": sum(per_image),
                "objects_per_image": density},
    }  # fmt: skip
    problems = [{"kind": "zero_size", "action": "leave_out", "count": 2,
                 "examples": ["BloodImage_00338.xml:12 the box is 0 pixels wide"]}]  # fmt: skip
    info = {"name": "scenes", "title": "Generated scenes", "fingerprint": "sha256:0a1b2c3d", "generated": True,
            "classes": list(CLASSES), "splits": splits, "problems": problems}  # fmt: skip
    write_json(folder / "dataset.json", {**info, "root": str(folder / "images")})
    return {**info, "prepared": str(folder)}


class Trial:
    """An experiment of two arms, trained as far as a test wants."""

    def __init__(
        self, folder: Path, *, profile: str = "quick", seeds: tuple[int, ...] = (0, 1), **changes: object
    ) -> None:
        self.data = prepare(folder / "prepared")
        self.path = folder / "starter.mosaic-20261120-134500"
        self.seeds = seeds
        self.profile = profile
        self.info = self._info() | changes
        self.path.mkdir()
        write_json(self.path / "experiment.json", self.info)
        self.runs = {name: RunDir.create(self.path / "runs" / name, self._spec(name)) for name in self.info["runs"]}

    def _info(self) -> dict:
        model, train = {"name": "yolo12n"}, {"batch": 16, "imgsz": 320}
        arms = [
            {"name": "baseline", "title": {"en": "with mosaic", "zh": "使用马赛克增强"},
             "config": {"model": model, "train": {**train, "mosaic": 1.0}}, "sources": {}},
            {"name": "no-mosaic", "title": {"en": "without mosaic", "zh": "不使用马赛克增强"},
             "config": {"model": model, "train": {**train, "mosaic": 0.0}}, "sources": {}},
        ]  # fmt: skip
        return {
            "id": self.path.name, "recipe": "starter/mosaic", "family": "starter",
            "title": {"en": "Mosaic for a nano detector", "zh": "轻量检测器与马赛克增强"},
            "question": {"en": "Does mosaic help?", "zh": "马赛克增强是否有帮助?"},
            "profile": self.profile, "created": "2026-11-20T13:45:00Z", "name": "exp_mosaic_v1", "tags": ["demo"],
            "note": None, "command": f"detui run starter/mosaic --profile {self.profile}",
            "overrides": ["train.lr0=0.0005"],
            "varies": ["train.mosaic"], "arms": arms, "differs": {"train.mosaic": {"baseline": 1.0, "no-mosaic": 0.0}},
            "fairness": [{"level": "varies", "field": "train.mosaic", "text": "train.mosaic differs, as declared."}],
            "seeds": list(self.seeds), "stages": [{"name": "main", "epochs": EPOCHS}], "epochs": EPOCHS,
            "milestones": list(MILESTONES), "checkpoint_rule": {"rule": "best", "metric": "val/AP"},
            "goals": [
                {"title": {"en": "useful", "zh": "可用"}, "metric": "val/AP50", "arm": "no-mosaic", "at_least": 0.42},
                {"title": {"en": "mosaic matters", "zh": "马赛克有效"}, "metric": "val/AP", "arm": "no-mosaic",
                 "against": "baseline", "delta_at_least": 0.02},
                {"title": {"en": "small", "zh": "小"}, "metric": "val/none", "arm": "baseline", "at_least": 1},
            ],
            "claims": [{"metric": "val/AP50", "arm": "baseline", "value": 0.41, "source": "seed document, line 35"}],
            "data": self.data,
            "code": {"version": "0.1.0", "commit": "0123abcd", "dirty": True, "diff": "code.diff"},
            "host": {"hostname": "box", "os": "Ubuntu 22.04", "cpu": "Some CPU", "cores": 2, "memory": 8 * 2**30},
            "device": {"kind": "cpu", "count": 1, "candidates": ["cpu:0"], "names": [], "driver": None, "cuda": None},
            "record": {"template": "default", "languages": ["en", "zh"]},
            "runs": [f"{arm['name']}-s{seed}" for arm in arms for seed in self.seeds],
        }  # fmt: skip

    def _spec(self, name: str) -> RunSpec:
        arm, seed = name.rsplit("-s", 1)
        return RunSpec(
            experiment=self.path.name, recipe="starter/mosaic", arm=arm, seed=int(seed), profile=self.profile,
            backend="ultralytics", trainer="none:None", python=sys.executable, threads=1,
            device=DeviceRequest(kind="cpu", count=1, candidates=("cpu:0",)), config={},
            stages=(StageSpec(name="main", epochs=EPOCHS, config={}),), data=self._data(name), milestones=MILESTONES,
            checkpoint_rule=self.info["checkpoint_rule"],
        )  # fmt: skip

    def train(
        self, name: str, epochs: int = EPOCHS, *, ended: str | None = "finished", evaluate: bool = True,
        number: int = 1, after: int = 0, device: str = "cpu:0", begin: dict | None = None,
    ) -> None:  # fmt: skip
        """Attempt `number` of a run, from the epoch that follows `after` to `epochs`; `begin` changes that line."""
        run = self.runs[name]
        attempt = run.attempt(number)
        attempt.predictions.mkdir(parents=True)
        resume = {"attempt": number - 1, "step": after * 6, "epoch": after, "stage": 0} if after else None
        write_json(attempt.path / "attempt.json", {"number": number, "resume": resume})
        run.append_event("starting", attempt=number)
        run.append_event("running", attempt=number, device=[device])
        metrics = LineWriter(attempt.metrics_path)
        first, *others = self._lines(name, epochs, number)
        metrics.write({**first, "attempt": number, "resumed_from_step": after * 6, **(begin or {})})
        for line in others:
            if line["epoch"] > after or line["kind"] in ("end", "stage"):
                metrics.write(line)
        metrics.close()
        telemetry = LineWriter(attempt.telemetry_path)
        for t in range(epochs):
            telemetry.write({"t": float(t), "cpu_percent": 90.0, "rss": (300 + 4 * t) * 2**20, "gpus": []})
        telemetry.close()
        if ended:
            run.append_event(ended, attempt=number)
            write_json(
                attempt.path / "exit.json", {"state": ended, "code": 0, "signal": None, "reason": None, "seconds": 97.5}
            )
        if evaluate:
            evaluate_run(run)

    def _lines(self, name: str, epochs: int, number: int):
        strength = self._strength(name)
        draw = random.Random(name)
        yield {"kind": "begin", "t": 0.1, "attempt": 1, "resumed_from_step": 0, "total_epochs": EPOCHS,
               "steps_per_epoch": 6, "model": {"name": "yolo12n", "parameters": 2602288, "gflops": 6.5},
               "asked": {"lr0": 0.0005, "amp": False}, "used": {"lr0": 0.002, "amp": False},
               "packages": {"Python": "3.11.7", "torch": "2.13.0", "ultralytics": "8.4.190"},
               "device": {"kind": "cpu", "name": "Some CPU", "cuda": None}}  # fmt: skip
        for epoch in range(1, epochs + 1):
            loss = 3 * math.exp(-epoch / 12) + 0.5 + draw.uniform(0, 0.1)
            yield {"kind": "step", "t": epoch * 3.0, "step": epoch * 6, "epoch": epoch, "stage": "main",
                   "values": {"train/loss_box": loss, "memory/reserved": 5}}  # fmt: skip
            yield {"kind": "epoch", "t": epoch * 3.0, "step": epoch * 6, "epoch": epoch, "stage": "main",
                   "seconds": 3.25, "values": {
                       "train/loss_box": loss, "train/loss_cls": 1.4 * loss,
                       "ultralytics/mAP50-95": 0.5 * epoch / 40, "ultralytics/mAP50": 0.9 * epoch / 40}}  # fmt: skip
            if epoch in MILESTONES:
                path = f"predictions/val-epoch-{epoch:04d}.json"
                self._dump(name, self.runs[name].attempt(number).path / path, draw, strength * epoch)
                yield {"kind": "evaluation", "t": epoch * 3.0, "step": epoch * 6, "epoch": epoch, "split": "val",
                       "path": path, "checkpoint": f"checkpoints/epoch-{epoch:04d}.pt"}  # fmt: skip
        yield {"kind": "end", "t": epochs * 3.0, "step": epochs * 6, "epoch": epochs, "outcome": "finished"}

    def _data(self, name: str) -> dict:
        """The data that a run is judged on."""
        return self.data

    def _strength(self, name: str) -> float:
        """How fast a run learns."""
        return 1.0 if name.startswith("baseline") else 1.25

    def _dump(self, name: str, path: Path, draw: random.Random, skill: float) -> None:
        truth = json.loads((Path(self._data(name)["prepared"]) / "val.json").read_text())
        found = []
        for entry in truth["annotations"]:
            x, y, w, h = entry["bbox"]
            spread = 3.0 / skill
            place = [x + draw.gauss(0, spread) * w, y + draw.gauss(0, spread) * h, w, h]
            if draw.random() < 0.9:
                found.append({"image_id": entry["image_id"], "category_id": entry["category_id"], "bbox": place,
                              "score": round(min(0.99, draw.uniform(0.2, 0.5) + skill / 80), 4)})  # fmt: skip
            if draw.random() < 0.5:
                found.append({"image_id": entry["image_id"], "category_id": draw.randint(1, 3),
                              "bbox": [y, x / 2, h, w], "score": round(draw.uniform(0.01, 0.5), 4)})  # fmt: skip
        path.write_text(json.dumps(found))

    def train_all(self) -> None:
        """Every run, to its end."""
        for name in self.runs:
            self.train(name)
