"""A workspace written as the engine writes it: through the run directory's own writers, no stand-ins."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from detui.engine.process.control import request, status
from detui.engine.process.control import wait as wait_for
from detui.engine.run.directory import RunDir
from detui.engine.run.files import write_json
from detui.engine.run.lines import LineWriter
from detui.engine.run.spec import DeviceRequest, RunSpec, StageSpec
from detui.engine.workspace import Workspace
from detui.tui import language

EPOCHS = 24
STEPS = 8
DETUI = Path(sys.executable).with_name("detui")


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Every test begins in English: the language is the process's, and an application may have changed it."""
    language.use("en")
    yield
    language.use("en")


@pytest.fixture(scope="session", autouse=True)
def no_environments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of what this person made with `detui env create`: screens say what is missing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETUI_ENVIRONMENTS", str(tmp_path_factory.mktemp("environments")))
        yield


def write_experiment(
    workspace: Path,
    ident: str = "starter.mosaic-20261120-134500",
    runs: dict[str, str] | None = None,
    epochs_done: int = 12,
    **facts: Any,
) -> Path:
    """An experiment whose runs (`arm-s0` → final state) measured `epochs_done` epochs of 24."""
    runs = runs or {"baseline-s0": "finished", "no-mosaic-s0": "stopped"}
    path = workspace / ident
    path.mkdir(parents=True)
    about = {
        "schema": 1,
        "id": ident,
        "recipe": "starter/mosaic",
        "family": "starter",
        "title": {"en": "Mosaic from scratch", "zh": "从零训练与马赛克增强"},
        "question": {"en": "Does mosaic help?", "zh": "马赛克增强有用吗？"},
        "profile": "quick",
        "created": "2026-11-20T13:45:00Z",
        "name": None,
        "tags": [],
        "note": None,
        "epochs": EPOCHS,
        "runs": list(runs),
    }
    write_json(path / "experiment.json", {**about, **facts})
    for run, state in runs.items():
        arm, _, seed = run.rpartition("-s")
        directory = RunDir.create(path / "runs" / run, spec(ident, arm, int(seed)))
        if state != "queued":
            write_attempt(directory, state, epochs_done)
    return path


def spec(experiment: str, arm: str, seed: int) -> RunSpec:
    return RunSpec(
        experiment=experiment,
        recipe="starter/mosaic",
        arm=arm,
        seed=seed,
        profile="quick",
        backend="ultralytics",
        trainer="detui.engine.backends.ultralytics.train:Trainer",
        python=sys.executable,
        device=DeviceRequest(kind="cpu", count=1, candidates=("cpu:0", "cpu:1")),
        threads=1,
        config={"train": {"epochs": EPOCHS}},
        stages=(StageSpec(name="main", epochs=EPOCHS, config={}),),
        data=None,
        milestones=(EPOCHS,),
        checkpoint_rule={"rule": "best", "metric": "val/AP"},
    )


def write_attempt(run: RunDir, state: str, epochs: int, number: int = 1) -> None:
    attempt = run.attempt(number)
    for folder in (attempt.path, attempt.checkpoints, attempt.predictions):
        folder.mkdir(parents=True)
    run.append_event("starting", attempt=number)
    run.append_event("running", attempt=number, device=["cpu:0"])
    metrics = LineWriter(attempt.metrics_path)
    begin = {"kind": "begin", "t": 1.0, "attempt": number, "resumed_from_step": 0, "total_epochs": EPOCHS,
             "steps_per_epoch": STEPS, "model": {"name": "yolo12n", "parameters": 2602288},
             "device": {"kind": "cpu", "name": "CPU"}}  # fmt: skip
    metrics.write(begin)
    for step in range(1, epochs * STEPS + 1):
        write_step(metrics, step)
        if step % STEPS == 0:
            metrics.write({"kind": "epoch", "t": step * 0.2, "step": step, "epoch": step // STEPS, "stage": "main",
                           "values": {"train/loss_box": 3 * math.exp(-step / 80)}, "seconds": 1.6})  # fmt: skip
    if epochs:
        (attempt.checkpoints / "resume.pt").touch()
        metrics.write({"kind": "checkpoint", "t": 59.0, "step": epochs * STEPS, "epoch": epochs,
                       "path": "checkpoints/resume.pt", "resumable": True})  # fmt: skip
    if state not in ("running", "stopping"):
        metrics.write({"kind": "end", "t": 60.0, "step": epochs * STEPS, "epoch": epochs, "outcome": state})
    metrics.close()
    evaluations = LineWriter(attempt.evaluations_path)
    for epoch in range(8, epochs + 1, 4):
        values = {"val/AP": 0.01 * epoch, "val/AP50": 0.02 * epoch, "val/AP_small": None}
        evaluations.write({"kind": "evaluation", "epoch": epoch, "step": epoch * STEPS, "split": "val",
                           "values": values})  # fmt: skip
    evaluations.close()
    telemetry = LineWriter(attempt.telemetry_path)
    for second in range(40):
        telemetry.write({"t": float(second), "cpu_percent": 98.0, "rss": 900_000_000 + second * 2_000_000, "gpus": []})
    telemetry.close()
    console = b"".join(f"epoch {epoch}: loss [{1 / epoch:.3f}]\n".encode() for epoch in range(1, epochs + 1))
    attempt.console_path.write_bytes(b"loading \x1b[31mmodel\x1b[0m\n" + console)
    if state != "running":
        run.append_event(state, attempt=number)


def write_step(metrics: LineWriter, step: int) -> None:
    loss = 3 * math.exp(-step / 80) + 0.2 * math.sin(step)
    values = {
        "train/loss_box": loss,
        "train/loss_cls": loss / 2,
        "lr/all": 0.001 * min(1.0, step / 16),
    }
    epoch = (step - 1) // STEPS + 1
    metrics.write({"kind": "step", "t": step * 0.2, "step": step, "epoch": epoch, "stage": "main", "values": values})


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


@pytest.fixture
def detui(workspace: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the installed `detui` on the workspace, away from this person's configuration."""

    def run(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(DETUI), "--workspace", str(workspace), *arguments],
            capture_output=True, text=True, timeout=120, check=False, env=environment(tmp_path), cwd=tmp_path, **more,
        )  # fmt: skip

    return run


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DETUI_", "XDG_"))}
    leases = os.environ["DETUI_LEASES"]  # the tests' own: nobody else's training may hold them up
    return {**kept, "DETUI_LEASES": leases, "HOME": str(home), "OMP_NUM_THREADS": "1"}


RECIPE = """\
schema: 1
title: {{en: A toy program, zh: 玩具程序}}
question: Does it go down?
backend: command
base:
  command: ["{{python}}", {toy}, "{epochs}", "{pause}", "{{resume}}"]
  epochs: {epochs}
  train: {{lr: 0.01}}
arms:
  baseline: {{}}
  slow: {{train: {{lr: 0.001}}}}
varies: [train]
seeds: [0]
checkpoint_rule: last
"""


def write_recipe(folder: Path, *, epochs: int = 3, pause: float = 0.1) -> Path:
    """A recipe for the toy program, which any machine trains in a second."""
    path = folder / "mine" / "toy.yaml"
    path.parent.mkdir(exist_ok=True)
    toy = json.dumps(str(Path(__file__).with_name("toy.py")))
    path.write_text(RECIPE.format(toy=toy, epochs=epochs, pause=pause))
    return path


@pytest.fixture
def writer() -> Callable[..., Path]:
    """Write experiments of a test's own: `writer(workspace, ident, {"arm-s0": "finished"}, epochs_done=12)`."""
    return write_experiment


@pytest.fixture
def written(workspace: Path) -> Path:
    """An experiment with one finished and one stopped run."""
    return write_experiment(workspace)


@pytest.fixture
def toy_recipe(tmp_path: Path) -> Callable[..., Path]:
    """Write the recipe of the toy program."""
    return lambda **given: write_recipe(tmp_path, **given)


@pytest.fixture
def own_leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workspace: Path) -> Iterator[None]:
    """Device leases of this test alone; at its end nothing that it started is left running."""
    monkeypatch.setenv("DETUI_LEASES", str(tmp_path / "leases"))
    yield
    for experiment in Workspace.open(str(workspace)).experiments():
        for run in experiment.runs():
            if not status(run).state.terminal:
                request(run, "kill")
        wait_for(experiment.runs(), 30, evaluated=True)
