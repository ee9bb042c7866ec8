"""The budgets of the design, measured: `make bench`. Prints figures and ratios, and judges none of them.

Walls are upper bounds on a shared machine, so CPU seconds are given where a
figure can be had from them, and training steps are compared in pairs of runs
that follow each other.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from aqr import aqr
from clock import PLACE
from control import run_control
from evaluation import evaluation
from loss_weights import loss_weights
from parity import parity
from terminal import terminal

from detui.engine.process.control import status
from detui.engine.run.directory import AttemptDir, RunDir
from detui.engine.run.spec import DeviceRequest, RunSpec, StageSpec
from detui.engine.worker.reporter import Reporter
from detui.engine.workspace import Workspace

DETUI = str(Path(sys.executable).with_name("detui"))
PAIRS = int(os.environ.get("BENCH_PAIRS", "3"))
EPOCHS = 6


def main() -> None:
    """Run every benchmark."""
    with tempfile.TemporaryDirectory(prefix="detui-bench-") as folder:
        root = Path(folder)
        reporter(root / "reporter")
        commands(root / "many")
        run_control(root / "control", say)
        terminal(root / "terminal", say)
        evaluation(say)
        loss_weights(say)
        aqr(say)
        parity(say)
        steps(root / "steps")


def say(what: str, value: str, budget: str) -> None:
    """One line of the table."""
    print(f"{what:<58} {value:>22}   budget {budget}", flush=True)


def reporter(folder: Path, lines: int = 20_000) -> None:
    """Microseconds of the training thread for one step line with five values."""
    (folder / "attempts" / "1").mkdir(parents=True)
    report = Reporter(AttemptDir(folder / "attempts" / "1"))
    values = {
        "train/loss_box": 1.2345,
        "train/loss_cls": 0.5,
        "train/loss_dfl": 2.0,
        "lr/all": 1e-3,
        "lr/all.bias": 1e-3,
    }
    costs = []
    for step in range(1, lines):
        before = time.thread_time_ns()
        report.step(step, 1, values)
        costs.append((time.thread_time_ns() - before) / 1000)
    report.end("finished")
    say("one metrics line, CPU of the training thread, median", f"{statistics.median(costs):.1f} µs", "20 µs")


def commands(workspace: Path, runs: int = 100) -> None:
    """CPU seconds of whole commands, the interpreter's start included."""
    experiment = workspace / "bench.many-20260101-000000"
    names = [f"arm-s{seed}" for seed in range(runs)]
    for seed, name in enumerate(names):
        run = RunDir.create(experiment / "runs" / name, _spec(experiment.name, seed))
        run.append_event("starting", attempt=1)
        run.append_event("finished", attempt=1)
        (run.attempts_dir / "1").mkdir()
        report = Reporter(AttemptDir(run.attempts_dir / "1"))
        report.begin(total_epochs=1, steps_per_epoch=3)
        for step in range(1, 4):
            report.step(step, 1, {"train/loss_box": 1.0})
        report.epoch(1, 3, {"train/loss_box": 1.0})
        report.end("finished")
    facts = {"schema": 1, "id": experiment.name, "recipe": "bench/many", "runs": names, "title": {"en": "", "zh": ""}}
    (experiment / "experiment.json").write_text(json.dumps(facts))
    for arguments in (["--help"], ["--workspace", str(workspace), "ls"]):
        cpu = statistics.median(_cpu([DETUI, *arguments]) for _ in range(7))
        bare = statistics.median(_cpu([sys.executable, "-c", "pass"]) for _ in range(7))
        name = f"detui {arguments[-1]}" + (f" on {runs} runs" if arguments[-1] == "ls" else "")
        say(f"{name}, CPU (python alone: {bare:.3f} s)", f"{cpu:.3f} s", "0.15 s")


def _cpu(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def _spec(experiment: str, seed: int) -> RunSpec:
    return RunSpec(
        experiment=experiment, recipe="bench/many", arm="arm", seed=seed, profile="full", backend="command",
        trainer="none:None", python=sys.executable, device=DeviceRequest(kind="cpu", count=1, candidates=("cpu:0",)),
        threads=1, config={}, stages=(StageSpec(name="main", epochs=1, config={}),), data=None, milestones=(1,),
        checkpoint_rule={"rule": "last", "metric": "val/AP"},
    )  # fmt: skip


def steps(workspace: Path) -> None:
    """A step of the same Ultralytics training with and without detui, in alternating pairs.

    On a shared machine two runs of the very same script differ by far more than the budget, so the cost of detui's own
    callback, in CPU time of the training thread, is given beside the ratio: it is what the ratio would show in quiet.
    """
    pairs = []
    for pair in range(PAIRS):
        sides = [_watched, _plain] if pair % 2 else [_plain, _watched]
        times = {side: side(workspace / f"{pair}-{side.__name__}") for side in sides}
        pairs.append((times[_watched], times[_plain]))
    for name in ("cpu", "wall"):
        ratios = [watched[name] / plain[name] for watched, plain in pairs]
        spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
        say(
            f"a step under detui / without, {name}, {PAIRS} pairs ({spread})",
            f"ratio {statistics.median(ratios):.4f}",
            "1.01",
        )
    share = statistics.median(watched["callback"] / watched["cpu"] for watched, _ in pairs)
    cost = statistics.median(watched["callback"] for watched, _ in pairs) * 1e6
    say(f"detui's callback in a step ({cost:.0f} µs)", f"ratio {1 + share:.5f}", "1.01")


def _plan(folder: Path) -> tuple[Workspace, Any]:
    workspace = Workspace.open(str(folder))
    overrides = [f"train.epochs={EPOCHS}", f"milestones=[{EPOCHS}]", "train.close_mosaic=0"]
    plan = workspace.plan("mosaic", profile="quick", arms=["baseline"], seeds=[0], overrides=overrides, devices="cpu")
    return workspace, plan


def _watched(folder: Path) -> dict[str, float]:
    """Through workspace, supervisor and worker."""
    folder.mkdir(parents=True)
    workspace, plan = _plan(folder)
    plan.recipe.backend.trainer = "clock:TimedTrainer"
    os.environ |= {PLACE: str(folder / "times.json"), "PYTHONPATH": str(Path(__file__).parent)}
    run = workspace.start(plan).runs()[0]
    while not status(run).state.terminal:
        time.sleep(0.5)
    return _medians(folder)


def _plain(folder: Path) -> dict[str, float]:
    """The same arguments given to Ultralytics by a script, without worker, supervisor and callbacks."""
    folder.mkdir(parents=True)
    workspace, plan = _plan(folder)
    from detui.engine.data import prepare

    selection = plan.arms[0].data.model_dump()
    prepared = prepare(selection, workspace.configuration, folder / ".data", yolo=True)
    data = {**prepared.info, "prepared": str(prepared.path)}
    job = {"config": plan.arms[0].config, "data": data, "folder": str(folder)}
    environ = {**os.environ, PLACE: str(folder / "times.json"), "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, __file__, "--plain"], input=json.dumps(job), text=True, check=True, env=environ,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return _medians(folder)


def _medians(folder: Path) -> dict[str, float]:
    """Median seconds between two batches of one epoch, the first epoch left out, and of detui's callback."""
    found = json.loads((folder / "times.json").read_text())
    pairs = [(a, b) for a, b in itertools.pairwise(found["times"]) if a[0] == b[0] and a[0] > 1]
    wall, cpu = (statistics.median(b[i] - a[i] for a, b in pairs) for i in (1, 2))
    return {"wall": wall, "cpu": cpu, "callback": statistics.median(found["costs"] or [0.0])}


def plain() -> None:
    """What `_plain` runs."""
    job = json.loads(sys.stdin.read())
    from detui.engine.backends.torch_support.torchvision_ops import ensure_torchvision
    from detui.engine.backends.ultralytics import settings
    from detui.engine.backends.ultralytics.dataset import private_view
    from detui.engine.backends.ultralytics.offline import go_offline

    folder = Path(job["folder"])
    go_offline(folder / "config")
    ensure_torchvision()
    from clock import Clock
    from ultralytics.models.yolo.detect import DetectionTrainer

    view = private_view(job["data"], folder / "view")
    arguments = settings.arguments(job["config"], seed=0, data=view, folder=folder / "out", device="cpu")
    trainer = DetectionTrainer(overrides={**arguments, "model": "yolo12n.yaml", "val": False})
    Clock().attach(trainer)
    trainer.train()


if __name__ == "__main__":
    plain() if "--plain" in sys.argv else main()
