"""The cluster of this machine for the screen of devices: asked in a thread of its own, because it may be slow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from rich.segment import Segment
from rich.style import Style

from detui.engine.executor.slurm.cluster import ClusterView, Partition, view
from detui.engine.executor.slurm.queue import WAITING, Listed
from detui.tui.language import tr
from detui.tui.output import cut, pad, width
from detui.tui.widgets.line_list import Line
from detui.tui.widgets.palette import DIM, state_style

EVERY = 5.0
"""Seconds between two looks."""
SELDOM = 60.0
"""The same where Slurm's programs are here and have never answered: this machine belongs to no cluster."""

_BOLD = Style(bold=True)


class ClusterReader:
    """Keeps the last look at the cluster, and takes another in the background where that is old."""

    def __init__(self, look: Callable[[], ClusterView | None] = view) -> None:
        self._look = look
        self._view: ClusterView | None = None
        self._due = 0.0
        self._working = threading.Lock()

    def latest(self) -> ClusterView | None:
        """Return the cluster as it was some seconds ago, at once; None where there is none, or none has answered."""
        if time.monotonic() >= self._due and self._working.acquire(blocking=False):
            threading.Thread(target=self._read, name="cluster", daemon=True).start()
        return self._view

    def _read(self) -> None:
        try:
            found = self._look()
            answered = found is not None and found.problem is None
            if answered or self._view is not None:
                self._view = found
            self._due = time.monotonic() + (EVERY if self._view is not None else SELDOM)
        finally:
            self._working.release()


def cluster_lines(cluster: ClusterView | None, columns: int) -> Iterator[Line]:
    """Yield the partitions and this user's jobs; nothing where there is no cluster."""
    if cluster is None:
        return
    waiting = sum(job.state in WAITING for job in cluster.jobs)
    text = tr("{running} running, {waiting} waiting", running=len(cluster.jobs) - waiting, waiting=waiting)
    yield Line(())
    yield Line((Segment("Slurm", _BOLD), Segment(f"  {text}", DIM)))
    if cluster.problem is not None:
        yield Line((Segment(f"    ! {cut(cluster.problem, columns - 6)}", state_style("broken")),))
    for partition in cluster.partitions:
        yield Line((Segment(f"    {cut(_partition(partition), columns - 4)}", DIM),))
    for job in cluster.jobs:
        yield _job(job, columns)


def _partition(one: Partition) -> str:
    parts = [] if one.up else [tr("takes no jobs")]
    parts += [tr("{idle} of {nodes} nodes idle", idle=one.idle, nodes=one.nodes), *one.gres]
    parts += [tr("limit {time}", time=one.limit)] if one.limit != "infinite" else []
    return f"{pad(one.name, 12)} {', '.join(parts)}"


def _job(one: Listed, columns: int) -> Line:
    waits = one.state in WAITING
    where = one.reason if waits else one.node
    right = f"  {one.state.lower()}  {where}  {one.partition} "
    room = max(0, columns - 4 - 12 - width(right))
    style = state_style("queued" if waits else "running")
    head = Segment(f"    {pad(one.name, 10)}  {pad(cut(one.title, room), min(room, 40))}")
    return Line((head, Segment(cut(right, max(0, columns - 16)), style)))
