"""A task ends with the process that asked for it, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from detui.engine.errors import UsageError
from detui.engine.process.borrow import Borrowed
from detui.engine.process.task import spec_task
from detui.engine.run.files import write_json
from detui.engine.run.spec import DeviceRequest, RunSpec, StageSpec

WORKERS = Path(__file__).parents[2] / "workers"


def spec(trainer: str) -> RunSpec:
    return RunSpec(
        experiment="describe", recipe="a/b", arm="a", seed=0, profile="full", backend="toy", trainer=trainer,
        python=sys.executable, pythonpath=(str(WORKERS),), threads=1, config={}, data=None, milestones=(),
        device=DeviceRequest(kind="cpu", count=1, candidates=("cpu:0",)), checkpoint_rule={"rule": "last"},
        stages=(StageSpec(name="main", epochs=1, config={}),),
    )  # fmt: skip


def test_an_orphan_ends_and_takes_its_folder_with_it(hostile_path: Path) -> None:
    folder = hostile_path / "task"
    folder.mkdir()
    task: dict[str, Any] = {
        "kind": "describe",
        "spec": spec("sleeper:Sleeper").to_json(),
        "wanted": {},
        "device": "cpu",
    }
    write_json(folder / "task.json", {**task, "owner": 1})
    path = os.pathsep.join(filter(None, [str(WORKERS), os.environ.get("PYTHONPATH")]))
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "detui.engine.worker.task", str(folder)],
                          env={**os.environ, "PYTHONPATH": path}, timeout=30, check=False)  # fmt: skip
    assert done.returncode == 1 and time.monotonic() - began < 20
    assert not folder.exists()


def test_a_backend_that_cannot_describe_says_so() -> None:
    with pytest.raises(UsageError, match="'toy' cannot describe a model"):
        spec_task(replace(spec("toy:ToyTrainer")), "describe", {}, Borrowed((), ()))
