"""A run directory of Ultralytics: results.csv, args.yaml, weights."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from detui.engine.errors import FormatError, UsageError
from detui.engine.importing.left import Ending, Left, Start
from detui.engine.importing.replay import Replay
from detui.engine.yaml import parse_yaml

HEADLINE = tuple(
    f"ultralytics/{mask}{name}" for mask in ("", "mask_") for name in ("mAP50-95", "mAP50", "precision", "recall")
)


def read(path: Path) -> Left | None:
    """Read a run directory, or its results.csv. None where it is neither."""
    folder = path.parent if path.name == "results.csv" else path
    results, args = folder / "results.csv", folder / "args.yaml"
    if not results.is_file():
        return None
    rows = _rows(results)
    if not rows:
        return None
    config = _settings(args) if args.is_file() else {}
    epochs = config.get("epochs") if isinstance(config.get("epochs"), int) else None
    finished, ending = _ending(rows, epochs, config.get("patience"))
    weights = tuple(sorted(folder.glob("weights/*.pt")))
    seed = config.get("seed")
    return Left(
        form="Ultralytics run directory",
        framework="ultralytics",
        files=(results, *([args] if args.is_file() else [])),
        starts=(Start(play=partial(_play, rows, weights), file=results),),
        finished=finished,
        ending=ending,
        epochs=epochs,
        headline=HEADLINE,
        config={"args": config} if config else {},
        seed=seed if isinstance(seed, int) else None,
        weights=weights,
    )


def _ending(rows: Sequence[Mapping[str, float]], epochs: int | None, patience: Any) -> tuple[bool, Ending]:
    """Whether the training got to its end, and by what that is told."""
    done = len(rows)
    if epochs is None:
        return False, Ending("ending not planned", (done,))
    if done >= epochs:
        return True, Ending("ending all", (epochs,))
    if patience in [done - best for best in _best(rows)]:
        return True, Ending("ending early", (done, epochs, patience))
    return False, Ending("ending cut", (done, epochs))


def _best(rows: Sequence[Mapping[str, float]]) -> list[int]:
    """The best epochs by the two fitnesses that Ultralytics has had: mAP50-95, and 0.9 of it with 0.1 of mAP50."""
    names = ("metrics/mAP50(B)", "metrics/mAP50-95(B)")
    if any(name not in row for row in rows for name in names):
        return []
    both = [[row[name] for name in names] for row in rows]
    scores = ([high for _, high in both], [0.1 * low + 0.9 * high for low, high in both])
    return [of.index(max(of)) + 1 for of in scores]


def _rows(path: Path) -> list[dict[str, float]]:
    """The epochs, each as column → number. Raises FormatError for a file without the column `epoch`."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        cells = [[cell.strip() for cell in line] for line in csv.reader(file) if line]
    if not cells or "epoch" not in cells[0]:
        raise FormatError("The first line names no column `epoch`.", where=f"{path}:1")
    found: dict[int, dict[str, float]] = {}
    for number, line in enumerate(cells[1:], start=2):
        try:
            row = {name: float(cell) for name, cell in zip(cells[0], line, strict=False)}
            found[int(row["epoch"])] = row  # a training that went on may have written an epoch twice
        except (ValueError, KeyError) as error:
            raise FormatError(f"This is no line of numbers: {error}.", where=f"{path}:{number}") from error
    return [found[epoch] for epoch in sorted(found)]


def _settings(path: Path) -> dict[str, Any]:
    try:
        value = parse_yaml(path.read_text(encoding="utf-8", errors="replace"), source=str(path)).value
    except UsageError as error:
        raise FormatError(error.message, where=error.where, hint=error.hint) from error
    return dict(value) if isinstance(value, Mapping) else {}


def _play(rows: Sequence[Mapping[str, float]], weights: Sequence[Path], report: Replay) -> None:
    """Steps are not in the file, and stay unknown: nought."""
    first = 1 - int(rows[0]["epoch"]) if rows[0]["epoch"] == 0 else 0
    before = 0.0
    for row in rows:
        epoch, taken = int(row["epoch"]) + first, row.get("time")
        seconds = None
        if taken is not None:
            seconds, before, report.at = taken - before, taken, taken
        report.epoch(epoch, 0, _values(row), seconds=seconds)
    for path in weights:
        if path.name == "last.pt":  # of best.pt nothing says which epoch it is
            report.checkpoint(path.resolve(), 0, report.last_epoch, resumable=False)


def _values(row: Mapping[str, float]) -> dict[str, float]:
    found = {}
    for name, value in row.items():
        if name.startswith("train/"):
            found[f"train/loss_{name.removeprefix('train/').removesuffix('_loss')}"] = value
        elif name.startswith("lr/"):
            found[name] = value
        elif name.startswith("metrics/"):
            bare = name.removeprefix("metrics/")
            mask = "mask_" if bare.endswith("(M)") else ""
            found[f"ultralytics/{mask}{bare.split('(')[0]}"] = value
        elif name.startswith("val/"):
            found[f"ultralytics/{name.replace('val/', 'val_')}"] = value
    return found
