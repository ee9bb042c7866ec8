"""What a run does that was given to Slurm: its directory and Slurm's queue together, honest where they disagree.

An end is believed from the directory alone, where the run wrote it. Slurm knows of a run that waits, and of a job that
is gone without a word.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from detui.engine.executor.slurm.queue import APART, OVER, WAITING, Listed, Reading
from detui.engine.process.control import RunStatus
from detui.engine.process.identity import Identity
from detui.engine.process.requests import KILL, STOP
from detui.engine.process.slurm import moment
from detui.engine.run.directory import RunDir
from detui.engine.run.slurm import SlurmJob
from detui.engine.run.state import Killed, Lost, Oom, Queued, State, Stopped, read_state

SETTLING = timedelta(seconds=30)
"""After a job's end its last words may take so long to be seen through a network's file system."""


def join(run: RunDir, found: RunStatus, job: SlurmJob, queue: Reading) -> RunStatus:
    """Return what a run does. `found`: what its directory and the processes of this host say."""
    said = read_state(run)
    if said.terminal:
        return RunStatus(said, found.notes, found.attempt)
    if queue.problem is not None:
        return RunStatus(said, (f"Slurm does not answer: {queue.problem}",), found.attempt)
    listed = queue.jobs.get(job.name)
    view = _View(run, said, found, job)
    if listed is None or listed.state in OVER:
        return view.gone(listed)
    return view.waits(listed, queue.taken) if listed.state in WAITING else view.goes(listed)


@dataclass(frozen=True, slots=True)
class _View:
    """One run, as its directory shows it, and its job."""

    run: RunDir
    said: State
    """The last event."""
    found: RunStatus
    job: SlurmJob

    def waits(self, listed: Listed, taken: datetime | None) -> RunStatus:
        """The job is in Slurm's queue, or was when that was read, at `taken`."""
        notes = [f"Slurm job {self.job.name} pending" + (f": {listed.reason}" if listed.reason else "")]
        if isinstance(self.said, Queued):
            return self._status(self.said, notes, self.said.reason)
        heard = moment(self.said.at)
        if taken is not None and heard is not None and heard > taken - APART and not self.found.state.terminal:
            return self._status(self.found.state, [f"Slurm job {self.job.name} running", *self.found.notes])
        lost = f"attempt {getattr(self.said, 'attempt', 1)} was lost, Slurm starts the job again"
        return self._status(Queued(self.said.at), notes, lost)

    def goes(self, listed: Listed) -> RunStatus:
        """The job has a node, or is just leaving it."""
        where = f"Slurm job {self.job.name} {listed.state.lower()}" + (f" on {listed.node}" if listed.node else "")
        if isinstance(self.said, Queued):
            return self._status(self.said, [where], self.said.reason)
        if self.found.state.terminal:  # its supervisor is gone from this host, which Slurm has not seen yet
            return self._status(self.said, [where, "its supervisor is gone"])
        owner = Identity.from_json(self.run.owner())
        own = [note for note in self.found.notes if owner is None or note != f"on {owner.host}"]
        return self._status(self.found.state, [where, *own])

    def gone(self, listed: Listed | None) -> RunStatus:
        """The job is over, and the run's directory has no end."""
        if "orphaned" in self.found.notes or self._has_supervisor():
            return self.found
        recent = listed is not None and listed.ends is not None and datetime.now() - listed.ends < SETTLING
        if recent and not self._is_here():
            return self._status(self.said, [f"Slurm job {self.job.name} has ended: waiting for its last word"])
        return self._status(self._end(listed), [])

    def _end(self, listed: Listed | None) -> State:
        at, attempt = self.said.at, getattr(self.said, "attempt", None)
        text = f"Slurm job {self.job.name} " + ("is gone" if listed is None else f"ended as {listed.state}")
        for name, kind in ((KILL, Killed), (STOP, Stopped)):
            if (self.run.control_dir / name).exists() and (kind is Killed or attempt is None):
                return kind(at, attempt, f"on request; {text}")
        if listed is not None and listed.state == "CANCELLED":
            if attempt is None:
                return Stopped(at, None, f"cancelled outside detui, before it started: {text}")
            return Killed(at, attempt, f"cancelled outside detui: {text}")
        if listed is not None and listed.state == "OUT_OF_MEMORY" and attempt is not None:
            return Oom(at, attempt, f"{text}: --slurm mem=… asks for more")
        return Lost(at, attempt, f"{text}, and the run wrote no end")

    def _is_here(self) -> bool:
        owner = Identity.from_json(self.run.owner())
        return owner is not None and owner.here

    def _has_supervisor(self) -> bool:
        owner = Identity.from_json(self.run.owner())
        return owner is not None and owner.alive()

    def _status(self, state: State, notes: list[str], *more: str | None) -> RunStatus:
        return replace(self.found, state=state, notes=(*notes, *filter(None, more)))
