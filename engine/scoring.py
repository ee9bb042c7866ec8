"""What a checkpoint of a run scores on a split: predicted in the backend's environment, judged by the one evaluator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from detui.engine.evaluate import Result, evaluate_file
from detui.engine.evaluate.pending import append_evaluation, library_of, truth_of
from detui.engine.prediction import check_split, check_trust, find_checkpoint, predict
from detui.engine.run.directory import AttemptDir, RunDir
from detui.engine.run.history import load_history
from detui.engine.run.pulled import refuse_copy


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """One checkpoint on one split."""

    result: Result
    checkpoint: Path
    epoch: int | None
    """After which it was saved; None for a file that is not the run's."""
    split: str
    predictions: Path
    truth: Path
    masks: bool | None
    """Whether its detections carry masks, as far as the run's backend says it."""


def score(
    run: RunDir,
    which: str = "best",
    split: str = "val",
    *,
    device: str = "cpu",
    trust: bool = False,
    library: str | None = None,
) -> Score:
    """Score a checkpoint: "best" by the run's rule, "last", an epoch, or a file.

    Predictions that are there already are taken: those that the run dumped at a milestone, or an earlier call wrote.
    Numbers of the run's own checkpoints that its evaluations lack are added to them, marked as asked for: they never
    decide which checkpoint counts, and enter no table of the record. Of a copy of another host's run nothing is scored:
    its numbers are those of that host.

    `library`: what computes, instead of what the recipe says. Raises what `prediction.predict` raises, DataError for
    wrong predictions.
    """
    refuse_copy(run.experiment_dir, "evaluate", f"{run.experiment_dir.name}/{run.name}")
    checkpoint, epoch = find_checkpoint(run, which)
    check_trust(run, checkpoint, trust)
    check_split(run.spec(), split)
    truth = truth_of(run, split)
    dumped = None if epoch is None else _dumped(run, epoch, split)
    predictions = dumped or checkpoint.parent.parent / "predictions" / f"{split}-{checkpoint.stem}.json"
    if epoch is None:
        predictions = _latest(run).predictions / f"{split}-{checkpoint.stem}-{checkpoint.stat().st_mtime_ns}.json"
    if not predictions.exists():
        predict(run, checkpoint, split, predictions, device=device, trust=trust)
    masks = run.spec().masks
    result = evaluate_file(truth, predictions, library or library_of(run), masks=masks)
    if epoch is not None and dumped is None:
        step = next((int(line["step"]) for line in load_history(run).checkpoints if line.get("epoch") == epoch), None)
        about = {"epoch": epoch, "step": step, "checkpoint": f"checkpoints/{checkpoint.name}", "on_request": True}
        append_evaluation(AttemptDir(checkpoint.parent.parent), split, predictions, result, about)
    return Score(result=result, checkpoint=checkpoint, epoch=epoch, split=split, predictions=predictions, truth=truth,
                 masks=masks)  # fmt: skip


def _dumped(run: RunDir, epoch: int, split: str) -> Path | None:
    """Predictions of an epoch on a split that the run has already, and that have an evaluation."""
    for line in reversed(load_history(run).evaluations):
        if line.get("epoch") == epoch and line.get("split", "val") == split and line.get("predictions"):
            path = run.attempt(int(line.get("attempt") or 1)).path / str(line["predictions"])
            if path.is_file():
                return path
    return None


def _latest(run: RunDir) -> AttemptDir:
    latest = run.latest()
    assert latest is not None, "a run whose checkpoint was found has an attempt"
    return latest
