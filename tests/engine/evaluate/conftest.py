"""A run with prepared data and dumped predictions, written through the run directory's own API."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from detui.engine.run.directory import RunDir
from detui.engine.run.files import write_json
from detui.engine.run.lines import LineWriter
from detui.engine.run.spec import DeviceRequest, RunSpec, StageSpec

BOX = [10.0, 10.0, 40.0, 40.0]
TRUTH = {
    "images": [{"id": 1, "width": 200, "height": 100, "file_name": "a.png"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": BOX, "area": 1600.0, "iscrowd": 0}],
    "categories": [{"id": 1, "name": "cell"}],
}


class DumpingRun:
    """A run whose worker dumped predictions."""

    def __init__(self, folder: Path) -> None:
        prepared = folder / "prepared"
        prepared.mkdir()
        write_json(prepared / "val.json", TRUTH)
        spec = RunSpec(
            experiment="e", recipe="starter/tiny", arm="baseline", seed=0, profile="quick", backend="command",
            trainer="none:None", python=sys.executable, threads=1,
            device=DeviceRequest(kind="cpu", count=1, candidates=("cpu:0",)), config={},
            stages=(StageSpec(name="main", epochs=4, config={}),), data={"prepared": str(prepared)},
            milestones=(2, 4), checkpoint_rule={"rule": "best", "metric": "val/AP"},
        )  # fmt: skip
        self.dir = RunDir.create(folder / "e" / "runs" / "baseline-s0", spec)
        self.attempt = self.dir.attempt(1)
        self.attempt.predictions.mkdir(parents=True)

    def dump(self, epoch: int, content: object) -> Path:
        """Write a predictions file and the worker's line about it."""
        path = self.attempt.predictions / f"val-epoch-{epoch:04d}.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        writer = LineWriter(self.attempt.metrics_path)
        writer.write(
            {"kind": "evaluation", "t": 1.0, "step": epoch * 8, "epoch": epoch, "split": "val",
             "path": f"predictions/{path.name}", "checkpoint": f"checkpoints/epoch-{epoch:04d}.pt"}
        )  # fmt: skip
        writer.close()
        return path


@pytest.fixture
def dumping(hostile_path: Path) -> DumpingRun:
    """A run in a plain and in a hostile folder."""
    return DumpingRun(hostile_path)
