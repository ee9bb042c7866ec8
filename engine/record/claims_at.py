"""What was measured where somebody claims a number: of the chosen checkpoint, or at the claim's epoch or iteration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detui.engine.analysis.choice import finite
from detui.engine.record.by_name import is_named, why_absent
from detui.engine.record.facts import (
    BUILT,
    COST,
    LOSS_TERMS,
    TOTAL_LOSS,
    ExperimentFacts,
    Measured,
    RunFacts,
    Source,
)
from detui.engine.record.text import code, plain
from detui.engine.record.words import Words


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside a claim."""

    points: Mapping[int, Measured]
    """Seed → the number, of finished runs; empty without one."""
    reason: str
    """Markdown: why there is none, in words or as a placeholder; "" where there are points."""


def beside(facts: ExperimentFacts, claim: Mapping[str, Any], words: Words) -> Beside:
    """The claim's metric of the claim's arm.

    Without an epoch that of the chosen checkpoint, or the last that a framework told of its own; with one that of this
    very epoch: the mean of a loss over it, the evaluation at its end. With an iteration that of this very optimizer
    step.
    """
    metric, arm, epoch = str(claim["metric"]), claim.get("arm"), claim.get("epoch")
    iteration = claim.get("iteration")
    if arm is None or arm not in facts.arms:
        return Beside({}, words("no number", words(_unknown(facts, arm))))
    if claim.get("data_set") not in (None, facts.data_set_of(arm)):
        return Beside({}, words("no number", words("claim of other data", code(claim["data_set"]))))
    if epoch is None:
        points: Mapping[int, Measured] = facts.points(arm, metric, iteration)
        if points:
            return Beside(points, "")
        told = {run.seed: value for run in facts.finished(arm) if (value := last_told(run, metric))}
        if told:
            return Beside(told, "")
        named = is_named(facts, claim)
        return Beside({}, why_absent(facts, arm, claim, words) if named else _absent(facts, arm, metric, words))
    found = {run.seed: value for run in facts.finished(arm) if (value := at_epoch(run, metric, int(epoch)))}
    return Beside(found, "" if found else _absent_at(facts, arm, metric, int(epoch), words))


def at_epoch(run: RunFacts, metric: str, epoch: int) -> Measured | None:
    """A loss or a framework's number of one epoch, or our evaluation at its end; None where there is none.

    A total that the training does not report is the sum of the terms.
    """
    if metric == TOTAL_LOSS and run.sums_loss:
        terms = [at_epoch(run, name, epoch) for name in run.losses if name.startswith(LOSS_TERMS)]
        known = [term for term in terms if term is not None]
        return Measured(math.fsum(one.value for one in known), known[0].source) if known else None
    series = run.losses.get(metric) or run.framework.get(metric)
    if series is not None:
        value = finite(dict(zip(*series, strict=True)).get(epoch))
        attempt = run.trained.get(epoch, 1)
        source = Source(run.name, attempt, epoch, f"runs/{run.name}/attempts/{attempt}/metrics.jsonl")
        return None if value is None else Measured(value, source)
    line = next((line for line in run.evaluations if line["epoch"] == epoch), None)
    value = finite(line["values"].get(metric)) if line else None
    return Measured(value, run.source(line)) if line and value is not None else None


def last_told(run: RunFacts, metric: str) -> Measured | None:
    """A framework's own number of the last epoch of which it told one; no loss."""
    epochs = run.framework[metric][0] if metric in run.framework else ()
    return at_epoch(run, metric, epochs[-1]) if epochs else None


def _unknown(facts: ExperimentFacts, arm: str | None) -> str:
    """Why a claim is about no arm of the experiment."""
    if arm is None:
        return "claim of nobody"
    return "claim of no data" if arm in map(facts.base_of, facts.arms) else "claim of another"


def _absent(facts: ExperimentFacts, arm: str, metric: str, words: Words) -> str:
    if not metric.startswith("val/") and metric not in COST:
        return words("no number", words("claim without epoch"))  # a loss is of an epoch, not of a checkpoint
    if metric == "cost/gpu_memory" and (facts.info.get("device") or {}).get("kind") == "cpu":
        return words("no number", words("claim without gpu"))
    begun = [run for run in facts.of(arm) if run.begin]
    if metric in BUILT and begun and not any(metric in run.cost for run in begun):
        return words("not available")  # it is said when a training begins, or never
    told = [run.chosen["values"] for run in facts.finished(arm) if run.chosen]
    if told and metric.count("/") == 2 and metric.rpartition("/")[2] not in facts.classes_of(arm):
        return words("no number", words("claim of no class"))
    return words("not available") if told and all(metric in values for values in told) else words("missing")


def _absent_at(facts: ExperimentFacts, arm: str, metric: str, epoch: int, words: Words) -> str:
    """Only what a run can still measure is a placeholder."""
    length = length_of(facts, arm)
    if length is not None and epoch > length:
        return words("no number", words("claim beyond", length))
    runs = facts.finished(arm)
    if not runs:
        return words("missing")
    last = max(run.epoch for run in runs)
    if epoch > last:
        return words("no number", words("claim after end", last))
    if any(metric in run.statistics for run in runs):
        return words("no number", words("by iteration"))
    if not metric.startswith("val/"):
        known = sorted({name for run in runs for name in (*run.losses, *run.framework)})
        why = words("claim no value") if metric in known else words("claim no such", ", ".join(map(plain, known)))
        return words("no number", why)
    if any(run.waiting for run in runs):
        return words("missing")
    evaluated = sorted({int(line["epoch"]) for run in runs for line in run.evaluations})
    if epoch in evaluated:
        return words("not available")
    return words("no number", words("claim not evaluated", ", ".join(map(str, evaluated)) or words("none")))


def length_of(facts: ExperimentFacts, arm: str) -> int | None:
    """The epochs that the arm's runs have, as they say or as they are planned."""
    told = [run.total_epochs for run in facts.of(arm) if run.total_epochs]
    planned = next((one.get("epochs") for one in facts.info["arms"] if one["name"] == arm), None)
    return max(told) if told else planned or facts.info.get("epochs")
