"""`detui weights check` with MMDetection's own models: a checkpoint of 80 classes, and files that are refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from detui.engine.backends.mmdet.schema import Model
from detui.engine.environment import link_package

DETUI = str(Path(sys.executable).with_name("detui"))
WORKERS = Path(__file__).parents[1] / "workers"
RECIPE = """\
schema: 1
title: {{en: Files, zh: 文件}}
question: {{en: Which fit?, zh: 哪些合适？}}
backend: mmdet
environment: mmdet
data: {{name: voc2012, train: {{split: train}}, val: {{split: val}}}}
base: {{}}
arms:
  coco: {{model: {{weights: {whole}}}}}
  again: {{model: {{weights: {whole}}}, train: {{lr: 0.01}}}}
  heads: {{model: {{weights: {whole}, start: {{anew: heads}}}}}}
  imagenet: {{model: {{backbone: {{weights: resnet50.pth}}}}}}
  random: {{}}
  faster: {{model: {{weights: faster.pth}}}}
  bare: {{model: {{weights: resnet50.pth}}}}
  deep: {{model: {{weights: {whole}, backbone: {{depth: 101}}}}}}
  cut: {{model: {{weights: cut.pth}}}}
  named: {{model: {{weights: {cut}}}}}
  malicious: {{model: {{weights: malicious.pth}}}}
varies: [model, train.lr]
"""

pytestmark = pytest.mark.slow


def counts(loaded: int, again: int = 0, missing: int = 0, unexpected: int = 0) -> dict[str, int]:
    return {"loaded": loaded, "reinitialised": again, "missing": missing, "unexpected": unexpected}


WHOLE = {"backbone": counts(265), "neck": counts(16), "rpn_head": counts(6)}
"""The parts that do not depend on the classes, of ResNet-50 with a feature pyramid."""


def test_a_recipes_files_are_told_part_by_part(tmp_path: Path, mmdet_environment: Path) -> None:
    files, links = tmp_path / "files", link_package("mmdet", tmp_path / "bridge")
    files.mkdir()
    environ = {**os.environ, "PYTHONPATH": str(links), "OMP_NUM_THREADS": "1"}
    section = json.dumps(Model().model_dump())
    made = subprocess.run(
        [str(mmdet_environment), str(WORKERS / "coco_checkpoints.py"), str(files), section],
        env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    said = json.loads(made.stdout.splitlines()[-1])
    cut = next(files.glob("cut-*.pth")).name
    recipe = tmp_path / "files.yaml"
    recipe.write_text(RECIPE.format(whole=said["whole"], cut=cut), encoding="utf-8")

    found = checked(tmp_path, recipe, mmdet_environment, files)

    models = {tuple(one["arms"]): one for one in found["models"]}
    coco = models["coco", "again"]
    heads = {"roi_head.bbox_head": counts(4, 4), "roi_head.mask_head": counts(10, 2)}
    assert coco["parts"] == {**WHOLE, **heads} and coco["problem"] is None and coco["notices"] == []
    assert (coco["classes"], coco["epoch"]) == (80, 12)
    shapes = {one["name"]: (one["shape"], one["given"]) for one in coco["reinitialised"]}
    assert shapes["roi_head.bbox_head.fc_cls.weight"] == ([21, 1024], [81, 1024])
    assert shapes["roi_head.mask_head.conv_logits.bias"] == ([20], [80])
    anew = {"roi_head.bbox_head": counts(0, 8), "roi_head.mask_head": counts(0, 12)}
    assert models[("heads",)]["parts"] == {**WHOLE, **anew}
    assert models[("imagenet",)]["parts"] == {"backbone": counts(265), "other": counts(0, unexpected=2)}
    assert models[("random",)] == {"arms": ["random"], "random": True, "problem": None}
    faster = models[("faster",)]
    assert faster["problem"] is None and "no tensor of roi_head.mask_head: 12 start" in faster["notices"][0]
    problems = {arm: one["problem"]["message"] for one in found["models"] if one["problem"] for arm in one["arms"]}
    assert "a backbone alone" in problems.pop("bare")
    assert "another network's: 265 tensors fit, 255 are not in the file" in problems.pop("deep")
    assert "would run posix.mkdir" in problems.pop("malicious") and not (files / "made").exists()
    assert problems == {}
    wrong = {one["arms"][0]: one["problem"]["message"] for one in found["files"] if one["problem"]}
    assert "cut off" in wrong.pop("cut") and "cut off, or another file" in wrong.pop("named")
    assert wrong == {} and found["exit_code"] == 1

    told = said["transfer"]
    assert told["parts"] == coco["parts"] and told["tensors"]["transferred"] == 301
    assert told["anew"] == {"roi_head.bbox_head.fc_cls": 2, "roi_head.bbox_head.fc_reg": 2,
                            "roi_head.mask_head.conv_logits": 2}  # fmt: skip


def checked(home: Path, recipe: Path, python: Path, files: Path) -> Any:
    """What `detui weights check --json` says, of one process for all arms."""
    configuration = home / "config.yaml"
    configuration.write_text(json.dumps({"environments": {"mmdet": str(python)}, "weight_roots": [str(files)]}))
    done = subprocess.run(
        [DETUI, "--workspace", str(home / "logs"), "weights", "check", str(recipe), "--json"],
        env={**os.environ, "DETUI_CONFIG": str(configuration), "HOME": str(home)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    return json.loads(done.stdout)
