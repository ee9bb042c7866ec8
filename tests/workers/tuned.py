"""An experiment on fine-tuning: three arms with masks, rates by part, weights taken over and losses on validation
pictures, as a training with MMDetection reports them.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from trials import Trial

from detui.engine.data.masks import run_lengths
from detui.engine.run.files import read_json, write_json

EPOCHS, STEPS = 24, 10
"""Of a run; of an epoch."""
EVALUATED = (1, 3, 6, 10, 16, 20, 22, 24)
WARM = 20
DROPS = (16, 22)
LAYERS = {"imagenet": (1.0, 1.0, 1.0), "coco": (0.1, 0.5, 1.0), "coco-flat": (1.0, 1.0, 1.0)}
RATE = {"imagenet": 0.02, "coco": 0.002, "coco-flat": 0.002}
SPEED = {"imagenet": 7.0, "coco": 2.5, "coco-flat": 4.0}
"""Epochs over which an arm learns."""
SKILL = {"imagenet": 12.0, "coco": 34.0, "coco-flat": 30.0}
TERMS = {"rpn_cls": 0.2, "rpn_bbox": 0.25, "cls": 0.9, "bbox": 0.6, "mask": 0.7}
PARTS = {"backbone": 265, "neck": 16, "rpn_head": 6, "roi_head.bbox_head": 8, "roi_head.mask_head": 12}
"""Tensors of each part of R50-FPN."""


class Tuned(Trial):
    """Arms `imagenet` (the reference), `coco` and `coco-flat`, with the template of the family."""

    def __init__(self, folder: Path, *, profile: str = "full", seeds: tuple[int, ...] = (0, 1, 2), **changes: Any):
        super().__init__(folder, profile=profile, seeds=seeds, **changes)

    def _info(self) -> dict[str, Any]:
        masked(Path(self.data["prepared"]))
        arms = [{"name": name, "title": {"en": name, "zh": name}, "sources": {}, "config": config_of(name),
                 "epochs": EPOCHS} for name in LAYERS]  # fmt: skip
        ap = [("val/AP", 0.65), ("val/AP50", 0.65), ("val/mask_AP", 0.65), ("val/mask_AP50", 0.65)]
        claims = [{"metric": metric, "arm": arm, "value": value + more, "source": "a document, line 78",
                   "note": note} for arm, more, note in (("imagenet", 0.0, "“~65 %”; no metric named"),
                                                         ("coco", 0.05, "“~70 %+”; no metric named"))
                  for metric, value in ap]  # fmt: skip
        epochs = [("imagenet", 35, "35-40"), ("imagenet", 40, "35-40"), ("coco", 20, "20-25"), ("coco", 25, "20-25")]
        claims += [{"metric": "convergence/epochs_to_90", "arm": arm, "value": value, "source": "a document, line 149",
                    "note": f"“{said}”"} for arm, value, said in epochs]  # fmt: skip
        steps = [{"title": {"en": "layers help", "zh": "分层有效"}, "at_least": 0.01, "next": None},
                 {"title": {"en": "no matter", "zh": "无差别"}, "at_least": None, "next": None}]  # fmt: skip
        return super()._info() | {
            "recipe": "finetune/coco-to-voc", "family": "finetune", "backend": "mmdet", "arms": arms, "overrides": [],
            "title": {"en": "Fine-tuning Mask R-CNN", "zh": "Mask R-CNN 微调"},
            "question": {"en": "What does the whole COCO model buy?", "zh": "完整的 COCO 模型带来什么？"},
            "varies": ["model", "train"], "differs": {"train.lr": dict(RATE)}, "fairness": [], "claims": claims,
            "stages": [{"name": "main", "epochs": EPOCHS}], "epochs": EPOCHS, "milestones": [4, EPOCHS],
            "checkpoint_rule": {"rule": "best", "metric": "val/mask_AP"},
            "goals": [{"metric": "val/mask_AP", "arm": "coco", "against": "imagenet", "delta_at_least": 0.05},
                      {"metric": "convergence/epochs_to_90", "arm": "coco", "at_most": 20}],
            "decisions": [{"metric": "val/mask_AP", "arm": "coco", "against": "coco-flat", "steps": steps}],
            "record": {"template": "finetune", "languages": ["en", "zh"]},
            "runs": [f"{name}-s{seed}" for name in LAYERS for seed in self.seeds],
        }  # fmt: skip

    def _spec(self, name: str) -> Any:
        found = super()._spec(name)
        stage = replace(found.stages[0], epochs=EPOCHS)
        return replace(found, backend="mmdet", stages=(stage,), milestones=(4, EPOCHS))

    def train(self, name: str, epochs: int = EPOCHS, **more: Any) -> None:
        """As any, and the report of its weights beside the lines."""
        super().train(name, epochs, **more)
        told = transfer_of(name.rsplit("-s", 1)[0])
        if told:
            write_json(self.runs[name].attempt(more.get("number", 1)).path / "transfer-s0.json", {**told, "list": []})

    def _lines(self, name: str, epochs: int, number: int) -> Iterator[dict[str, Any]]:
        arm, draw = name.rsplit("-s", 1)[0], random.Random(name)
        used = {f"{section}.{key}": value for section, keys in flat(arm).items() for key, value in keys.items()}
        layers = dict(zip(("backbone", "neck", "rpn_head", "roi_head"), (*LAYERS[arm], LAYERS[arm][2]), strict=True))
        rates = {f"train.rates.{part}": RATE[arm] * factor for part, factor in layers.items()}
        yield {"kind": "begin", "t": 0.1, "attempt": 1, "resumed_from_step": 0, "total_epochs": EPOCHS,
               "steps_per_epoch": STEPS, "model": {"name": "mask-rcnn", "parameters": 43_971_253},
               "asked": used, "used": {**used, **rates}, "operators": "plain torch",
               "packages": {"Python": "3.11.7", "torch": "2.13.0", "onedl-mmdetection": "3.5.1"},
               "device": {"kind": "cpu", "name": "Some CPU", "cuda": None}}  # fmt: skip
        yield {"kind": "stage", "t": 0.2, "stage": "main", "index": 0, "epochs": EPOCHS, "step": 0, "epoch": 0,
               "transfer": transfer_of(arm), "data": {"name": "scenes", "fingerprint": self.data["fingerprint"]},
               "first_step": {"augment": {"flip": 0.5, "photometric": {"brightness": 32, "hue": 18}}}}  # fmt: skip
        for epoch in range(1, epochs + 1):
            level = 0.35 + math.exp(-epoch / SPEED[arm])
            for step in range((epoch - 1) * STEPS + 1, epoch * STEPS + 1):
                values = {**losses(level + draw.uniform(0, 0.05)), **rates_at(arm, step), "memory/peak": 5 << 20}
                yield {"kind": "step", "t": step * 0.3, "step": step, "epoch": epoch, "stage": "main",
                       "values": values}  # fmt: skip
            at = {"t": epoch * 3.0, "step": epoch * STEPS, "epoch": epoch, "stage": "main"}
            own = losses(level + 0.1 + 0.006 * max(0, epoch - 12), "mmdet/val_loss", "mmdet/val_loss")
            own.pop("train/acc", None)
            yield {"kind": "epoch", **at, "seconds": 3.25, "values": {**losses(level), **own}}
            if epoch in EVALUATED or epoch == epochs:
                path = f"predictions/val-epoch-{epoch:04d}.json"
                skill = SKILL[arm] * (1 - math.exp(-epoch / SPEED[arm]))
                self._dump(name, self.runs[name].attempt(number).path / path, draw, skill)
                yield {"kind": "evaluation", **at, "split": "val", "path": path,
                       "checkpoint": f"checkpoints/epoch-{epoch:04d}.pt"}  # fmt: skip
        yield {"kind": "end", "t": epochs * 3.0, "step": epochs * STEPS, "epoch": epochs, "outcome": "finished"}

    def _dump(self, name: str, path: Path, draw: random.Random, skill: float) -> None:
        super()._dump(name, path, draw, skill)
        found = json.loads(path.read_text())
        for entry in found:
            entry["segmentation"] = run_lengths(shape(entry["bbox"], entry["category_id"], 240, 320))
        path.write_text(json.dumps(found))


def masked(folder: Path) -> None:
    """Give the truth of `prepare` masks, and the areas of those."""
    truth = read_json(folder / "val.json")
    for entry in truth["annotations"]:
        mask = shape(entry["bbox"], entry["category_id"], 240, 320)
        entry |= {"segmentation": run_lengths(mask), "area": int(mask.sum())}
    write_json(folder / "val.json", truth)


def shape(box: Any, category: int, height: int, width: int) -> np.ndarray:
    """[height, width] What fills a box: a disc of the first class, a rectangle of the others."""
    x, y, wide, tall = box
    rows, columns = np.ogrid[:height, :width]
    across, down = (columns + 0.5 - x) / max(wide, 1e-6) - 0.5, (rows + 0.5 - y) / max(tall, 1e-6) - 0.5
    return across**2 + down**2 <= 0.25 if category == 1 else (abs(across) <= 0.5) & (abs(down) <= 0.5)


def losses(level: float, total: str = "train/loss", terms: str = "train/loss") -> dict[str, float]:
    """The five terms of Mask R-CNN, and their sum."""
    of = {f"{terms}_{term}": level * value for term, value in TERMS.items()}
    return {total: sum(of.values()), **of, "train/acc": 100 - 10 * level}


def rates_at(arm: str, step: int) -> dict[str, float]:
    """What each part learns with: a warm-up, and drops."""
    rate = RATE[arm] * min(1.0, step / WARM) * 0.1 ** sum(step > drop * STEPS for drop in DROPS)
    return {f"lr/{part}": rate * factor for part, factor in zip(("backbone", "neck", "head"), LAYERS[arm], strict=True)}


def config_of(arm: str) -> dict[str, Any]:
    """The sections of an arm, as a recipe has them."""
    whole = arm != "imagenet"
    return {
        "model": {
            "name": "mask-rcnn", "weights": "mask_rcnn_r50_fpn_1x_coco.pth" if whole else None,
            "backbone": {"depth": 50, "weights": None if whole else "resnet50.pth", "frozen_stages": 1,
                         "norm_eval": True},
            "start": {"take": "all", "anew": "classes", "box_std": 0.01, "mask_std": 0.001},
        },
        "train": {
            "epochs": EPOCHS, "batch": 2, "lr": RATE[arm], "reference_batch": 2,
            "layers": dict(zip(("backbone", "neck", "heads"), LAYERS[arm], strict=True)), "momentum": 0.9,
            "weight_decay": 0.0001, "warmup_steps": WARM, "warmup_from": 0.001, "drops": list(DROPS),
            "drop_factor": 0.1, "image_size": [1333, 800],
        },
        "augment": {"flip": 0.5, "photometric": {"brightness": 32, "hue": 18}},
    }  # fmt: skip


def flat(arm: str) -> dict[str, dict[str, Any]]:
    """The sections of an arm with dotted names below each."""
    from detui.engine.analysis.fairness import flatten

    return {section: flatten(values) for section, values in config_of(arm).items()}


def transfer_of(arm: str) -> dict[str, Any]:
    """What a stage says of the weights that it began with."""
    whole = arm != "imagenet"
    anew = {"roi_head.bbox_head.fc_cls": 2, "roi_head.bbox_head.fc_reg": 2, "roi_head.mask_head.conv_logits": 2}
    lost = {"roi_head.bbox_head": 4, "roi_head.mask_head": 2}
    none = {"loaded": 0, "reinitialised": 0, "missing": 0, "unexpected": 0}
    parts = {part: {**none, "loaded": count - lost.get(part, 0), "reinitialised": lost.get(part, 0)}
             for part, count in PARTS.items()} if whole else {
                 "backbone": {**none, "loaded": PARTS["backbone"]}, "other": {**none, "unexpected": 2}}  # fmt: skip
    every, taken = sum(PARTS.values()), sum(one["loaded"] for one in parts.values())
    kind = {"kind": "detector", "file": "mask_rcnn_r50_fpn_1x_coco.pth"} if whole else {
        "kind": "backbone", "file": "resnet50.pth"}  # fmt: skip
    return {
        "source": kind, "file": "transfer-s0.json", "parts": parts, "notices": [],
        "tensors": {"transferred": taken, "remapped": 0, "in_part": 0, "anew": every - taken, "of": every,
                    "left_behind": 0 if whole else 2},
        "parameters": {"transferred": 43_000_000 if whole else 23_454_912, "remapped": 0, "in_part": 0,
                       "anew": 971_253 if whole else 20_516_341, "of": 43_971_253,
                       "left_behind": 0 if whole else 2_049_000},
        "classes": None, "reshaped": 0,
        "anew": anew if whole else {part: count for part, count in PARTS.items() if part != "backbone"},
    }  # fmt: skip
