"""Trainings with the loss weighted by size, through the workspace; and sizes that travel through real augmentation."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision
from detui.engine.backends.ultralytics.plan import BySize
from detui.engine.backends.ultralytics.size_weights import SIZES, SizeWeights
from detui.engine.process.control import status
from detui.engine.run.directory import RunDir
from detui.engine.run.lines import read_lines
from detui.engine.workspace import Workspace

if importlib.util.find_spec("ultralytics") is None:
    pytest.skip("needs the extra `ultralytics`", allow_module_level=True)

PICTURE = (240, 320)
SIDES = (14, 50, 120)
"""Of a small, a medium and a large object in the original picture."""


def pictures(folder: Path, count: int = 6) -> Path:
    """Pictures on which an object's class is its size: small 0, medium 1, large 2. Returns their folder."""
    from PIL import Image

    draw = np.random.default_rng(0)
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    height, width = PICTURE
    for number in range(count):
        pixels = draw.integers(0, 255, (height, width, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        rows = []
        for cls, side in enumerate(SIDES):
            x, y = draw.uniform(side / 2, width - side / 2), draw.uniform(side / 2, height - side / 2)
            rows.append(f"{cls} {x / width} {y / height} {side / width} {side / height}\n")
        (folder / "labels" / f"{number}.txt").write_text("".join(rows))
    return folder / "images"


def test_sizes_survive_every_augmentation(tmp_path: Path) -> None:
    """Mosaic, mixup, scaling, turning and flipping: what was small in its picture is still called small."""
    ensure_torchvision()
    from ultralytics.cfg import get_cfg
    from ultralytics.data.build import build_yolo_dataset

    strong = {"mosaic": 1.0, "mixup": 0.5, "cutmix": 0.3, "degrees": 20, "scale": 0.9, "shear": 5, "flipud": 0.5}
    arguments = get_cfg(overrides={"imgsz": 160, "task": "detect", **strong})
    data = {"names": dict(enumerate(SIZES)), "nc": 3, "channels": 3}
    dataset = build_yolo_dataset(arguments, str(pictures(tmp_path)), 4, data, mode="train", stride=32)
    trainer = SimpleNamespace(model=_Model(), train_loader=SimpleNamespace(dataset=dataset))
    wanted = BySize.model_validate({"pixels": "original", "weights": {"small": 2.0}}).model_dump()
    by_size = SizeWeights(wanted)
    by_size.install(trainer)
    seen = 0
    for start in range(0, 24, 4):
        batch = dataset.collate_fn([dataset[(start + k) % len(dataset)] for k in range(4)])
        trainer.model(batch)
        assert by_size._carried is not None
        classes, sizes = batch["cls"].view(-1), by_size._carried[1]
        assert torch.equal(classes, classes.floor()) and torch.equal(sizes, classes.long())
        seen += len(sizes)
    assert seen > 100


class _Model(torch.nn.Module):
    """What `install` asks a model for."""

    def init_criterion(self) -> Any:
        from ultralytics.cfg import get_cfg
        from ultralytics.nn.tasks import DetectionModel

        model = DetectionModel("yolo12n.yaml", nc=3, verbose=False)
        model.args = get_cfg()
        return model.init_criterion()

    def forward(self, batch: dict[str, Any]) -> dict[str, Any]:
        return batch


def train(folder: Path, recipe: str, *overrides: str) -> RunDir:
    """One run of the smoke profile to its end."""
    workspace = Workspace.open(str(folder))
    arm = workspace.recipe(recipe).arms[0].name
    plan = workspace.plan(recipe, profile="smoke", arms=[arm], seeds=[0], overrides=overrides, devices="cpu")
    run = workspace.start(plan).runs()[0]
    deadline = time.monotonic() + 240
    while not status(run).state.terminal:
        assert time.monotonic() < deadline, status(run).state
        time.sleep(0.2)
    assert status(run).state.word == "finished", run.attempt(1).console_path.read_text()[-2000:]
    return run


WEIGHTS = tuple(f"loss.by_size.weights.{size}={value}" for size, value in zip(SIZES, (2.0, 1.5, 1.0), strict=True))


def losses(run: RunDir) -> list[dict[str, float]]:
    lines = read_lines(run.attempt(1).metrics_path)
    return [
        {name: value for name, value in line["values"].items() if name.startswith("train/")}
        for line in lines
        if line["kind"] == "step"
    ]


@pytest.mark.slow
def test_weights_of_one_train_to_the_very_same_losses(tmp_path: Path) -> None:
    ones = tuple(f"loss.by_size.weights.{size}=1.0" for size in SIZES)
    stock = train(tmp_path / "stock", "starter/mosaic")
    for name, pixels in (("network", "network"), ("original", "original")):
        same = train(tmp_path / name, "starter/mosaic", *ones, f"loss.by_size.pixels={pixels}")
        assert losses(same) == losses(stock) and len(losses(stock)) > 4


@pytest.mark.slow
def test_real_photographs_of_blood_cells(tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Platelets are the small ones. What was asked is what was used; the samples say what the weights did."""
    monkeypatch.setenv("DETUI_DATA", str(shared_data))
    run = train(tmp_path, "starter/blood-cells", *WEIGHTS, "loss.by_size.pixels=original",
                "loss.by_size.edges=[48,96]", "loss.by_size.measure_every=1", "train.epochs=4")  # fmt: skip
    lines = read_lines(run.attempt(1).metrics_path)
    begin = lines[0]
    asked = {name: value for name, value in begin["asked"].items() if name.startswith("loss.by_size")}
    assert asked["loss.by_size.weights.small"] == 2.0 and asked["loss.by_size.pixels"] == "original"
    assert asked == {name: begin["used"][name] for name in asked}
    samples = [line for line in lines if line["kind"] == "statistic" and "gradient/small" in line["values"]]
    assert [line["step"] for line in samples] == list(range(1, 9))  # eight photographs in batches of four
    for line in samples:
        for kind in ("objects", "positives", "gradient"):
            assert sum(line["values"][f"{kind}/{size}"] for size in SIZES) == pytest.approx(1.0)
    assert 0 < sum(line["values"]["objects/small"] for line in samples) / len(samples) < 0.5
    _loads_without_detui(run)


def _loads_without_detui(run: RunDir) -> None:
    """The checkpoint in a process that cannot import detui: stock classes alone, and it runs."""
    checkpoint = sorted(run.attempt(1).checkpoints.glob("epoch-*.pt"))[-1]
    code = (
        "import sys, json\n"
        "class Refuse:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name.split('.')[0] == 'detui': raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "import torch\n"
        "from ultralytics import YOLO\n"
        "model = YOLO(sys.argv[1])\n"
        "found = model.model.float().eval()(torch.zeros(1, 3, 96, 96))[0]\n"
        "print(json.dumps([type(model.model).__name__, list(found.shape[:2]), 'detui' in sys.modules]))\n"
    )
    environment = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "PATH": "/usr/bin:/bin", "HOME": str(run.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(checkpoint)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == ["DetectionModel", [1, 7], False]
