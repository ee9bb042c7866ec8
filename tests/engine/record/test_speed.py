"""Measured speed in the record: the newest of the chosen checkpoint, with its settings, none that was forced."""

from __future__ import annotations

import re

from detui.engine.record import fill
from detui.engine.record.blocks import find
from detui.engine.record.gather import gather
from detui.engine.run.measurements import add_measurement


def rows(text: str, block: str) -> list:
    """The body of a block's table: lists of cells, unescaped pipes only."""
    lines = [line for line in find(text)[block].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def measured(epoch: int, at: str, fps: float, *, alone: bool = True) -> dict:
    return {
        "at": at, "checkpoint": "checkpoints/a.pt", "epoch": epoch, "alone": alone, "gmacs": 3.25, "batch": 2,
        "precision": "fp16", "input": [3, 320, 320], "fused": False, "threads": 4,
        "device": {"kind": "cuda", "name": "Some|GPU"}, "postprocess": {"kind": "NMS (torchvision)"},
        "memory": {"bytes": 3 << 20, "what": "allocator's peak"},
        "forward": {"median_ms": 1.0, "fps": 2000.0}, "whole": {"median_ms": 2000 / fps, "fps": fps},
    }  # fmt: skip


def test_the_newest_measurement_of_the_chosen_checkpoint_counts(trial):
    trial.train_all()
    run = trial.runs["baseline-s0"]
    chosen = gather(trial.path).runs[0].chosen["epoch"]
    other = next(epoch for epoch in (10, 20, 30) if epoch != chosen)
    for line in (
        measured(chosen, "2026-11-20T14:00:00.000Z", 100.0),
        measured(chosen, "2026-11-20T15:00:00.000Z", 250.0),
        measured(other, "2026-11-20T16:00:00.000Z", 300.0),
        measured(chosen, "2026-11-20T17:00:00.000Z", 400.0, alone=False),
    ):
        add_measurement(run.attempt(1), line)
    english, chinese = fill(trial.path)
    first, *others = rows(english.read_text(encoding="utf-8"), "cost")
    assert {"3.25", "8 ms", "250", "3 MiB"} <= set(first)
    assert first[-2] == "Some\\|GPU, threads: 4, 3×320×320, batch 2, fp16, nothing folded; with NMS (torchvision)"
    assert [row[-2] for row in others] == ["measured on another seed", *["_(not measured yet)_"] * (len(others) - 1)]
    assert "测速条件" in chinese.read_text(encoding="utf-8")
    assert gather(trial.path).points("baseline", "model/fps")[0].value == 250.0, "goals can ask for it"


def test_without_a_measurement_the_record_has_no_column_for_it(trial):
    trial.train_all()
    assert "FPS" not in fill(trial.path)[0].read_text(encoding="utf-8")
