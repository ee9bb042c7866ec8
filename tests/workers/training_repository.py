"""A stand-in for tools/train.py of a repository on mmcv 1.x: the options, the log, the AQR blocks, the checkpoints."""

from __future__ import annotations

import argparse
import os
import sys
import time
import zipfile
from pathlib import Path

SECTIONS = ("lidar_weights_stats", "weight_map_bev_stats", "modulation_effect_pers")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("--work-dir", type=Path, required=True)
    parser.add_argument("--resume-from", type=Path)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--cfg-options", nargs="+", default=[])
    parser.add_argument("--seconds", type=float, default=0.0)
    asked = parser.parse_args()
    asked.work_dir.mkdir(parents=True, exist_ok=True)
    first = 1
    if asked.resume_from:
        with zipfile.ZipFile(asked.resume_from) as archive:
            first = int(archive.read("epoch")) + 1
    print("config", Path(asked.config).read_text().strip(), "options", *asked.cfg_options, "in", Path.cwd())
    print("seed", asked.seed, "mine", os.environ.get("MINE"))
    for epoch in range(first, 4):
        for step in (5, 10):
            time.sleep(asked.seconds)
            if step == 10:
                for rank in (0, 1):
                    block(10 * epoch - 10 + step, rank)
            log(f"Epoch [{epoch}][{step}/10]\tlr: 1.0e-04, eta: 0:01:00, memory: 2, loss_cls: {1 / epoch}, "
                f"d0.loss_cls: 0.5, loss: {0.5 + 1 / epoch}, grad_norm: nan")  # fmt: skip
        with zipfile.ZipFile(asked.work_dir / f"epoch_{epoch}.pth", "w") as archive:
            archive.writestr("epoch", str(epoch))
        log(f"Epoch(val) [{epoch}][7]\tpts_bbox_NuScenes/NDS: 0.{epoch}, pts_bbox_NuScenes/car_vel_err: nan")
        time.sleep(3 * asked.seconds)


def log(text: str) -> None:
    """mmcv logs to standard error."""
    sys.stderr.write(f"2025-10-13 12:10:28,291 - mmdet - INFO - {text}\n")


def block(forward: int, rank: int) -> None:
    print(f"🔍 AQR Debug Info (Forward #{forward}):")
    for section in SECTIONS:
        print(f"   {section}:")
        print(f"     mean: {0.5 + rank / 10}")
        print(f"     relative_change: {0.3 + rank / 10}" if "effect" in section else "     max: nan")
    print()


if __name__ == "__main__":
    main()
