"""Speed and size of the checkpoints of a run: measured in the backend's environment, kept beside the attempt."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from detui.engine.devices.host import processor
from detui.engine.errors import DetuiError, MissingError
from detui.engine.prediction import check_split, check_trust, find_checkpoint
from detui.engine.process.borrow import borrow
from detui.engine.process.task import run_task
from detui.engine.record.facts import SPEED, ExperimentFacts, RunFacts
from detui.engine.record.fill import fill
from detui.engine.record.gather import gather
from detui.engine.run.directory import AttemptDir, RunDir, now
from detui.engine.run.measurements import add_measurement
from detui.engine.run.pulled import refuse_copy

PATIENCE = 600.0
"""Seconds that an ended experiment waits, all its measurements together, for a device on which nobody else trains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How a checkpoint is measured; what compares with it must be measured alike."""

    batch: int = 1
    """Pictures a pass."""
    precision: str = "fp32"
    """"fp32", "fp16" or "bf16": weights and pictures are cast to it."""
    imgsz: int | None = None
    """Side of the square input in pixels; None: the training's."""
    fused: bool = False
    """Whether normalisation is folded into the convolutions first, where the backend can do that."""


def measure(
    run: RunDir,
    checkpoint: Path,
    epoch: int | None,
    wanted: Wanted,
    *,
    device: str = "cpu",
    threads: int | None = None,
    trust: bool = False,
    force: bool = False,
    patience: float = 0.0,
    waiting: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure a checkpoint, keep the measurement and return it.

    `checkpoint`, `epoch`: as `detui.engine.prediction.find_checkpoint` returns them. `device`: "cpu", or a GPU by index
    or UUID, which is leased meanwhile. `threads`: of the CPU, those of the run by default. `force`: beside others.
    `patience`, `waiting`: as of `borrow`, for a device that is in use.
    Raises what `detui.engine.prediction.predict` raises, and UsageError for a size that the model cannot take.
    """
    refuse_copy(run.experiment_dir, "speed", f"{run.experiment_dir.name}/{run.name}")
    check_trust(run, checkpoint, trust)
    check_split(run.spec(), "val")
    attempt = _attempt(run, checkpoint)
    arguments = {"checkpoint": str(checkpoint.absolute()), "wanted": asdict(wanted)}
    who = f"detui speed, {run.experiment_dir.name}/{run.name}"
    with borrow(device, who, alone=True, force=force, patience=patience, waiting=waiting) as on:
        found = run_task(run, "speed", arguments, on, threads=threads)
    if on.kind == "cpu":
        found["device"]["name"] = processor()
    inside = checkpoint.resolve().is_relative_to(attempt.path.resolve())
    named = checkpoint.name if not inside else str(checkpoint.resolve().relative_to(attempt.path.resolve()))
    measured = {"at": now(), "checkpoint": named, "epoch": epoch, "alone": not force, **found}
    add_measurement(attempt, measured)
    return measured


def measure_at_end(experiment: Path, say: Callable[[str], None]) -> list[DetuiError]:
    """Measure the speeds that an ended experiment waits for, and fill its record again: those of goals, or of every
    arm where its recipe says `measure_speed`.

    The chosen checkpoint of one finished run an arm, the lowest seed's, on the device that it trained on: seeds change
    the weights, not the work. A device that others train on is waited for, up to `PATIENCE`: measured beside them, the
    speed would be that of both. `say` is told what goes on. Returns what could not be measured, with the reason.
    """
    problems: list[DetuiError] = []
    waiting, until = _waiting(gather(experiment)), time.monotonic() + PATIENCE

    def busy(reason: str) -> None:
        say(f"waiting up to {until - time.monotonic():.0f} s to measure it alone: {reason}")

    for facts in waiting:
        run = RunDir(experiment / "runs" / facts.name)
        say(f"measuring the speed of {facts.name}")
        try:
            path, epoch = find_checkpoint(run, "best")
            device = facts.attempts[-1].device[0] if run.spec().device.kind == "cuda" else "cpu"
            left = max(0.0, until - time.monotonic())
            measure(run, path, epoch, Wanted(), device=device, patience=left, waiting=busy)
        except DetuiError as error:
            problems.append(error)
    if len(problems) < len(waiting):
        fill(experiment)
    return problems


def _waiting(facts: ExperimentFacts) -> list[RunFacts]:
    """The runs to be measured: of each arm that a goal on speed is about, and of the reference beside it; or of all."""
    goals = [goal for goal in facts.info.get("goals") or () if goal["metric"] in SPEED]
    named = {str(arm) for goal in goals for arm in (goal.get("arm"), goal.get("against")) if arm}
    named |= {facts.reference(arm) for arm in named if arm in facts.arms}
    everybody = facts.info.get("measure_speed") or any(not goal.get("arm") for goal in goals)
    arms = [arm for arm in facts.arms if everybody or arm in named]
    first = [next((run for run in facts.finished(arm) if run.chosen), None) for arm in arms]
    return [run for run in first if run is not None and run.speed is None]


def _attempt(run: RunDir, checkpoint: Path) -> AttemptDir:
    """The attempt that saved a checkpoint; the latest one for a file from elsewhere. Raises MissingError."""
    path, attempts = checkpoint.resolve(), run.attempts()
    if not attempts:
        raise MissingError(f"{run.name} was never started.", hint="detui ls")
    return next((one for one in attempts if path.is_relative_to(one.path.resolve())), attempts[-1])
