"""An experiment of one model in two frameworks: reference, noise floor and the other framework."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trials import EPOCHS, MILESTONES, Trial

STEPS = 6
"""Of an epoch."""
ARMS = {"torch": ("torch", 0.0), "torch-jitter": ("torch", 1e-7), "jittor": ("jittor", 0.0)}
"""Arm → its framework and its jitter."""
DOCUMENT = (("cost/training_seconds", None, 422.7, 191.4), ("train/loss", 1, 6.2949, 2.7684),
            ("train/loss", 50, 1.9466, 0.7783), ("model/parameters", None, 31.1e6, 25.5e6))  # fmt: skip


class Paired(Trial):
    """As `recipes/parity/training.yaml` lays it out."""

    def __init__(
        self, folder: Path, *, profile: str = "full", seeds: tuple[int, ...] = (0, 1, 2), factor: float = 1.0,
        first: float = 2e-6, weights: str = "", skill: float = 1.0,
    ) -> None:  # fmt: skip
        """`factor`: how many times the floor's drift that of jittor is; `first`: its relative difference of the first
        step; `weights`: put behind its checksum; `skill`: how much better it detects.
        """
        self.factor, self.first, self.weights, self.skill = factor, first, weights, skill
        super().__init__(folder, profile=profile, seeds=seeds)

    def _info(self) -> dict[str, Any]:
        arms = [{"name": name, "title": {"en": name, "zh": name}, "sources": {}, "epochs": EPOCHS,
                 "config": {"model": {"framework": framework, "size": "r50", "backbone": {}},
                            "train": {"jitter": jitter, "batch": 1}}}
                for name, (framework, jitter) in ARMS.items()]  # fmt: skip
        claims = [
            {
                "metric": metric,
                "arm": arm,
                "value": value,
                "source": "document 001",
                "epoch": epoch,
                "note": "two different models",
            }
            for metric, epoch, *values in DOCUMENT
            for arm, value in zip(("jittor", "torch"), values, strict=True)
        ]
        return super()._info() | {
            "recipe": "parity/training", "family": "parity", "backend": "parity", "arms": arms, "overrides": [],
            "goals": [], "claims": claims, "differs": {}, "fairness": [],
            "varies": ["model.framework", "train.jitter", "environment"],
            "environments": {name: {"name": "jittor" if name == "jittor" else "detui"} for name in ARMS},
            "checkpoint_rule": {"rule": "last"}, "record": {"template": "parity", "languages": ["en", "zh"]},
            "runs": [f"{name}-s{seed}" for name in ARMS for seed in self.seeds],
        }  # fmt: skip

    def _strength(self, name: str) -> float:
        return self.skill if name.startswith("jittor") else 1.0

    def _lines(self, name: str, epochs: int, number: int) -> Iterator[dict[str, Any]]:
        arm, seed = name.rsplit("-s", 1)
        draw, noise = random.Random(name), random.Random(name + "noise")
        framework, jitter = ARMS[arm]
        moved = f"{seed}" * 16
        held = f"{seed}f" * 8 if jitter else moved + (self.weights if arm == "jittor" else "")
        slow = 2.0 if arm == "jittor" else 1.0
        yield {"kind": "begin", "t": 0.1, "attempt": 1, "resumed_from_step": 0, "total_epochs": EPOCHS,
               "steps_per_epoch": STEPS, "model": {"name": "rt-detr-r50", "framework": framework, "classes": 80,
                                                   "parameters": 42_891_372, "trained": 42_862_860,
                                                   "constants": 128_000, "tensors": 590, "gflops": 136.0},
               "tensors": "ab12" * 4, "batches": [f"{place}{seed}" * 8 for place in range(3)],
               "first_weights": {"held": held, "unmoved": moved}, "framework": f"{framework} 1.0",
               "asked": {"train.lr": 5e-5}, "used": {"train.lr": 5e-5},
               "packages": {"python": "3.11.7", "numpy": "1.26.4" if arm == "jittor" else "2.4.6"},
               "device": {"kind": "cpu", "name": "CPU"}}  # fmt: skip
        for epoch in range(1, epochs + 1):
            means = []
            for step in range((epoch - 1) * STEPS + 1, epoch * STEPS + 1):
                loss = 3 * math.exp(-step / 60) + 0.5 + 0.1 * int(seed)
                apart = 0.0 if arm == "torch" else 0.01 * noise.choice((-1, 1)) * (self.factor if slow > 1 else 1)
                apart = apart if step > 1 else (self.first if slow > 1 else 1e-7 if jitter else 0.0)
                means.append(loss * (1 + apart))
                times = {"seconds/data": 0.01, "seconds/forward": 0.1 * slow, "seconds/update": 0.19 * slow}
                if step == 1:
                    times = {key: 100 * value for key, value in times.items()}  # it compiles
                yield {"kind": "step", "t": step * 0.3, "step": step, "epoch": epoch, "stage": "main",
                       "values": {"train/loss": means[-1], **times}}  # fmt: skip
            at = {"t": epoch * 3.0, "step": epoch * STEPS, "epoch": epoch, "stage": "main"}
            yield {"kind": "epoch", **at, "seconds": 2.0 * slow, "values": {"train/loss": sum(means) / len(means)}}
            if epoch in MILESTONES:
                path = f"predictions/val-epoch-{epoch:04d}.json"
                self._dump(name, self.runs[name].attempt(number).path / path, draw, self._strength(name) * epoch)
                yield {"kind": "evaluation", **at, "split": "val", "path": path,
                       "checkpoint": f"checkpoints/epoch-{epoch:04d}.npz"}  # fmt: skip
        yield {"kind": "end", "t": epochs * 3.0, "step": epochs * STEPS, "epoch": epochs, "outcome": "finished"}
