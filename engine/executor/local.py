"""Runs on this machine: one supervisor a run, each waiting for its own device."""

from __future__ import annotations

from collections.abc import Iterable

from detui.engine.process.launch import launch
from detui.engine.run.directory import RunDir


def submit(runs: Iterable[RunDir]) -> None:
    """Start a supervisor for each run, in order; they outlive the caller. Raises RunError when one cannot start."""
    for run in runs:
        launch(run)
