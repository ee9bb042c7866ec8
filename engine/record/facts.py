"""What a record is written from: frozen facts of one experiment, each number with where it comes from."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from detui.engine.analysis.choice import finite
from detui.engine.analysis.goals import measured_as

SPEED = ("model/gmacs", "model/latency", "model/fps", "model/memory")
"""What `detui speed` measured of the chosen checkpoint: 10⁹ multiply-adds a picture, seconds a pass and pictures a
second with post-processing, bytes."""
TOTAL_LOSS, LOSS_TERMS = "train/loss", "train/loss_"
"""A training loss, and how the names of its terms begin."""
PARTS, LEVELS = ("backbone", "neck", "head"), ("P3", "P4", "P5")
"""Of a detector; the levels are what its neck takes from the backbone, at stride 8, 16 and 32."""
FUSION_PARTS = ("cameras", "pillars", "encoding", "aqr", "decoder", "heads", "queries")
"""Of a detector of cameras and LiDAR."""
BUILT = ("model/parameters", "model/gflops", "model/backbone_convolutions",
         *(f"model/parameters_{part}" for part in (*PARTS, *FUSION_PARTS)),
         *(f"model/channels_{level}" for level in LEVELS))  # fmt: skip
"""What the worker says of the model that it built; FLOPs as the framework counts them."""
EPOCHS_TO_90, SECONDS_TO_90 = CONVERGENCE = ("convergence/epochs_to_90", "convergence/seconds_to_90")
"""The first evaluated epoch at which a run had 90 % of its final value of the checkpoint rule's metric, and how long it
had trained by then."""
COST = (*BUILT, *SPEED, "cost/training_seconds", "cost/gpu_memory", "cost/host_memory", *CONVERGENCE)
"""Measurements of a run that are no evaluation; bytes, seconds and epochs."""
RATES = tuple(f"lr/{part}" for part in PARTS)
"""Learning rates of the parts of a detector, where a training tells them apart."""


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
    iteration: int | None = None
    """The optimizer step of its line, where that was asked for."""

    def whole(self) -> Source:
        """The file by itself, for a row that names the epoch: one mark for all, not a list as long as the run."""
        return replace(self, epoch=None, iteration=None)


@dataclass(frozen=True, slots=True)
class Measured:
    """A number and where it stands."""

    value: float
    source: Source


@dataclass(frozen=True, slots=True)
class Samples:
    """A named number that the training reported now and then; three tuples of the same length, by step."""

    steps: tuple[int, ...]
    values: tuple[float, ...]
    attempts: tuple[int, ...]
    """The attempt that reported each."""

    @property
    def mean(self) -> float:
        """Mean over the samples, each counting alike. Raises ZeroDivisionError without any."""
        return math.fsum(self.values) / len(self.values)

    def upto(self, step: int) -> int | None:
        """Index of the last sample at or before a step; None where the first one comes later."""
        return bisect_right(self.steps, step) - 1 if self.steps and self.steps[0] <= step else None


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptFacts:
    """One start of a run's process."""

    number: int
    resumed_from_epoch: int | None
    seconds: float | None
    """From start to exit; None while it runs."""
    ended: str | None
    """State at its exit, with code or signal and reason; None while it runs."""
    stage: int
    """Index of the stage that it began in."""
    device: tuple[str, ...]
    """The devices that it really had, as its `running` event names them; empty before that."""
    device_model: str
    """What the worker calls its device, the samples where it has no name for it; "" before either."""
    begin: Mapping[str, Any]
    """The worker's `begin` line: model, asked and used values, packages, device, code; empty before it."""
    host: Mapping[str, Any] = field(default_factory=dict)
    """The machine that it ran on, as `host` of experiment.json, with the driver of its GPUs; empty where not told."""
    job: str = ""
    """The job of Slurm that it ran in: "12", "12_3"; "" of none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageFacts:
    """A stage of a run that has begun."""

    line: Mapping[str, Any]
    """Its `stage` line: what it trains on, starts from and really uses; `attempt` is the one that it began in."""
    epochs: int
    """Epochs of it that were trained."""
    rates: tuple[float, float, float] | None
    """Learning rate of the weights at its first step, its highest, and at its last step; None where none was told."""
    by_part: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    """The same of each of RATES that was told."""

    @property
    def name(self) -> str:
        """As the recipe calls it."""
        return str(self.line.get("stage"))

    @property
    def planned(self) -> int:
        """Its length by the recipe, in epochs."""
        return int(self.line.get("epochs") or 0)

    @property
    def judged(self) -> bool:
        """Whether the run's data says anything about its model: not where that has other classes."""
        return bool((self.line.get("data") or {}).get("judged") != "not")


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
    """The `begin` line of the attempt that made the chosen checkpoint, of the latest before there is one."""
    attempts: tuple[AttemptFacts, ...]
    alarms: tuple[str, ...]
    evaluations: tuple[Mapping[str, Any], ...]
    """Lines that count, by epoch, of our evaluator."""
    chosen: Mapping[str, Any] | None
    """The evaluation that the checkpoint rule chooses."""
    waiting: tuple[str, ...]
    """Dumped predictions without an evaluation."""
    cost: Mapping[str, Measured]
    """By the names in COST; only what is known of the whole run."""
    speed: Mapping[str, Any] | None
    """The newest measurement of the chosen checkpoint's speed, with its settings; made beside nobody."""
    timed: tuple[Measured, int, int] | None
    """Seconds of the epochs that say theirs, how many those are, and of how many; None where none does."""
    trained: Mapping[int, int]
    """Epoch → the attempt that trained it."""
    stage_starts: tuple[int, ...]
    """Epochs that were completed when each stage began, in order; () where the training reports no stages."""
    losses: Mapping[str, tuple[tuple[int, ...], tuple[float, ...]]]
    """Loss name → epochs and values."""
    framework: Mapping[str, tuple[tuple[int, ...], tuple[float, ...]]]
    """A framework's own validation numbers, by its name for them: epochs and values."""
    statistics: Mapping[str, Samples]
    """What the training reported beside losses, by name ("gradient/small"); no name without a finite value."""
    stages: tuple[StageFacts, ...] = ()
    """Those that have begun, in order; none where the training tells of none."""
    iterations: int = 0
    """Optimizer steps completed."""
    asked: Mapping[int, Mapping[str, Measured]] = field(default_factory=dict)
    """Iteration → what its step line says, by name; only of iterations that a goal or a claim names."""
    rates: Mapping[str, tuple[tuple[int, ...], tuple[float, ...]]] = field(default_factory=dict)
    """The learning rates of RATES that were told, by name: steps, at most a few hundred, and values."""
    sums_loss: bool = False
    """Whether the training reports terms of its loss and no total: `train/loss` is then the sum of the terms."""

    @property
    def judged_from(self) -> int:
        """Epochs that were completed when the first stage began that the run's data says anything about."""
        return next((int(one.line.get("epoch") or 0) for one in self.stages if one.judged), 0)

    def stage_of(self, epoch: int) -> StageFacts | None:
        """The stage that an epoch of the run lies in by the plan; None before that stage has begun."""
        within = (one for one in self.stages if 0 < epoch - int(one.line.get("epoch") or 0) <= one.planned)
        return next(within, None)

    @property
    def finished(self) -> bool:
        """Whether it was trained to its end: only then do its numbers stand beside those of other runs."""
        return self.state == "finished"

    def source(self, line: Mapping[str, Any]) -> Source:
        """Where the values of an evaluation line stand."""
        attempt = int(line.get("attempt") or 1)
        epoch = line.get("epoch")
        return Source(self.name, attempt, epoch, f"runs/{self.name}/attempts/{attempt}/evaluations.jsonl")

    def value(self, metric: str, line: Mapping[str, Any] | None = None) -> Measured | None:
        """A metric of the chosen evaluation (or of `line`), or of the run's cost; None when not measured.

        A statistic is that of its last line at or before the step of the evaluation; of a run that nobody evaluates,
        of its last line. A field's value is what the training said that it used.
        """
        if metric in self.cost:
            return self.cost[metric]
        line = line or self.chosen
        if line and metric in line["values"]:
            found = finite(line["values"][metric])
            return None if found is None else Measured(found, self.source(line))
        if metric in self.statistics:
            return self._statistic(self.statistics[metric], line)
        return self._used(metric, line)

    def _statistic(self, samples: Samples, line: Mapping[str, Any] | None) -> Measured | None:
        step = line.get("step") if line else self.iterations
        if (line is None and (self.waiting or self.evaluations)) or not isinstance(step, int):
            return None  # there will be a chosen checkpoint, or nobody knows at which step it was
        at = samples.upto(step)
        return None if at is None else self.sample(samples, at)

    def sample(self, samples: Samples, index: int) -> Measured:
        """One of a statistic's samples, and where it stands."""
        return Measured(samples.values[index], self.logged(samples.attempts[index], samples.steps[index]))

    def logged(self, attempt: int, iteration: int | None = None) -> Source:
        """Where an attempt's own lines stand."""
        return Source(self.name, attempt, None, f"runs/{self.name}/attempts/{attempt}/metrics.jsonl", iteration)

    def _used(self, setting: str, line: Mapping[str, Any] | None) -> Measured | None:
        """A number among the values that the training said that it used, in the stage of an evaluation."""
        stage = self.stage_of(int(line["epoch"])) if line and isinstance(line.get("epoch"), int) else None
        said = stage.line if stage and stage.line.get("used") else self.begin
        value = (said.get("used") or {}).get(setting)
        found = None if isinstance(value, bool) else finite(value)
        return None if found is None else Measured(found, self.logged(int(said.get("attempt") or 1)))

    def at_iteration(self, metric: str, iteration: int) -> Measured | None:
        """A statistic, or a number of a step line, of exactly this optimizer step; None where no line is of it.

        Of step lines only those are known that a goal or a claim names. See `sums_loss` for the total of a loss.
        """
        samples = self.statistics.get(metric)
        if samples is not None and iteration in samples.steps:
            return self.sample(samples, samples.steps.index(iteration))
        line = self.asked.get(iteration) or {}
        if metric == TOTAL_LOSS and self.sums_loss:
            terms = [one for name, one in line.items() if name.startswith(LOSS_TERMS)]
            return Measured(math.fsum(one.value for one in terms), terms[0].source) if terms else None
        return line.get(metric)


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

    def _arm(self, arm: str) -> Mapping[str, Any]:
        return next((one for one in self.info["arms"] if one["name"] == arm), {})

    def data_set_of(self, arm: str) -> str | None:
        """The role of an arm's data (`crowded`); None where the recipe gives no roles."""
        role = self._arm(arm).get("data_set")
        return None if role is None else str(role)

    def base_of(self, arm: str) -> str:
        """The arm's name in the recipe: the same for an arm on each of several data sets."""
        return str(self._arm(arm).get("of") or arm)

    def data_of(self, arm: str) -> Mapping[str, Any]:
        """The prepared data that an arm is judged on; empty where the program brings its own."""
        named: Mapping[str, Any] = self.info.get("data_sets") or {}
        return named.get(self.data_set_of(arm) or "") or self.info.get("data") or {}

    @property
    def frames(self) -> bool:
        """Whether its data is judged in the manner of nuScenes: mAP and NDS of frames in place of COCO's AP."""
        return any(self.data_of(arm).get("metric") == "nuscenes" for arm in self.arms)

    @property
    def data_sets(self) -> list[str]:
        """The roles of the data sets that arms are judged on, in the plan's order; empty where there are no roles."""
        return list(dict.fromkeys(role for arm in self.arms if (role := self.data_set_of(arm)) is not None))

    def reference(self, arm: str) -> str:
        """What an arm is compared with: the first arm on the same data. Across data sets nothing is subtracted."""
        return next(one for one in self.arms if self.data_set_of(one) == self.data_set_of(arm))

    @property
    def references(self) -> list[str]:
        """The first arm on each data set."""
        return list(dict.fromkeys(map(self.reference, self.arms)))

    @property
    def compared(self) -> list[str]:
        """The arms that have a reference to be set against: all but the references."""
        return [arm for arm in self.arms if self.reference(arm) != arm]

    def same_data(self, *arms: str) -> bool:
        """Whether these arms are judged on the same data: only then do their numbers compare."""
        return len({self.data_set_of(arm) for arm in arms}) == 1

    @property
    def quick(self) -> bool:
        """Whether this is anything but a full run, and so no result."""
        return self.info.get("profile") != "full" and not self.imported

    @property
    def judged(self) -> bool:
        """Whether detui's evaluator judges its runs: there is data to judge them by, or it has done so."""
        named = self.info.get("data") or self.info.get("data_sets")
        return bool(named) or any(run.evaluations for run in self.runs)

    @property
    def imported(self) -> bool:
        """Whether its runs were trained by another tool, and are here by what that left."""
        return bool(self.info.get("imported"))

    @property
    def classes(self) -> list[str]:
        """The classes of all data sets, each once."""
        return list(dict.fromkeys(name for arm in self.references for name in self.classes_of(arm)))

    def classes_of(self, arm: str) -> list[str]:
        """The classes of an arm's data; those that were evaluated when the plan names none."""
        named = self.data_of(arm).get("classes")
        if named:
            return [str(name) for name in named]
        same = (run for run in self.runs if self.same_data(arm, run.arm))
        values: Mapping[str, Any] = next((run.chosen["values"] for run in same if run.chosen), {})
        return [name.split("/", 2)[2] for name in values if name.startswith(("val/AP/", "val/mAP/"))]

    def of(self, arm: str) -> list[RunFacts]:
        """The runs of an arm, by seed."""
        return sorted((run for run in self.runs if run.arm == arm), key=lambda run: run.seed)

    def finished(self, arm: str) -> list[RunFacts]:
        """The runs of an arm that got to their end, by seed."""
        return [run for run in self.of(arm) if run.finished]

    def planned(self, arm: str) -> list[str]:
        """Names of the runs that the plan has for an arm."""
        return [str(name) for name in self.info["runs"] if str(name).rsplit("-s", 1)[0] == arm]

    def unfinished(self, *arms: str) -> list[str]:
        """Names of the planned runs of these arms that did not get to their end."""
        done = {run.name for run in self.runs if run.finished}
        return [name for arm in arms for name in self.planned(arm) if name not in done]

    @property
    def begun(self) -> bool:
        """Whether any run was started at all."""
        return any(run.attempts for run in self.runs)

    def open_runs(self) -> dict[str, list[str]]:
        """Arm → its unfinished runs, for the judging of goals; nothing while no run has begun."""
        return {arm: self.unfinished(arm) for arm in self.arms} if self.begun else {}

    def points(self, arm: str, metric: str, iteration: int | None = None) -> dict[int, Measured]:
        """Seed → the metric on the chosen checkpoint, for the finished runs that have it.

        `iteration`: in place of the checkpoint's the number of exactly this optimizer step.
        """
        found = {run.seed: run.value(metric) if iteration is None else run.at_iteration(metric, iteration)
                 for run in self.finished(arm)}  # fmt: skip
        return {seed: value for seed, value in found.items() if value is not None}

    def values(self, arm: str, metric: str) -> dict[int, float]:
        """Seed → the bare number."""
        return {seed: point.value for seed, point in self.points(arm, metric).items()}

    def results(self) -> dict[str, dict[str, dict[int, float]]]:
        """Arm → metric → seed → value, for everything measured in finished runs: what goals are judged on."""
        names = {name for run in self.runs if run.chosen for name in run.chosen["values"]} | set(COST)
        found = {arm: {name: self.values(arm, name) for name in sorted(names)} for arm in self.arms}
        for goal in self.info.get("goals") or ():
            metric, iteration = str(goal["metric"]), goal.get("iteration")
            for arm, by in found.items():
                by[measured_as(goal)] = {s: one.value for s, one in self.points(arm, metric, iteration).items()}
        return {arm: {name: points for name, points in by.items() if points} for arm, by in found.items()}
