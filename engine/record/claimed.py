"""Numbers that documents state of an arm, each beside what was measured of it. A claim never enters a comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detui.engine.analysis import SeedSummary, summarise
from detui.engine.record.claims_at import at_epoch, last_told
from detui.engine.record.facts import ExperimentFacts, Measured, RunFacts


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimed:
    """One claim of a recipe."""

    side: str
    """Whom it is about, as the comparison calls it."""
    metric: str
    epoch: int | None
    """After which epoch; None for a final number, or where the document does not say."""
    iteration: int | None
    """At which optimizer step, in place of an epoch."""
    value: float
    """As the document states it."""
    source: str
    note: str | None
    measured: SeedSummary | None
    """Of the finished runs at that epoch or iteration, or chosen checkpoints; None where there is no such number."""


def claimed(facts: ExperimentFacts, arm: str, side: str, runs: Sequence[RunFacts]) -> Iterator[Claimed]:
    """Every claim about an arm. `side`: how the comparison calls it; `runs`: those of it that are compared."""
    for claim in facts.info.get("claims") or ():
        if claim.get("arm") == arm and claim.get("data_set") in (None, facts.data_set_of(arm)):
            yield _beside(claim, side, [run for run in runs if run.finished])


def unplaced(facts: ExperimentFacts, bases: Sequence[str], prefix: str) -> Iterator[Claimed]:
    """Claims about arms that run on several data sets, which do not say which one: nothing stands beside those.

    `bases`: the arms' names in the recipe; `prefix`: before their names in the comparison.
    """
    for claim in facts.info.get("claims") or ():
        if claim.get("arm") in bases and claim.get("arm") not in facts.arms:
            yield _beside(claim, f"{prefix}{claim['arm']}", ())


def _english(note: object) -> str | None:
    """A note that is one text, or one for each language."""
    found = note.get("en") if isinstance(note, Mapping) else note
    return str(found) if found else None


def _beside(claim: Mapping[str, Any], side: str, runs: Sequence[RunFacts]) -> Claimed:
    metric, epoch, iteration = str(claim["metric"]), claim.get("epoch"), claim.get("iteration")

    def of(run: RunFacts) -> Measured | None:
        if iteration is not None:
            return run.at_iteration(metric, int(iteration))
        if epoch is None:
            return run.value(metric) or last_told(run, metric)
        return at_epoch(run, metric, int(epoch))

    points = [one.value for one in map(of, runs) if one is not None]
    return Claimed(
        side=side,
        metric=metric,
        epoch=epoch,
        iteration=iteration,
        value=float(claim["value"]),
        source=str(claim.get("source") or ""),
        note=_english(claim.get("note")),
        measured=summarise(points) if points else None,
    )
