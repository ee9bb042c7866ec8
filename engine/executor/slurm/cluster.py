"""The cluster at a glance: its partitions, and this user's jobs that are not over. For those who look, in a thread."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace

from detui.engine.errors import DetuiError
from detui.engine.executor.slurm.queue import OVER, Listed, reading
from detui.engine.process.slurm import call

_FORMAT = "%R|%a|%F|%l|%G"


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition, as sinfo shows it."""

    name: str
    up: bool
    """Whether it takes jobs."""
    idle: int
    """Nodes of it that nobody uses."""
    nodes: int
    limit: str
    """The longest that a job may take: "1-00:00:00", "infinite"."""
    gres: tuple[str, ...]
    """What its nodes have: "gpu:a100:8"."""


@dataclass(frozen=True, slots=True)
class ClusterView:
    """One look at a cluster."""

    partitions: tuple[Partition, ...] = ()
    jobs: tuple[Listed, ...] = ()
    """Those of this user that wait or run, as squeue orders them."""
    problem: str | None = None
    """Why there is no answer."""


def partitions() -> list[Partition]:
    """Return the partitions that this user may see. Raises MissingError without Slurm, RunError without its answer."""
    return merged(call("sinfo", "--noheader", f"--format={_FORMAT}").splitlines())


def merged(lines: Iterable[str]) -> list[Partition]:
    """Read lines of sinfo, of which a partition whose nodes differ has several."""
    found: dict[str, Partition] = {}
    for line in lines:
        parts = line.split("|")
        counts = parts[2].split("/") if len(parts) == 5 else []
        if len(counts) != 4 or not all(count.isdecimal() for count in counts):
            continue
        name, up, _, limit, gres = parts
        own = () if gres in ("", "(null)") else (gres.partition("(")[0],)
        one = Partition(name, up == "up", int(counts[1]), int(counts[3]), limit, own)
        known = found.get(name)
        if known is not None:
            kinds = tuple(dict.fromkeys((*known.gres, *own)))
            one = replace(known, idle=known.idle + one.idle, nodes=known.nodes + one.nodes, gres=kinds)
        found[name] = one
    return list(found.values())


def view() -> ClusterView | None:
    """Return how the cluster is; None where this machine belongs to none."""
    if shutil.which("sinfo", path=os.environ.get("PATH")) is None:
        return None
    try:
        there = partitions()
    except DetuiError as error:
        return ClusterView(problem=error.message)
    queue = reading()
    jobs = tuple(job for job in queue.jobs.values() if job.state not in OVER)
    return ClusterView(tuple(there), jobs, queue.problem)
