"""When things happened in a run, by its own files: starts, epochs, ends. Wall times are UTC, as the files have them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from detui.engine.record.facts import ExperimentFacts, RunFacts, Source
from detui.engine.run.directory import RunDir
from detui.engine.run.files import number
from detui.engine.run.lines import read_lines

Moment = tuple[str, Source]
"""A wall time in words, and where it stands."""


def started(run: RunFacts) -> Moment | None:
    """When a run's first process was started."""
    return (written(_parsed(run.began)), _events(run)) if run.began else None


def ended(facts: ExperimentFacts, run: RunFacts) -> Moment | None:
    """When a run that has ended did so."""
    lines = [line for line in read_lines(_directory(facts, run).events_path) if line.get("state") == run.state]
    at = lines[-1].get("at") if lines and run.terminal else None
    return (written(_parsed(str(at))), _events(run)) if at else None


def reached(facts: ExperimentFacts, run: RunFacts, epoch: int) -> Moment | None:
    """When the epoch's end was reached: the attempt's start, and the time that its epoch line gives."""
    attempt = run.trained.get(epoch)
    if attempt is None:
        return None
    directory = _directory(facts, run)
    start = next((line.get("at") for line in read_lines(directory.events_path)
                  if line.get("state") == "starting" and line.get("attempt") == attempt), None)  # fmt: skip
    lines = read_lines(directory.attempt(attempt).metrics_path)
    after = next((number(line.get("t")) for line in lines
                  if line.get("kind") == "epoch" and line.get("epoch") == epoch), None)  # fmt: skip
    if start is None or after is None:
        return None
    file = f"runs/{run.name}/attempts/{attempt}/metrics.jsonl"
    return written(_parsed(str(start)) + timedelta(seconds=after)), Source(run.name, attempt, epoch, file)


def expected(facts: ExperimentFacts, run: RunFacts) -> Moment | None:
    """When a run would end by the estimate that its plan was frozen with."""
    estimate: dict[str, Any] = (facts.info.get("estimates") or {}).get(run.arm) or {}
    seconds = number(estimate.get("seconds"))
    if seconds is None or run.began is None:
        return None
    source = Source(run.name, 1, None, "experiment.json")
    return written(_parsed(run.began) + timedelta(seconds=seconds)), source


def written(at: datetime) -> str:
    """A moment as a record has it: "2026-11-20 13:45 UTC"."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _parsed(text: str) -> datetime:
    return datetime.fromisoformat(text[:19])


def _directory(facts: ExperimentFacts, run: RunFacts) -> RunDir:
    return RunDir(facts.path / "runs" / run.name)


def _events(run: RunFacts) -> Source:
    return Source(run.name, max((one.number for one in run.attempts), default=1), None, f"runs/{run.name}/events.jsonl")
