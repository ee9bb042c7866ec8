"""YOLO and RT-DETR on two devices: the steps are those of one, and however such a run ends, it is known and resumed."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from going_on import resume
from run_lines import Line, ended, latest, lines, name, values

from detui.engine.devices.processes import descendants
from detui.engine.process.control import status
from detui.engine.process.descendants import tagged
from detui.engine.process.launch import launch
from detui.engine.run.directory import RunDir
from detui.engine.run.lines import read_lines
from detui.engine.workspace import Workspace

if importlib.util.find_spec("ultralytics") is None:
    pytest.skip("needs the extra `ultralytics`", allow_module_level=True)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

WORKERS = Path(__file__).parents[2] / "workers"
RECIPE = """\
schema: 1
title: Is a step of two devices that of one?
question: And does a stopped training go on?
backend: ultralytics
data: {name: scenes, train: {split: train}, val: {split: val}}
base:
  model: {name: yolo11n}
arms:
  plain: {}
  weighed: {loss: {by_size: {weights: {small: 3.0, medium: 1.5, large: 1.0}, edges: [8, 14], measure_every: 2}}}
  without-nms: {model: {name: yolo26n}}
  detr:
    model: {name: rtdetr-l, decoder: {hidden: 32, queries: 20, layers: 2, feedforward: 32, denoising: 0, neck_blocks: 1}}
    train: {batch: 10}
varies: [model, loss, train.batch]
seeds: [0]
devices: 2
checkpoint_rule: last
profiles:
"""
QUICK = """\
  quick:
    data:
      train: {split: train, images: 15}
      val: {split: val, images: 5}
      options: {size: 96}
    base:
      train: {epochs: 4, batch: 4, imgsz: 64, optimizer: AdamW, lr0: 1.0e-3, momentum: 0.9, warmup_epochs: 1.0, nbs: 8,
              close_mosaic: 1}
    milestones: [2, 4]
"""
STILL = """\
  still:
    data:
      train: {split: train, images: 15}
      val: {split: val, images: 5}
      options: {size: 96}
    base:
      train: {epochs: 2, batch: 4, imgsz: 64, optimizer: SGD, lr0: 1.0e-3, momentum: 0.9, warmup_epochs: 0.0, nbs: 4,
              close_mosaic: 0}
      augment: {mosaic: 0.0, hsv_h: 0.0, hsv_s: 0.0, hsv_v: 0.0, translate: 0.0, scale: 0.0, fliplr: 0.0}
    milestones: []
"""


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return Line(tmp_path_factory.mktemp("two"), RECIPE + QUICK + STILL)


def started(line: Line, devices: int | None, *words: str, profile: str = "quick", arm: str = "plain") -> RunDir:
    """A run on so many devices; None: as many as the recipe says."""
    asked = () if devices is None else ("--devices", str(devices))
    return line.new("run", str(line.recipe), "--profile", profile, "--arm", arm, *asked, "--cpu-slots", "2",
                    "--no-evaluate", "--yes", "--detach", *words)  # fmt: skip


def still(line: Line, like: RunDir, arm: str, devices: int) -> RunDir:
    """A run of `still.StillTrainer`, on the data of another."""
    plan = Workspace.open(str(line.workspace)).plan(
        str(line.recipe), profile="still", arms=[arm], devices=str(devices), cpu_slots=2
    )
    assert plan.errors == []
    (planned,) = plan.arms
    spec = plan.spec(planned, 0, experiment="still", data={planned.data_set: like.spec().data or {}},
                     python=sys.executable, pythonpath=(str(WORKERS),))  # fmt: skip
    run = RunDir.create(line.workspace / f"still-{arm}-{devices}" / "runs" / spec.name,
                        replace(spec, trainer="still:StillTrainer"))  # fmt: skip
    launch(run)
    return ended(run, "finished")


@pytest.fixture(scope="module")
def two(line: Line) -> RunDir:
    return ended(started(line, None), "finished")


@pytest.mark.parametrize("arm", ["plain", "weighed", "without-nms", "detr"])
def test_a_step_of_two_devices_is_that_of_one(line: Line, two: RunDir, arm: str) -> None:
    import torch

    runs = [still(line, two, arm, devices) for devices in (1, 2)]
    first, second = (torch.load(latest(run) / "ultralytics" / "gradients.pt") for run in runs)
    assert first.keys() == second.keys() and len(first) > 100
    largest = max(float(one.abs().max()) for one in first.values())
    print(arm, "gradients", max(float((second[n] - g).abs().max()) for n, g in first.items()) / largest)
    a, b = (values(run, "step") for run in runs)
    assert a.keys() == b.keys()
    print(arm, "losses", {s: max(abs(b[s][k]-v)/max(abs(v),1e-3) for k, v in a[s].items()) for s in a})
    print(a[1], b[1])
