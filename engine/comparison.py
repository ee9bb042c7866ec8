"""Runs and arms of any experiments, side by side: metrics with deltas and intervals, and whether they are alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from detui.engine.analysis import Comparison, Finding, SeedSummary, compare, summarise
from detui.engine.errors import UsageError
from detui.engine.experiment import Experiment
from detui.engine.record.alike import compare_facts, facts_of
from detui.engine.record.facts import ExperimentFacts, RunFacts
from detui.engine.record.gather import gather
from detui.engine.record.over_images import REPLICATES, Images, compare_runs, pair
from detui.engine.run.directory import RunDir

METRICS = ("val/AP", "val/AP50", "val/AP75", "val/AP_small", "val/AP_medium", "val/AP_large", "val/precision",
           "val/recall", "val/official_AP", "val/official_AP50", "val/official_AP75")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Side:
    """One arm with its seeds, or one run."""

    name: str
    """How it is called in the comparison: `baseline`, with its experiment where several are compared."""
    facts: ExperimentFacts
    arm: str
    runs: tuple[RunFacts, ...]

    @property
    def finished(self) -> list[RunFacts]:
        """The runs that got to their end: only their numbers are compared."""
        return [run for run in self.runs if run.finished]

    def points(self, metric: str) -> dict[int, float]:
        """Seed → the metric of its chosen checkpoint."""
        found = {run.seed: run.value(metric) for run in self.finished}
        return {seed: value.value for seed, value in found.items() if value is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One metric of one side against the reference."""

    metric: str
    side: str
    summary: SeedSummary
    against: SeedSummary
    seeds: Comparison
    """What the seeds say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """A comparison. The first side is the reference."""

    sides: tuple[Side, ...]
    rows: tuple[Row, ...]
    images: tuple[Images, ...]
    findings: tuple[Finding, ...]


def sides(chosen: Sequence[tuple[Experiment, RunDir | None]]) -> list[Side]:
    """The sides of a comparison: of an experiment each of its arms, of a run itself. Raises UsageError below two."""
    gathered = {experiment.path: gather(experiment.path) for experiment, _ in chosen}
    several = len(gathered) > 1
    found: list[Side] = []
    for experiment, run in chosen:
        facts = gathered[experiment.path]
        prefix = f"{experiment.id}/" if several else ""
        if run is None:
            found += [Side(f"{prefix}{arm}", facts, arm, tuple(facts.of(arm))) for arm in facts.arms]
        else:
            one = next(facts_ for facts_ in facts.runs if facts_.name == run.name)
            found.append(Side(f"{prefix}{run.name}", facts, one.arm, (one,)))
    unique = {side.name: side for side in found}
    if len(unique) < 2:
        hint = "detui compare EXPERIMENT with several arms, or two runs: detui compare EXPERIMENT/RUN EXPERIMENT/RUN"
        raise UsageError("There is one side only, and nothing to compare it with.", hint=hint)
    return list(unique.values())


def joined(found: Sequence[Side]) -> list[Side]:
    """Sides of single runs as sides of arms, with these runs as seeds. Raises UsageError below two."""
    arms: dict[tuple[Path, str], list[Side]] = {}
    for side in found:
        arms.setdefault((side.facts.path, side.arm), []).append(side)
    if len(arms) < 2:
        hint = "Without --by-arm each run is a side of its own."
        raise UsageError("All these runs are of one arm, and there is nothing to compare it with.", hint=hint)
    several = len({path for path, _ in arms}) > 1
    return [
        Side(f"{path.name}/{arm}" if several else arm, of[0].facts, arm, tuple(run for side in of for run in side.runs))
        for (path, arm), of in arms.items()
    ]


def compare_sides(chosen: Sequence[Side], *, replicates: int = REPLICATES) -> Report:
    """Compare every side with the first. `replicates`: of the bootstrap over images; 0 leaves it out."""
    reference = chosen[0]
    rows = [row for other in chosen[1:] for row in _rows(reference, other)]
    images = [over_images(reference, other, replicates) for other in chosen[1:]] if replicates else []
    varies = sorted({str(name) for side in chosen for name in side.facts.info.get("varies") or ()})
    facts = {side.name: facts_of(side.facts, side.arm, side.runs) for side in chosen}
    findings = [*compare_facts(facts, varies, _seconds(chosen)), *_unknown(chosen)]
    return Report(sides=tuple(chosen), rows=tuple(rows), images=tuple(images), findings=tuple(findings))


def _rows(reference: Side, other: Side) -> list[Row]:
    rows = []
    unfinished = [run.name for side in (reference, other) for run in side.runs if not run.finished]
    for metric in (*METRICS, *_headline(reference)):
        a, b = reference.points(metric), other.points(metric)
        if a and b:
            one, two = (summarise(list(points.values())) for points in (a, b))
            rows.append(Row(metric=metric, side=other.name, summary=two, against=one, seeds=compare(a, b, unfinished)))
    return rows


def _headline(side: Side) -> list[str]:
    """The main metrics of a framework, by its name, where its own numbers are all that an imported run has."""
    told = (str(name) for run in side.finished if run.chosen for name in run.chosen.get("headline") or ())
    return list(dict.fromkeys(told))


def _unknown(chosen: Sequence[Side]) -> list[Finding]:
    """That nothing is known of how imported sides were configured: nobody can say that they are alike."""
    unread = [side.name for side in chosen if side.facts.info.get("imported") and not _configured(side)]
    if not unread:
        return []
    values = {side.name: "unknown" if side.name in unread else "known" for side in chosen}
    text = f"How {', '.join(unread)} was configured is not known: it was imported from a log that does not say it."
    return [Finding(level="note", field="configuration", values=values, text=text)]


def _configured(side: Side) -> bool:
    """Whether the tool left the settings of an imported side."""
    return side.arm in (side.facts.info["imported"].get("configured") or ())


def over_images(reference: Side, other: Side, replicates: int = REPLICATES) -> Images:
    """What the validation images say of one pair of runs of two sides. Takes seconds."""
    chosen = pair(reference.runs, other.runs)
    if chosen is None:
        return Images(first=reference.name, second=other.name, problem="one side has no evaluated run")
    return compare_runs((reference.facts.path, chosen[0]), (other.facts.path, chosen[1]), replicates)


def _seconds(chosen: Sequence[Side]) -> dict[str, float]:
    found = {}
    for side in chosen:
        costs = [run.cost.get("cost/training_seconds") for run in side.finished]
        spent = [cost.value for cost in costs if cost is not None]
        if spent:
            found[side.name] = sum(spent) / len(spent)
    return found
