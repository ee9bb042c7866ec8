"""A run that reports AQR, on disk: of the backend `torch`, judged in the manner of nuScenes, without any training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from detui.engine.run.directory import RunDir
from detui.engine.run.lines import LineWriter

SIDES = {"lidar": (0.85, 0.185, 0.387, 0.169, 0.674), "camera": (0.89, 1.3, 0.322, 0.091, 1.45)}
"""Of each: weight, largest of the map, relative change of active and of all features, largest gain."""


def statistic(step: int, **more: float) -> dict[str, object]:
    """A `statistic` line as the backend writes it: the camera's weight grows with the step, the LiDAR's stays."""
    values: dict[str, float] = {}
    for side, (weight, most, active, whole, gain) in SIDES.items():
        mean = weight + (step / 2000 if side == "camera" else 0)
        known = {"weight_mean": mean, "weight_std": 0.02, "weight_min": mean - 0.05, "weight_max": mean + 0.04,
                 "map_max": most, "map_raw_max": 2 * most, "zero_fraction": 0.4, "clamped_fraction": 0.025,
                 "mean_change": -0.167, "max_change": 1.498, "relative_change": whole,
                 "relative_change_active": active, "active_fraction": whole / active, "gain_min": 0.6,
                 "gain_max": gain}  # fmt: skip
        values |= {f"aqr/{side}_{what}": value for what, value in known.items()}
    both = {"padding_fraction": 0.041, "unseen_fraction": 0.019, "balance": 1.05, "clamp": 2.5, "gain_low": 0.6,
            "gain_high": 1.6, "gradient_norm": 0.042}  # fmt: skip
    values |= {f"aqr/{what}": value for what, value in both.items()}
    return {"kind": "statistic", "t": step * 0.2, "step": step, "values": {**values, **more}}


def written(workspace: Path, writer: Callable[..., Path], ident: str = "aqr.configurations-20261126-090000") -> RunDir:
    """A finished run with AQR, and beside it one without: 12 epochs of 8 steps, a statistic line every eighth step."""
    title = {"en": "AQR configurations", "zh": "AQR 配置"}
    path = writer(workspace, ident, {"aqr-2.5-0.6-s0": "finished", "no-aqr-s0": "finished"}, title=title)
    for name in ("aqr-2.5-0.6-s0", "no-aqr-s0"):
        run = RunDir(path / "runs" / name)
        known = json.loads(run.spec_path.read_text())
        run.spec_path.chmod(0o644)
        run.spec_path.write_text(json.dumps({**known, "data": {"metric": "nuscenes"}}))
        judged = run.attempt(1).evaluations_path
        judged.unlink()
        evaluations = LineWriter(judged)
        for epoch in (4, 8, 12):
            values = {"val/mAP": 0.02 * epoch, "val/NDS": 0.03 * epoch, "val/mATE": 1.1}
            evaluations.write({"kind": "evaluation", "epoch": epoch, "step": epoch * 8, "split": "val",
                               "values": values})  # fmt: skip
        evaluations.close()
    run = RunDir(path / "runs" / "aqr-2.5-0.6-s0")
    report(run, *(statistic(step) for step in range(8, 97, 8)))
    return run


def report(run: RunDir, *lines: dict[str, object]) -> None:
    """Add lines to what the run has measured."""
    metrics = LineWriter(run.attempt(1).metrics_path)
    for line in lines:
        metrics.write(line)
    metrics.close()
