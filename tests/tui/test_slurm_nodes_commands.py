"""What docs/cluster.md says of several nodes can be typed is typed: a real training on two nodes of a real Slurm."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from slurm_cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

Detui = Callable[..., subprocess.CompletedProcess[str]]

RECIPE = """\
schema: 1
title: A small detector on two nodes
question: Does it go down?
backend: torch
data:
  name: fusion-scenes
  train: {split: train, images: 8}
  val: {split: val, images: 2}
  options: {size: [64, 48], rings: 12, columns: 120, reach: 18, sweeps: 0}
base:
  model: {channels: 16, bev_grid: 10, ray_points: 4, queries: 12, denoising_groups: 0, layers: 2, heads: 2, hidden: 32,
          space: [-24, -24, -3, 24, 24, 3]}
  train: {epochs: 400, batch: 8, lr: 1.0e-3, warmup_steps: 2, image_scale: 0.5, threads: 1}
arms: {learned: {}}
seeds: [0]
checkpoint_rule: last
"""


def documented(repository: Path) -> list[list[str]]:
    """The words of every command of the document's chapter on several nodes."""
    text = (repository / "docs" / "cluster.md").read_text(encoding="utf-8")
    chapter = text.split("\n## Several nodes\n")[1].split("\n## ")[0]
    lines = [line for block in re.findall(r"```sh\n(.*?)```", chapter, re.S) for line in block.splitlines()]
    return [words[1:] for line in lines if (words := shlex.split(line, comments=True))]


def run_of(detui: Detui) -> dict[str, Any]:
    (experiment,) = json.loads(detui("ls", "last", "--json").stdout)
    (run,) = experiment["runs"]
    return dict(run)


def until(detui: Detui, condition: Callable[[dict[str, Any]], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition(found := run_of(detui)):
        assert time.monotonic() < deadline, found
        time.sleep(0.5)


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return str(path)


def test_every_documented_command(
    detui: Detui, slurm: Cluster, own_leases: None, repository: Path, recipe: str
) -> None:
    """The recipe is smaller, and each node has its processor in place of four GPUs: torch is built for the CPU here."""
    pytest.importorskip("torch", reason="needs PyTorch")
    stand_ins = {"aqr/configurations": recipe, "4": "cpu"}
    said: dict[str, str] = {}
    for words in documented(repository):
        if words[0] == "stop":
            until(detui, lambda found: found["state"] == "running" and found["epoch"] >= 2)
        if words[0] in ("tail", "kill"):
            until(detui, lambda found: found["state"] == "running" and found["attempt"] == 2 and found["epoch"] >= 3)
        done = detui(*(stand_ins.get(word, word) for word in words))
        said[words[0]] = done.stdout + done.stderr
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        if words[0] == "stop":
            until(detui, lambda found: found["state"] == "stopped")
        if words[0] == "kill":
            until(detui, lambda found: found["state"] == "killed")
    assert set(said) == {"show", "run", "ls", "stop", "resume", "tail", "kill"}
    assert "--nodes=2 --ntasks=2 --ntasks-per-node=1" in said["show"] and "--nodes=2" in said["run"]
    assert "2 devices a run, 4 images of a step on each: a batch of 8" in said["show"]
    assert "2 nodes a run, 1 of its devices on each; only the first node is sampled" in said["show"]
    plan = json.loads(detui("show", recipe, "--devices", "cpu", "--executor", "slurm", "--slurm", "nodes=2", "--plan",
                            "--json").stdout)  # fmt: skip
    assert (plan["device"]["count"], plan["device"]["nodes"]) == (1, 2)
    (share,) = plan["several_devices"]
    assert (share["devices"], share["images"], share["batch"]) == (2, 4, 8)


def test_several_nodes_are_refused_where_there_is_one(
    detui: Detui, recipe: str, toy_recipe: Callable[..., Path]
) -> None:
    done = detui("run", recipe, "--devices", "cpu", "--slurm", "nodes=2")
    assert done.returncode == 2 and "--executor slurm" in done.stderr
    done = detui("run", str(toy_recipe()), "--devices", "cpu", "--executor", "slurm", "--slurm", "nodes=2")
    assert done.returncode == 2 and "Runs of the backend command train on one node" in done.stderr
    assert "--slurm nodes=1" in done.stderr
