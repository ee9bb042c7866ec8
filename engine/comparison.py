"""Runs and arms of any experiments, side by side: metrics with deltas and intervals, and whether they are alike.

Sides that were judged on different images are set apart: nothing is subtracted across them, and each is compared with
the first side on its own data. What documents claim of a side stands apart from what was measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detui.engine.analysis import Comparison, Finding, SeedSummary, compare, summarise
from detui.engine.analysis.fairness import covers
from detui.engine.analysis.interaction import Cell, Crossed, cross
from detui.engine.errors import MissingError, UsageError
from detui.engine.experiment import Experiment
from detui.engine.recipe.load import nearest
from detui.engine.record.alike import compare_facts, facts_of
from detui.engine.record.claimed import Claimed, claimed, unplaced
from detui.engine.record.data_table import Data
from detui.engine.record.facts import ExperimentFacts, RunFacts
from detui.engine.record.gather import gather
from detui.engine.record.over_images import REPLICATES, Images, compare_runs, pair, same_images
from detui.engine.run.directory import RunDir

METRICS = ("val/AP", "val/AP50", "val/AP75", "val/AP_small", "val/AP_medium", "val/AP_large", "val/precision",
           "val/recall", "val/official_AP", "val/official_AP50", "val/official_AP75", "val/mAP", "val/NDS",
           "val/mask_AP", "val/mask_AP50", "val/mask_AP75", "val/mask_AP_small", "val/mask_AP_medium",
           "val/mask_AP_large")  # fmt: skip

Chosen = tuple[Experiment, RunDir | str | None]
"""An experiment and what of it is compared: a run, the name of an arm, or None for each of its arms."""


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

    @property
    def unfinished(self) -> list[str]:
        """Names of the other runs."""
        return [run.name for run in self.runs if not run.finished]

    @property
    def data(self) -> Data:
        """The prepared data that it was judged on; empty where the program brings its own."""
        return self.facts.data_of(self.arm)

    @property
    def data_name(self) -> str:
        """What its data goes by: its role in the question, or its name; "" where the program brings its own."""
        return self.facts.data_set_of(self.arm) or str(self.data.get("name") or "")

    def points(self, metric: str) -> dict[int, float]:
        """Seed → the metric of its chosen checkpoint."""
        found = {run.seed: run.value(metric) for run in self.finished}
        return {seed: value.value for seed, value in found.items() if value is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One metric of one side against its reference."""

    metric: str
    side: str
    reference: str
    summary: SeedSummary
    against: SeedSummary
    seeds: Comparison
    """What the seeds say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """A comparison. The first side is the reference of all that were judged on the same images."""

    groups: tuple[tuple[Side, ...], ...]
    """The sides by the images that they were judged on, each group's reference first; in the order of the sides."""
    sides: tuple[Side, ...]
    rows: tuple[Row, ...]
    images: tuple[Images, ...]
    findings: tuple[Finding, ...]
    claims: tuple[Claimed, ...]
    """What documents state of the sides; nothing above rests on it."""
    crossed: Crossed | None
    """AP of arms by data sets, where arms of one recipe were compared on several."""

    def pairs(self) -> Iterator[tuple[Side, Side]]:
        """Every side with its reference before it."""
        return _pairs(self.groups)


def choose(experiment: Experiment, name: str) -> Chosen:
    """The run of that name, or the arm. Raises MissingError with the nearest name for neither."""
    runs = {run.name: run for run in experiment.runs()}
    if name in runs:
        return experiment, runs[name]
    arms = experiment.arms()
    if name in arms:
        return experiment, name
    hint = f"{experiment.id}/{near}" if (near := nearest(name, [*arms, *runs])) in {*arms, *runs} else near
    raise MissingError(f"{experiment.id} has no arm and no run {name!r}.", hint=hint)


def sides(chosen: Sequence[Chosen]) -> list[Side]:
    """The sides of a comparison: of an experiment each of its arms, else the arm or the run. UsageError below two."""
    gathered = {experiment.path: gather(experiment.path) for experiment, _ in chosen}
    several = len(gathered) > 1
    found: list[Side] = []
    for experiment, part in chosen:
        facts = gathered[experiment.path]
        prefix = f"{experiment.id}/" if several else ""
        if isinstance(part, RunDir):
            one = next(run for run in facts.runs if run.name == part.name)
            found.append(Side(f"{prefix}{one.name}", facts, one.arm, (one,)))
        else:
            arms = facts.arms if part is None else [part]
            found += [Side(f"{prefix}{arm}", facts, arm, tuple(facts.of(arm))) for arm in arms]
    unique = {side.name: side for side in found}
    if len(unique) < 2:
        hint = "detui compare EXPERIMENT with several arms, or two arms or runs: detui compare EXPERIMENT/ARM OTHER/ARM"
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
        Side(f"{path.name}/{arm}" if several else arm, of[0].facts, arm,
             tuple({run.name: run for side in of for run in side.runs}.values()))
        for (path, arm), of in arms.items()
    ]  # fmt: skip


def compare_sides(chosen: Sequence[Side], *, replicates: int = REPLICATES) -> Report:
    """Compare every side with the first on its data. `replicates`: of the bootstrap over images; 0 leaves it out."""
    groups = _groups(chosen)
    rows = [row for reference, other in _pairs(groups) for row in _rows(reference, other)]
    images = [over_images(*both, replicates) for both in _pairs(groups)] if replicates else []
    return Report(
        groups=groups,
        sides=tuple(chosen),
        rows=tuple(rows),
        images=tuple(images),
        findings=(
            *compare_facts(*_facts(chosen, groups), _seconds(chosen), _environments(chosen)),
            *_unknown(chosen),
        ),
        claims=tuple(_claims(chosen)),
        crossed=_crossed(groups),
    )


def _groups(chosen: Sequence[Side]) -> tuple[tuple[Side, ...], ...]:
    """The sides by the images that they were judged on."""
    groups: list[list[Side]] = []
    for side in chosen:
        group = next((one for one in groups if same_images(one[0].data, side.data)), None)
        if group is None:
            groups.append([side])
        else:
            group.append(side)
    return tuple(map(tuple, groups))


def _pairs(groups: Sequence[Sequence[Side]]) -> Iterator[tuple[Side, Side]]:
    return ((group[0], other) for group in groups for other in group[1:])


def _rows(reference: Side, other: Side) -> list[Row]:
    rows = []
    unfinished = [*reference.unfinished, *other.unfinished]
    for metric in (*METRICS, *headline(reference)):
        a, b = reference.points(metric), other.points(metric)
        if a and b:
            one, two = (summarise(list(points.values())) for points in (a, b))
            rows.append(Row(metric=metric, side=other.name, reference=reference.name, summary=two, against=one,
                            seeds=compare(a, b, unfinished)))  # fmt: skip
    return rows


def headline(side: Side) -> list[str]:
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


def _facts(chosen: Sequence[Side], groups: Sequence[Sequence[Side]]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Every field and fact of each side, and what may differ."""
    varies = _declared([[str(name) for name in side.facts.info.get("varies") or ()] for side in chosen])
    found = {side.name: {**facts_of(side.facts, side.arm, side.runs), **_beside(side)} for side in chosen}
    return found, [*varies, *(["data"] if _asks_of_data(chosen, groups) else [])]


def _environments(chosen: Sequence[Side]) -> dict[str, str]:
    """Side → the environment that it trained in, of experiments whose arms have several."""
    told = {side.name: (side.facts.info.get("environments") or {}).get(side.arm) or {} for side in chosen}
    return {side: str(one["name"]) for side, one in told.items() if one.get("name")}


def _declared(varies: Sequence[Sequence[str]]) -> list[str]:
    """What the recipes of all sides declare: a field that one of them does not speak of is not what it asks."""
    names = {name for one in varies for name in one}
    return sorted(name for name in names if all(any(covers(other, name) for other in one) for one in varies))


def _asks_of_data(chosen: Sequence[Side], groups: Sequence[Sequence[Side]]) -> bool:
    """Whether data is the question of the sides' recipe, and no confounder.

    Its arms are crossed with data, in one experiment or in several; what is subtracted in these was trained on the
    same data, too, and not only judged on the same images.
    """
    if len({side.facts.path for side in chosen}) == 1:
        return bool(chosen[0].facts.data_sets)
    one_recipe = len({side.facts.info["recipe"] for side in chosen}) == 1
    alike = all(len({side.data.get("fingerprint") for side in group}) == 1 for group in groups)
    return one_recipe and len(groups) > 1 and alike


def _beside(side: Side) -> dict[str, str]:
    """What experiments differ in and the arms of one rarely do: the data by name, and stages."""
    entry = next(one for one in side.facts.info["arms"] if one["name"] == side.arm)
    stages = entry.get("stages") or ()
    told = (f"{one['name']} ({one['epochs']}{_on(one, entry)})" for one in stages)
    facts = {"data.name": side.data.get("name"), "stages": " → ".join(told)}
    return {name: str(value) for name, value in facts.items() if value}


def _on(stage: Mapping[str, object], arm: Mapping[str, object]) -> str:
    """The data of a stage that trains on another than its arm is judged on."""
    return f", {stage['data_set']}" if stage.get("data_set") not in (None, arm.get("data_set")) else ""


def _claims(chosen: Sequence[Side]) -> Iterator[Claimed]:
    for side in chosen:
        yield from claimed(side.facts, side.arm, side.name, side.runs)
    for facts in {side.facts.path: side.facts for side in chosen}.values():
        own = [side for side in chosen if side.facts.path == facts.path]
        prefix = own[0].name.rpartition("/")[0]
        yield from unplaced(facts, [facts.base_of(side.arm) for side in own], f"{prefix}/" if prefix else "")


def _crossed(groups: Sequence[Sequence[Side]], metric: str = METRICS[0]) -> Crossed | None:
    """Arms of the first side's recipe by data; None where there are not two of each, or one arm stands there twice."""
    recipe, cells = groups[0][0].facts.info["recipe"], []
    for names, group in zip(_data_names(groups), groups, strict=True):
        for side in (side for side in group if side.facts.info["recipe"] == recipe):
            base = side.facts.base_of(side.arm)
            cells.append(Cell(name=side.name, arm=base, data_set=names, points=side.points(metric),
                              unfinished=tuple(side.unfinished)))  # fmt: skip
    places = {(cell.arm, cell.data_set) for cell in cells}
    if len(places) < len(cells) or min(len({arm for arm, _ in places}), len({data for _, data in places})) < 2:
        return None
    found = cross(cells)
    return found if any(one.cells for one in found.interactions) else None


def _data_names(groups: Sequence[Sequence[Side]]) -> list[str]:
    """What the data of each group goes by; with the beginning of its fingerprint where two go by one name."""
    names = [group[0].data_name for group in groups]
    marks = [str(group[0].data.get("fingerprint") or "")[:12] for group in groups]
    return [name if names.count(name) == 1 else f"{name} {mark}" for name, mark in zip(names, marks, strict=True)]


def _seconds(chosen: Sequence[Side]) -> dict[str, float]:
    found = {}
    for side in chosen:
        costs = [run.cost.get("cost/training_seconds") for run in side.finished]
        spent = [cost.value for cost in costs if cost is not None]
        if spent:
            found[side.name] = sum(spent) / len(spent)
    return found
