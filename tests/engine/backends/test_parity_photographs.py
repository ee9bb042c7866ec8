"""Both frameworks train on photographs of COCO, chosen by a list of ids: a few steps of a tiny model on real input."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from run_lines import Line, ended, lines, values

from detui.engine.configuration import Configuration
from detui.engine.environment.standing import standing
from detui.engine.run.directory import RunDir

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]  # Jittor compiles kernels that it has not seen yet

RECIPE = """\
schema: 1
title: Photographs
question: Do both frameworks train on the same photographs?
backend: parity
data:
  name: photographs.yaml
  train: {split: all, ids: {file: train.json, sha256: TRAIN}}
  val: {split: all, ids: {file: val.json, sha256: VAL}}
base:
  model: {queries: 12, denoising: 6, layers: 2, channels: 16, feed_forward: 32, heads: 2, points: 2,
          backbone: {depths: [1, 1, 1, 1], widths: [8, 8, 12, 16], stem: 8}}
  train: {lr: 0.001, image_size: 96, epochs: 1}
arms:
  torch: {}
  jittor: {environment: jittor, model: {framework: jittor}}
varies: [model.framework, environment]
seeds: [0]
checkpoint_rule: {rule: last}
profiles: {quick: {}}
"""
DEFINITION = """\
schema: 1
name: photographs
title: Photographs of COCO
format: coco
splits: {all: {annotations: annotations/instances_free.json, images: images}}
on_problem: {beyond_border: keep, duplicate_box: keep, zero_size: leave_out}
"""


@pytest.fixture
def line(tmp_path: Path, shared_data: Path, jittor_found: None) -> Line:
    """A recipe with its lists beside it; the photographs stay where they are."""
    home = shared_data / "coco_free"
    if not home.is_dir():
        pytest.skip("the 137 COCO photographs of shared/data are not here")
    ids = [image["id"] for image in json.loads((home / "annotations/instances_free.json").read_text())["images"]]
    hashes = {}
    folder = tmp_path / "own"
    folder.mkdir()
    for role, chosen in (("TRAIN", ids[:6]), ("VAL", ids[100:102])):
        text = json.dumps({"ids": chosen})
        (folder / f"{role.lower()}.json").write_text(text)
        hashes[role] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "photographs.yaml").write_text(DEFINITION)
    for name in ("annotations", "images"):
        (folder / name).symlink_to(home / name)
    return Line(folder, RECIPE.replace("TRAIN", hashes["TRAIN"]).replace("VAL", hashes["VAL"]))


def test_both_frameworks_train_on_the_same_photographs(line: Line) -> None:
    runs = {"torch": ended(line.start("torch"), "finished")}
    _learned(runs["torch"])
    if (problem := standing("jittor", Configuration.load()).problem) is not None:
        pytest.skip(f"PyTorch trained on them; no environment jittor: {problem}")
    runs["jittor"] = ended(line.start("jittor"), "finished", seconds=1000)
    _learned(runs["jittor"])
    batches = [lines(run, "begin")[0]["batches"] for run in runs.values()]
    assert batches[0] == batches[1], "both saw the same bits"
    first = [values(run, "step")[1]["train/loss"] for run in runs.values()]
    assert first[0] == pytest.approx(first[1], rel=1e-4)


def _learned(run: RunDir) -> None:
    """Six steps, finite losses, and the list told of in what the experiment keeps."""
    steps = values(run, "step")
    assert sorted(steps) == [1, 2, 3, 4, 5, 6]
    assert all(0 < one["train/loss"] < 1e3 for one in steps.values())
    info = json.loads((run.experiment_dir / "experiment.json").read_text())
    assert '"file": "train.json"' in json.dumps(info)
