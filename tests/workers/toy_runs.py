"""Runs of the toy worker, and the fixtures with which tests make and clean them up."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from detui.engine.process.control import supervised
from detui.engine.process.descendants import tagged
from detui.engine.run.directory import RunDir
from detui.engine.run.files import write_json
from detui.engine.run.spec import DeviceRequest, RunSpec, StageSpec

WORKERS = Path(__file__).parent

MakeRun = Callable[..., RunDir]


def toy_spec(*, seed: int = 0, config: dict[str, Any] | None = None, **changes: Any) -> RunSpec:
    """A spec of the toy worker: 20 steps in 4 epochs."""
    values: dict[str, Any] = {
        "experiment": "toy",
        "recipe": "toy/parabola",
        "arm": "baseline",
        "seed": seed,
        "profile": "quick",
        "backend": "toy",
        "trainer": "toy:ToyTrainer",
        "python": sys.executable,
        "pythonpath": (str(WORKERS),),
        "device": DeviceRequest(kind="cpu", count=1, candidates=("cpu:0",)),
        "threads": 1,
        "config": config or {},
        "stages": (StageSpec(name="main", epochs=4, config=config or {}),),
        "data": None,
        "milestones": (1, 4),
        "checkpoint_rule": {"rule": "last"},
        "grace": 1.0,
    }
    return RunSpec(**{**values, **changes})


@pytest.fixture
def leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lease directory of this test's own."""
    folder = tmp_path / "leases"
    monkeypatch.setenv("DETUI_LEASES", str(folder))
    return folder


@pytest.fixture
def make_run(leases: Path, hostile_path: Path) -> Iterator[MakeRun]:
    """Makes runs of the toy worker; at the end of the test nothing of them may be left running."""
    made: list[RunDir] = []

    def make(config: dict[str, Any] | None = None, **changes: Any) -> RunDir:
        spec = toy_spec(config=config, **changes)
        made.append(RunDir.create(hostile_path / "logs" / "toy" / "runs" / spec.name, spec))
        return made[-1]

    yield make
    for run in made:
        end(run)


def end(run: RunDir) -> None:
    """Kill what still runs, and see that nothing stays."""
    if supervised(run):
        write_json(run.control_dir / "kill", {})
        until(lambda: not supervised(run))
    until(lambda: not tagged(run.path.resolve()))


def until(condition: Callable[[], Any], seconds: float = 15.0) -> Any:
    """Wait for something to become true and return it; fail the test if it does not."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s in vain")


def steps_made(run: RunDir) -> int:
    """The last step that the newest attempt reported."""
    from detui.engine.run.history import load_history

    return load_history(run).step
