"""VisDrone's data through the Ultralytics backend: as many detections as its metric counts, and its numbers."""

from __future__ import annotations

import importlib.util
import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from detui.engine.backends.ultralytics import settings
from detui.engine.prediction import predict
from detui.engine.process.control import status
from detui.engine.run.history import load_history
from detui.engine.run.lines import read_lines
from detui.engine.scoring import score
from detui.engine.workspace import Workspace

RECIPE = {
    "schema": 1, "title": {"en": "Regions", "zh": "区域"}, "question": {"en": "Is it judged?", "zh": "如何评测？"},
    "backend": "ultralytics", "base": {"model": {"name": "yolo12n"}, "train": {
        "epochs": 2, "batch": 4, "imgsz": 192, "optimizer": "AdamW", "lr0": 0.001, "momentum": 0.9, "nbs": 4,
        "weight_decay": 0.0005, "warmup_epochs": 0, "warmup_bias_lr": 0.0, "amp": False}},
    "arms": {"baseline": {"title": {"en": "a", "zh": "a"}}}, "seeds": [0], "checkpoint_rule": "best", "milestones": [1],
    "profiles": {"smoke": {}},
}  # fmt: skip


def test_the_limit_of_detections_follows_the_data() -> None:
    assert settings.detections({"metric": "visdrone"}) == 500
    assert settings.detections({}) == settings.detections(None) == settings.detections({"metric": "coco"}) == 300


def draw(root: Path) -> Path:
    """Pictures with many small boxes and a region each, in VisDrone's format; the definition's path."""
    from PIL import Image, ImageDraw

    dice = random.Random(0)
    for split in ("train", "val"):
        for kind in ("images", "annotations"):
            (root / split / kind).mkdir(parents=True)
        for number in range(4):
            picture = Image.new("RGB", (240, 180), (dice.randrange(256), 120, 90))
            rows = ["0,0,80,60,0,0,0,0"]
            for _ in range(40):
                x, y = dice.randrange(230), dice.randrange(170)
                ImageDraw.Draw(picture).rectangle([x, y, x + 8, y + 8], fill=(250, 240, 30))
                rows.append(f"{x},{y},8,8,1,{dice.randint(1, 10)},0,0,")
            picture.save(root / split / "images" / f"{number}.jpg")
            (root / split / "annotations" / f"{number}.txt").write_text("\n".join(rows))
    splits = {name: {"folder": name} for name in ("train", "val")}
    fields = {"schema": 1, "name": "drone", "title": "Drone", "format": "visdrone", "splits": splits,
              "on_problem": {"duplicate_box": "keep"}}  # fmt: skip
    (root / "drone.yaml").write_text(json.dumps(fields))
    return root / "drone.yaml"


TALKATIVE = """
import sys, torch
content = torch.load(sys.argv[1], map_location="cpu", weights_only=False)
for branch in content["ema"].model[-1].cv3:
    branch[-1].bias.data.fill_(0.0)
torch.save(content, sys.argv[2])
"""


def make_talkative(checkpoint: Path, out: Path) -> None:
    """The checkpoint with even odds for every class everywhere: it always has more to say than it may."""
    # A process of its own: importing ultralytics patches Pillow, for every other test too.
    subprocess.run([sys.executable, "-c", TALKATIVE, str(checkpoint), str(out)], check=True, timeout=120)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ultralytics") is None, reason="needs the extra `ultralytics`")
def test_a_run_dumps_and_predicts_up_to_500_and_is_judged_by_visdrones_metric(tmp_path: Path) -> None:
    recipe = tmp_path / "regions.yaml"
    recipe.write_text(json.dumps(RECIPE | {"data": {"name": str(draw(tmp_path / "drone"))}}))
    workspace = Workspace.open(str(tmp_path / "w"))
    run = workspace.start(workspace.plan(str(recipe), profile="smoke", devices="cpu")).runs()[0]
    deadline = time.monotonic() + 120
    while not status(run).state.terminal or len(load_history(run).evaluations) < 2:
        assert time.monotonic() < deadline, run.attempt(1).console_path.read_text()[-2000:]
        time.sleep(0.2)
    begin = read_lines(run.attempt(1).metrics_path)[0]
    assert begin["predictions"]["max_det"] == 500
    data = run.spec().data
    assert data is not None and data["metric"] == "visdrone"
    line = load_history(run).evaluations[-1]
    assert line["max_dets"] == 500 and {"val/AP", "val/official_AP", "val/AR500"} <= line["values"].keys()
    assert line["boxes"] < 160, "some lie in regions"
    again = score(run, "last").result
    assert again.metric == "visdrone" and again.max_dets == 500
    assert {f"val/{name}": value for name, value in again.values.items()} == line["values"]
    ready, out = tmp_path / "ready.pt", tmp_path / "found.json"
    make_talkative(run.attempt(1).checkpoints / "s0-e0002.pt", ready)
    predict(run, ready, "val", out, trust=True)
    assert set(Counter(entry["image_id"] for entry in json.loads(out.read_text())).values()) == {500}
