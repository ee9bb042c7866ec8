"""The whole Mask R-CNN with ResNet-50, and real photographs in VOC's layout, for a few steps each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from run_lines import Line, ended, latest, lines, values

from detui.engine.evaluate.void import without_void
from detui.engine.run.lines import read_lines

if TYPE_CHECKING:
    from made_environments import Made

pytestmark = pytest.mark.slow

RECIPE = """\
schema: 1
title: Do a few steps work?
question: Do they?
backend: mmdet
environment: mmdet
data: {data}
base:
  model: {model}
  train: {{epochs: {epochs}, batch: 2, lr: 0.002, reference_batch: 1, warmup_steps: 0, drops: [], workers: 0,
          layers: {{backbone: 0.1, neck: 0.5}}, image_size: [128, 96], clip: 10.0}}
  augment: {{photometric: {{}}}}
arms: {{only: {{}}}}
seeds: [0]
checkpoint_rule: {{rule: last}}
milestones: [{epochs}]
profiles: {{quick: {{}}}}
"""
SCENES = {"name": "scenes", "train": {"split": "train", "images": 4}, "val": {"split": "val", "images": 1},
          "options": {"size": 96, "masks": True, "classes": ["disc", "box"]}}  # fmt: skip
THIN = {"backbone": {"depth": 18, "frozen_stages": -1, "norm_eval": False}, "channels": 16, "proposals_before": 60,
        "proposals": 30, "anchors_sampled": 32, "boxes_sampled": 16, "hidden": 32, "mask_layers": 1,
        "mask_channels": 16, "score": 0.0, "detections": 20}  # fmt: skip
WHOLE = {"backbone": {"depth": 50, "frozen_stages": -1, "norm_eval": False}, "proposals_before": 400,
         "proposals": 100, "boxes_sampled": 64, "detections": 10}  # fmt: skip
"""Every layer as published; fewer proposals, which only cost time."""


@pytest.fixture
def made_of(mmdet_made: Made, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Line]:
    """A command line with the recipe of some data and a model."""
    for variable, value in mmdet_made.environ.items():
        monkeypatch.setenv(variable, value)

    def line(data: Any, model: Any, epochs: int) -> Line:
        return Line(tmp_path, RECIPE.format(data=json.dumps(data), model=json.dumps(model), epochs=epochs))

    return line


def test_resnet_50_does_a_few_steps_at_rates_that_are_scaled(made_of: Callable[..., Line]) -> None:
    run = ended(made_of(SCENES, WHOLE, 1).start("only"), "finished")
    (begin,) = lines(run, "begin")
    assert begin["model"]["backbone"] == "resnet50" and 43e6 < begin["model"]["parameters"] < 45e6
    assert begin["used"] == begin["asked"] and begin["used"]["train.rates.roi_head"] == pytest.approx(0.004)
    steps = values(run, "step")
    assert list(steps) == [1, 2] and all(one["train/loss"] > 0 for one in steps.values())
    assert steps[1]["lr/backbone"] == pytest.approx(0.0004), "what the optimizer has, not what was planned"


def test_the_eight_photographs_are_trained_on_and_judged_without_void(
    made_of: Callable[..., Line], shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shared_data / "voc2012_format"
    if not folder.is_dir():
        pytest.skip(f"needs the photographs at {folder}, which are absent")
    places = tmp_path / "config.yaml"
    places.write_text(json.dumps({"data": {"voc2012": str(folder)}}))
    monkeypatch.setenv("DETUI_CONFIG", str(places))
    own = Path(__file__).parents[3] / "recipes" / "datasets" / "voc2012.yaml"
    definition = tmp_path / "eight.yaml"
    definition.write_text(own.read_text(encoding="utf-8").partition("published:")[0], encoding="utf-8")
    data = {"name": str(definition), "train": {"split": "train"}, "val": {"split": "val"}}
    run = ended(made_of(data, THIN, 2).start("only"), "finished")
    assert list(values(run, "step")) == [1, 2, 3, 4] and len(values(run, "epoch")) == 2
    (found,) = (one for one in read_lines(latest(run) / "evaluations.jsonl") if one["kind"] == "evaluation")
    assert found["values"]["val/mask_AP"] is not None
    prepared = Path(json.loads((run.path / "spec.json").read_text())["data"]["prepared"])
    truth = json.loads((prepared / "val.json").read_text())
    dumped = json.loads((latest(run) / "predictions" / "val-epoch-0002.json").read_text())
    assert len(truth["void"]) == 4 and dumped
    cut = without_void(truth, dumped)
    assert [one["segmentation"] for one in cut] != [one["segmentation"] for one in dumped], "masks reach into void"
