"""Speed and size of the checkpoints of a run: measured in the backend's environment, kept beside the attempt."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from detui.engine.devices.host import processor
from detui.engine.errors import MissingError
from detui.engine.prediction import check_split, check_trust
from detui.engine.process.borrow import borrow
from detui.engine.process.task import run_task
from detui.engine.run.directory import AttemptDir, RunDir, now
from detui.engine.run.measurements import add_measurement


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
) -> dict[str, Any]:
    """Measure a checkpoint, keep the measurement and return it.

    `checkpoint`, `epoch`: as `detui.engine.prediction.find_checkpoint` returns them. `device`: "cpu", or a GPU by index
    or UUID, which is leased meanwhile. `threads`: of the CPU, those of the run by default. `force`: beside others.
    Raises what `detui.engine.prediction.predict` raises, and UsageError for a size that the model cannot take.
    """
    check_trust(run, checkpoint, trust)
    check_split(run.spec(), "val")
    attempt = _attempt(run, checkpoint)
    arguments = {"checkpoint": str(checkpoint.absolute()), "wanted": asdict(wanted)}
    with borrow(device, f"detui speed, {run.experiment_dir.name}/{run.name}", alone=True, force=force) as on:
        found = run_task(run, "speed", arguments, on, threads=threads)
    if on.kind == "cpu":
        found["device"]["name"] = processor()
    inside = checkpoint.resolve().is_relative_to(attempt.path.resolve())
    named = checkpoint.name if not inside else str(checkpoint.resolve().relative_to(attempt.path.resolve()))
    measured = {"at": now(), "checkpoint": named, "epoch": epoch, "alone": not force, **found}
    add_measurement(attempt, measured)
    return measured


def _attempt(run: RunDir, checkpoint: Path) -> AttemptDir:
    """The attempt that saved a checkpoint; the latest one for a file from elsewhere. Raises MissingError."""
    path, attempts = checkpoint.resolve(), run.attempts()
    if not attempts:
        raise MissingError(f"{run.name} was never started.", hint="detui ls")
    return next((one for one in attempts if path.is_relative_to(one.path.resolve())), attempts[-1])
