"""What a record is written from: frozen facts of one experiment, each number with where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detui.engine.analysis.choice import number

COST = ("model/parameters", "model/gflops", "cost/training_seconds", "cost/gpu_memory", "cost/host_memory")
"""Measurements of a run that are no evaluation; bytes and seconds."""


def record_path(experiment_dir: Path, language: str = "en") -> Path:
    """Where the record of an experiment stands in a language, whether it is there or not."""
    return experiment_dir / ("record.md" if language == "en" else f"record.{language}.md")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a number stands."""

    run: str
    attempt: int
    epoch: int | None
    """None for what belongs to the whole attempt."""
    file: str
    """Relative to the experiment's directory."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A number and where it stands."""

    value: float
    source: Source


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptFacts:
    """One start of a run's process."""

    number: int
    resumed_from_epoch: int | None
    seconds: float | None
    """From start to exit; None while it runs."""
    ended: str | None
    """State at its exit, with code or signal and reason; None while it runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFacts:
    """One arm with one seed, as far as it got."""

    name: str
    arm: str
    seed: int
    state: str
    """Word of the state."""
    terminal: bool
    reason: str | None
    epoch: int
    """Epochs completed."""
    total_epochs: int
    began: str | None
    """Wall time of the first start."""
    begin: Mapping[str, Any]
    """The worker's `begin` line: model, asked and used values, packages, device; empty before it."""
    attempts: tuple[AttemptFacts, ...]
    alarms: tuple[str, ...]
    evaluations: tuple[Mapping[str, Any], ...]
    """Lines that count, by epoch, of our evaluator."""
    chosen: Mapping[str, Any] | None
    """The evaluation that the checkpoint rule chooses."""
    waiting: tuple[str, ...]
    """Dumped predictions without an evaluation."""
    cost: Mapping[str, Measured]
    """By the names in COST; only what is known."""
    trained: Mapping[int, int]
    """Epoch → the attempt that trained it."""
    losses: Mapping[str, tuple[tuple[int, ...], tuple[float, ...]]]
    """Loss name → epochs and values."""
    framework: Mapping[str, tuple[tuple[int, ...], tuple[float, ...]]]
    """A framework's own validation numbers, by its name for them: epochs and values."""

    def source(self, line: Mapping[str, Any]) -> Source:
        """Where the values of an evaluation line stand."""
        attempt = int(line.get("attempt") or 1)
        epoch = line.get("epoch")
        return Source(self.name, attempt, epoch, f"runs/{self.name}/attempts/{attempt}/evaluations.jsonl")

    def value(self, metric: str, line: Mapping[str, Any] | None = None) -> Measured | None:
        """A metric of the chosen evaluation (or of `line`), or of the run's cost; None when not measured."""
        if metric in self.cost:
            return self.cost[metric]
        line = line or self.chosen
        found = number(line["values"].get(metric)) if line else None
        return Measured(found, self.source(line)) if line and found is not None else None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExperimentFacts:
    """One experiment: its frozen plan and its runs."""

    path: Path
    info: Mapping[str, Any]
    """experiment.json."""
    runs: tuple[RunFacts, ...]

    @property
    def arms(self) -> list[str]:
        """Names of the arms, the reference first."""
        return [str(arm["name"]) for arm in self.info["arms"]]

    @property
    def quick(self) -> bool:
        """Whether this is anything but a full run, and so no result."""
        return bool(self.info.get("profile") != "full")

    @property
    def classes(self) -> list[str]:
        """The data's classes; those that were evaluated when the plan names none."""
        named = (self.info.get("data") or {}).get("classes")
        if named:
            return [str(name) for name in named]
        values: Mapping[str, Any] = next((run.chosen["values"] for run in self.runs if run.chosen), {})
        return [name.split("/", 2)[2] for name in values if name.startswith("val/AP/")]

    def of(self, arm: str) -> list[RunFacts]:
        """The runs of an arm, by seed."""
        return sorted((run for run in self.runs if run.arm == arm), key=lambda run: run.seed)

    def points(self, arm: str, metric: str) -> dict[int, Measured]:
        """Seed → the metric on the chosen checkpoint, for the seeds that have it."""
        found = {run.seed: run.value(metric) for run in self.of(arm)}
        return {seed: value for seed, value in found.items() if value is not None}

    def values(self, arm: str, metric: str) -> dict[int, float]:
        """Seed → the bare number."""
        return {seed: point.value for seed, point in self.points(arm, metric).items()}

    def results(self) -> dict[str, dict[str, dict[int, float]]]:
        """Arm → metric → seed → value, for everything measured: what goals are judged on."""
        names = {name for run in self.runs if run.chosen for name in run.chosen["values"]} | set(COST)
        found = {arm: {name: self.values(arm, name) for name in sorted(names)} for arm in self.arms}
        return {arm: {name: points for name, points in by.items() if points} for arm, by in found.items()}
