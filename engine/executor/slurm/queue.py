"""Slurm's queue: one reading of all jobs of this user, kept for some seconds, because many runs are looked at."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from detui.engine.errors import DetuiError
from detui.engine.process.slurm import call, moment
from detui.engine.run.slurm import SlurmJob

FRESH = 2.0
"""Seconds for which a reading counts as present; it takes the controller some milliseconds."""

SILENT = 15.0
"""The same where Slurm did not answer: every question may take as long as its patience."""

APART = timedelta(seconds=5)
"""So much the clocks of two machines of a cluster may differ."""

_FORMAT = "%i|%T|%N|%S|%e|%P|%r|%j"

WAITING = frozenset(
    {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
)
"""States of jobs that have not started, or not again."""

OVER = frozenset(
    {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED"}
    | {"TIMEOUT"}
)
"""States of jobs that will do nothing more."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One job, or task of an array, as squeue shows it."""

    name: str
    """ "12", or "12_3"."""
    state: str
    """ "PENDING", "RUNNING", "COMPLETING"…"""
    node: str
    """Where it is, or was; "" where it has not started."""
    starts: datetime | None
    """When it started, or probably will."""
    ends: datetime | None
    """When it ended, or its time limit ends it."""
    partition: str
    reason: str
    """Why it waits: "Priority", "Resources"; "" where it does not, or Slurm's scheduler has not looked at it yet."""
    title: str
    """The name that it was given."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What squeue said at one moment."""

    jobs: Mapping[str, Listed] = field(default_factory=dict)
    """By name, those that ended some minutes ago included."""
    problem: str | None = None
    """Why there is no answer; then `jobs` is empty, which says nothing."""
    taken: datetime | None = None
    """When that was; None where there is no answer."""


_kept: dict[str | None, tuple[float, Reading]] = {}
_lock = threading.Lock()


def reading(cluster: str | None = None, *, fresh: bool = False) -> Reading:
    """Return what Slurm says of this user's jobs, at most some seconds old; `fresh`: of now."""
    with _lock:
        at, known = _kept.get(cluster, (0.0, None))
        age = time.monotonic() - at
        if known is not None and not fresh and age < (SILENT if known.problem else FRESH):
            return known
        found = _read(cluster)
        _kept[cluster] = (time.monotonic(), found)
        return found


def reading_with(job: SlurmJob) -> Reading:
    """Return a reading that is not older than a job, which a kept one could not have."""
    found = reading(job.cluster)
    submitted = moment(job.submitted)
    if submitted is None or found.taken is None or job.name in found.jobs or found.taken >= submitted + APART:
        return found
    return reading(job.cluster, fresh=True)


def on(cluster: str | None) -> list[str]:
    """Return the words that choose a cluster of several."""
    return [f"--clusters={cluster}"] if cluster else []


def _read(cluster: str | None) -> Reading:
    what = ["--noheader", "--array", "--states=all", f"--user={os.getuid()}", f"--format={_FORMAT}"]
    try:
        text = call("squeue", *on(cluster), *what)
    except DetuiError as error:
        return Reading(problem=error.message)
    found = {job.name: job for line in text.splitlines() if (job := parsed(line)) is not None}
    return Reading(found, taken=datetime.now(timezone.utc))


def parsed(line: str) -> Listed | None:
    """Read a line of squeue; None for one that is none, such as the name of a cluster."""
    parts = line.split("|", 7)
    if len(parts) < 8:
        return None
    name, state, node, starts, ends, partition, reason, title = parts
    reason = "" if reason == "None" else reason
    return Listed(name, state, node, moment(starts), moment(ends), partition, reason, title)
