"""Evaluate what a run has dumped and nobody has evaluated yet.

The worker writes predictions at the recipe's milestones and says so in
metrics.jsonl; each such line becomes one line in evaluations.jsonl, here, in
detui's own environment, whatever framework trained.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detui.engine.errors import DataError, DetuiError, MissingError
from detui.engine.evaluate.coco import Result
from detui.engine.evaluate.judging import judge
from detui.engine.evaluate.lock import node_lock
from detui.engine.run.directory import AttemptDir, RunDir, now
from detui.engine.run.files import write_error, write_json
from detui.engine.run.lines import LineWriter, read_lines

SCHEMA = 1
HINT_WRITE_AGAIN = "write it again: of a run, by detui evaluate RUN --checkpoint EPOCH, or by training again"

log = logging.getLogger(__name__)


def pending(attempt: AttemptDir) -> list[dict[str, Any]]:
    """The `evaluation` lines of an attempt's metrics whose predictions have no evaluation, oldest first."""
    done = {line.get("predictions") for line in read_lines(attempt.evaluations_path)}
    waiting: dict[str, dict[str, Any]] = {}
    for line in read_lines(attempt.metrics_path):
        if line.get("kind") == "evaluation" and line.get("path") not in done:
            waiting[str(line.get("path"))] = line
    return list(waiting.values())


def evaluate_run(run: RunDir, problems: list[DetuiError] | None = None) -> int:
    """Evaluate every dumped prediction of `run` that has no evaluation line; return how many were written.

    What cannot be evaluated is logged, added to `problems`, and tried again by
    the next call; the others go on. Waits for another evaluator of this run.
    Of a copy of another host's run, whose predictions are not here, nothing waits.
    """
    written = 0
    if run.pulled() is not None:
        return written
    for attempt in run.attempts():
        if not pending(attempt):
            continue
        with node_lock("evaluate", attempt.path):
            for line in pending(attempt):
                try:
                    _evaluate(run, attempt, line)
                    written += 1
                except DetuiError as error:
                    log.error("%s: %s", run.name, error)
                    if problems is not None:
                        problems.append(error)
    return written


def evaluate_file(
    truth: Path,
    predictions: Path,
    library: str | None = None,
    *,
    metric: str | None = None,
    masks: bool | None = None,
) -> Result:
    """Score a file of detections against a ground truth file, by the metric that the ground truth calls for.

    `metric`: another of `judging.METRICS`; `library`: another that computes it; `masks`: whether the detections carry
    masks, where a run's spec says it. Raises MissingError, DataError; UsageError for one that does not fit.
    """
    names = {"truth_name": str(truth), "detections_name": str(predictions)}
    return judge(load(truth), load(predictions), metric=metric, library=library, masks=masks, **names)


def _evaluate(run: RunDir, attempt: AttemptDir, line: Mapping[str, Any]) -> None:
    split = str(line.get("split", "val"))
    predictions = attempt.path / str(line["path"])
    result = evaluate_file(truth_of(run, split), predictions, library_of(run), masks=run.spec().masks)
    if line in pending(attempt):  # or else another machine, whose locks are not ours, was faster
        append_evaluation(attempt, split, predictions, result, line)


def append_evaluation(
    attempt: AttemptDir, split: str, predictions: Path, result: Result, about: Mapping[str, Any]
) -> None:
    """Add a line to an attempt's evaluations, and its PR curves beside the predictions. Raises RunError.

    `about`: epoch, step and checkpoint, which it is of.
    """
    curves = predictions.with_suffix(".pr.json")
    write_json(curves, {"schema": SCHEMA, **result.curves})
    names = {"path": str(predictions.relative_to(attempt.path)), "curves": str(curves.relative_to(attempt.path))}
    _append(attempt.evaluations_path, _line({**about, **names}, split, result))


def _append(path: Path, line: dict[str, Any]) -> None:
    try:
        writer = LineWriter(path)
        try:
            writer.write(line)
            writer.sync()
        finally:
            writer.close()
    except OSError as error:
        raise write_error(path, error) from error


def truth_of(run: RunDir, split: str) -> Path:
    """Where the ground truth of a split of a run's prepared data lies. Raises DataError where it names none."""
    data = run.spec().data
    if not data or not data.get("prepared"):
        raise DataError("This run names no prepared data, so nothing says what is right.", where=str(run.path))
    return Path(data["prepared"]) / f"{split}.json"


def library_of(run: RunDir) -> str | None:
    """What computes the metric of a run's data, where its recipe says it (`data.evaluator`)."""
    asked = (run.spec().data or {}).get("evaluator")
    return str(asked) if asked else None


def _line(line: Mapping[str, Any], split: str, result: Result) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "kind": "evaluation",
        "at": now(),
        "epoch": line.get("epoch"),
        "step": line.get("step"),
        "split": split,
        "predictions": line["path"],
        "checkpoint": line.get("checkpoint"),
        "evaluator": result.evaluator,
        "max_dets": result.max_dets,
        "images": result.images,
        "boxes": result.boxes,
        "detections": result.detections,
        "values": {f"{split}/{name}": value for name, value in result.values.items()},
        "curves": line["curves"],
        **({"on_request": True} if line.get("on_request") else {}),
        **({"candidate": False} if line.get("candidate") is False else {}),
    }


def load(path: Path) -> Any:
    """The content of a JSON file. Raises MissingError for one that is absent, DataError for one that is not whole."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise MissingError("This file is absent.", where=str(path), hint=HINT_WRITE_AGAIN) from None
    except OSError as error:
        raise MissingError(f"This file cannot be read: {error.strerror}.", where=str(path)) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"This is no whole JSON: {error}.", where=str(path), hint=HINT_WRITE_AGAIN) from None
