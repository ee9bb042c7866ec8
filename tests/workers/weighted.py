"""An experiment of the size-weighting family: its arms, claims, goals and decision, and the shares that it samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trials import EPOCHS, Trial

FACTORS = {"baseline": (1.0, 1.0, 1.0), "weighted": (2.0, 1.5, 1.0), "uniform-scale": (2.0, 1.5, 1.0),
           "small-2.5": (2.5, 1.5, 1.0)}  # fmt: skip
TITLES = {
    "baseline": {"en": "1/1/1", "zh": "基线 1/1/1"},
    "weighted": {"en": "2/1.5/1", "zh": "Loss 权重改进 2/1.5/1"},
    "uniform-scale": {"en": "mean of 2/1.5/1", "zh": "各尺寸同取均值"},
    "small-2.5": {"en": "2.5/1.5/1", "zh": "小目标 ×2.5"},
}
SIZES = ("small", "medium", "large")
OBJECTS = (0.5, 0.3, 0.2)
"""Shares of the objects, by size."""
POSITIVES = (0.4, 0.35, 0.25)
"""Shares of the points that learn one."""
STEPS = [
    {"at_least": 0.02, "title": {"en": "reached", "zh": "达到预期"},
     "next": {"en": "FPN attention", "zh": "FPN 注意力"}},
    {"at_least": 0.01, "title": {"en": "partly", "zh": "部分达到"},
     "next": {"en": "other ratios", "zh": "调整权重比例"}},
    {"at_least": None, "title": {"en": "not reached", "zh": "未达到"}, "next": {"en": "look why", "zh": "分析原因"}},
]  # fmt: skip
AGAINST = {"arm": "weighted", "against": "baseline"}
GOALS = [
    {"title": {"en": "overall, as claimed", "zh": "总体（声称）"}, "metric": "val/AP50", "arm": "weighted",
     "at_least": 0.42},
    {"metric": "val/AP_small", "arm": "weighted", "at_least": 0.33},
    {"metric": "model/fps", "arm": "weighted", "at_least": 30},
    {"metric": "model/parameters", **AGAINST, "unchanged": True},
    {"metric": "model/gflops", **AGAINST, "unchanged": True},
]  # fmt: skip
CLAIMS = [
    {"metric": "val/AP_small", "arm": "baseline", "value": 0.3094, "source": "a document",
     "note": "pixel spaces mixed"},
    {"metric": "model/fps", "arm": "baseline", "value": 35, "source": "a document", "note": None},
    {"metric": "val/AP", "arm": "weighted", "value": 0.25, "source": "elsewhere", "note": None},
]  # fmt: skip


def used_by(arm: str) -> dict[str, Any]:
    """What a run of an arm reports of its weights and its augmentation."""
    weights = {f"loss.by_size.weights.{size}": factor for size, factor in zip(SIZES, FACTORS[arm], strict=True)}
    return {**weights, "loss.by_size.edges": [32.0, 96.0], "loss.by_size.pixels": "original",
            "loss.by_size.normalise": "none" if arm == "uniform-scale" else "mean",
            "loss.by_size.uniform": arm == "uniform-scale", "loss.by_size.terms": ["box", "cls", "dfl"],
            "augment.mosaic": 1.0, "augment.hsv_h": 0.015, "train.close_mosaic": 5}  # fmt: skip


def gradient(arm: str) -> tuple[float, ...]:
    """Shares of gradient by size, by a rule: those of the objects, weighted."""
    factors = (1.0, 1.0, 1.0) if arm == "uniform-scale" else FACTORS[arm]
    parts = [share * factor for share, factor in zip(OBJECTS, factors, strict=True)]
    return tuple(part / sum(parts) for part in parts)


class Weighted(Trial):
    """Arms of size weights; `arms` says which of FACTORS."""

    def __init__(
        self, folder: Path, *, arms: tuple[str, ...] = tuple(FACTORS), profile: str = "full", **changes: Any
    ) -> None:
        self._arms = arms
        super().__init__(folder, profile=profile, seeds=changes.pop("seeds", (0, 1, 2)), **changes)

    def _info(self) -> dict[str, Any]:
        model, train = {"name": "yolo12n", "inputs": "rgbd"}, {"batch": 16, "imgsz": 640}
        arms = [
            {"name": arm, "title": TITLES[arm], "sources": {},
             "config": {"model": model, "train": train, "loss": {"by_size": {
                 "weights": dict(zip(SIZES, FACTORS[arm], strict=True)), "normalise": "mean"}}}}
            for arm in self._arms
        ]  # fmt: skip
        small = {arm: FACTORS[arm][0] for arm in self._arms}
        return super()._info() | {
            "recipe": "size-weights/visdrone-rgbd", "family": "size-weights", "backend": "ultralytics",
            "title": {"en": "Size-adaptive loss weights", "zh": "尺寸自适应 Loss 加权"},
            "question": {"en": "Does weighting by size help small objects?", "zh": "按尺寸加权能否帮助小目标？"},
            "arms": arms, "varies": ["loss.by_size"], "differs": {"loss.by_size.weights.small": small},
            "fairness": [{"level": "varies", "field": "loss.by_size.weights.small", "text": "differs, as declared."}],
            "goals": GOALS, "decisions": [{"metric": "val/AP_small", **AGAINST, "steps": STEPS}], "claims": CLAIMS,
            "data": {**self.data, "depth": {"encoding": "uint8", "far": None, "note": "ZoeDepth nyu"}},
            "record": {"template": "size-weights", "languages": ["en", "zh"]},
            "runs": [f"{arm}-s{seed}" for arm in self._arms for seed in self.seeds],
            "estimates": {arm: {"seconds": 3600.0} for arm in self._arms},
        }  # fmt: skip

    def _lines(self, name: str, epochs: int, number: int):
        arm = name.rsplit("-s", 1)[0]
        for line in super()._lines(name, epochs, number):
            if line["kind"] == "begin":
                model = {**line["model"], "channels": 4, "depth_filter": "mean"}
                line = {**line, "model": model, "asked": {}, "used": used_by(arm)}
            yield line
            if line["kind"] == "epoch":
                wobble = 0.01 if line["epoch"] % 2 else -0.01  # cancels over an even number of samples
                first, *others = gradient(arm)
                shares = {"gradient/small": first + wobble, "gradient/medium": others[0] - wobble,
                          "gradient/large": others[1]}  # fmt: skip
                for family, parts in (("objects", OBJECTS), ("positives", POSITIVES)):
                    shares |= {f"{family}/{size}": share for size, share in zip(SIZES, parts, strict=True)}
                yield {"kind": "statistic", "t": line["t"], "step": line["step"], "epoch": line["epoch"],
                       "values": {**shares, "weight/mean": 1.65 if arm == "uniform-scale" else 1.0}}  # fmt: skip


assert EPOCHS % 2 == 0
