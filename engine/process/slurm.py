"""Slurm as a supervisor sees it that runs in one of its jobs: which job, what a signal meant, and being requeued."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from detui.engine.errors import DetuiError, MissingError, RunError

SECONDS = 10.0
"""How long a program of Slurm may take, before it counts as one that does not answer."""

_KEPT = frozenset({"SLURM_CONF", "SLURM_CLUSTERS"})
"""What says which Slurm is meant; the rest of SLURM_… is what a job left in the environment of those within it."""

_EARLY = timedelta(seconds=90)
"""So much before its notice a job may be told that its time is over: Slurm looks once a minute."""


def call(*words: str, seconds: float = SECONDS) -> str:
    """Run a program of Slurm and return what it printed.

    Raises MissingError where it is not installed, RunError with its own words where it refuses or does not answer.
    """
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment(os.environ),
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        hint = "run detui on a machine of the cluster that has Slurm's programs, or run without --executor slurm"
        raise MissingError(f"There is no program {words[0]} here.", hint=hint) from None
    except OSError as error:
        raise RunError(f"{words[0]} cannot be started: {error.strerror}.") from error
    except subprocess.TimeoutExpired:
        raise RunError(f"Slurm does not answer: {words[0]} took more than {seconds:g} s.", hint="try again") from None
    if done.returncode != 0:
        said = " ".join(done.stderr.decode(errors="replace").split())
        raise RunError(f"{said or f'{words[0]} ended with {done.returncode}'}.".replace("..", "."))
    return done.stdout.decode(errors="replace")


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a program of Slurm.

    Without what a job, or a person's own wishes for squeue's output, would change in what it prints or submits; and
    without CUDA_VISIBLE_DEVICES, which is for Slurm to set.
    """
    prefixes = ("SLURM_", "SLURMD_", "SQUEUE_", "SINFO_", "SCANCEL_")
    kept = {n: v for n, v in environ.items() if n in _KEPT or not n.startswith(prefixes)}
    kept.pop("CUDA_VISIBLE_DEVICES", None)
    return kept | {"LC_ALL": "C.UTF-8", "SLURM_TIME_FORMAT": "standard"}


@dataclass(frozen=True, slots=True)
class Cause:
    """Why Slurm told a job to end."""

    text: str
    again: bool
    """Whether the run is to go on in the same job, started anew."""
    by_slurm: bool = False
    """Whether Slurm has requeued it already."""
    known: bool = True
    """Whether Slurm could be asked."""


@dataclass(frozen=True, slots=True)
class Job:
    """The job that this process runs in."""

    number: str
    """That of the whole array, where it is one."""
    task: int | None
    restarts: int
    """How often it was started before."""

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Job | None:
        """Return the job whose environment this is; None outside of any."""
        number = environ.get("SLURM_ARRAY_JOB_ID") or environ.get("SLURM_JOB_ID")
        task = environ.get("SLURM_ARRAY_TASK_ID", "")
        if not number:
            return None
        restarts = environ.get("SLURM_RESTART_COUNT", "0")
        return cls(number, int(task) if task.isdecimal() else None, int(restarts) if restarts.isdecimal() else 0)

    @property
    def name(self) -> str:
        """What Slurm's programs call it: "12", or "12_3" in an array."""
        return self.number if self.task is None else f"{self.number}_{self.task}"

    def requeue(self) -> None:
        """Have it started again, which ends this process soon. Raises RunError, or MissingError, with Slurm's words."""
        call("scontrol", "requeue", self.name)

    def cause(self, signal: str) -> Cause:
        """Say why Slurm sent a signal, "SIGTERM" or "SIGUSR1", by what it says of the job now."""
        try:
            said = call("scontrol", "--oneliner", "show", "job", self.name)
        except DetuiError as error:
            text = f"Slurm sent {signal} to its job {self.name}, and cannot be asked why: {error.message}"
            return Cause(text, again=False, known=False)
        return cause(self.name, self.restarts, signal, facts(said), datetime.now())


_FACTS = ("JobState", "Restarts", "TimeLimit", "StartTime", "EndTime", "PreemptTime")


def facts(text: str) -> dict[str, str]:
    """Return what `scontrol show job` says that tells why a job ends. Names with blanks stand behind these."""
    found = {name: re.search(rf"(?:^|\s){name}=(\S+)", text) for name in _FACTS}
    return {name: match[1] for name, match in found.items() if match}


def cause(name: str, restarts: int, signal: str, said: Mapping[str, str], now: datetime) -> Cause:
    """Say why a job that was started `restarts` times before was sent a signal. Pure; `Job.cause` asks Slurm.

    A job that completes does not say of what. One that was requeued has one more restart than its environment; one that
    was cancelled, or is over its limit, has an end.
    """
    state, started, ends = said.get("JobState", ""), moment(said.get("StartTime")), moment(said.get("EndTime"))
    if state == "PENDING" or int(said.get("Restarts", "0")) > restarts:
        return Cause(f"preempted: Slurm requeued its job {name}", again=True, by_slurm=True)
    limit = _span(said.get("TimeLimit", ""))
    if state != "RUNNING":
        if limit is not None and started is not None and ends is not None and ends - started >= limit:
            return Cause(f"time limit: Slurm's job {name} was at its end", again=True)
        return Cause(f"cancelled outside detui: Slurm ended its job {name}", again=False)
    if moment(said.get("PreemptTime")) is not None:
        return Cause(f"preempted: Slurm wants the node of its job {name}", again=True)
    if signal != "SIGUSR1":
        return Cause(f"stopped outside detui: {signal} was sent to Slurm's job {name}", again=False)
    if limit is not None and ends is not None and ends - now <= max(limit, _EARLY):
        return Cause(f"time limit: {_minutes(ends - now)} were left of Slurm's job {name}", again=True)
    return Cause(f"requeued: SIGUSR1 was sent to Slurm's job {name}", again=True)


def moment(text: str | None) -> datetime | None:
    """Read a time as Slurm's programs print it, or a run's files (UTC); None for none: Unknown, None, N/A."""
    try:
        return datetime.fromisoformat((text or "").replace("Z", "+00:00"))
    except ValueError:
        return None


def _span(text: str) -> timedelta | None:
    """Read "[days-]hours:minutes:seconds"; None for UNLIMITED."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):(\d+)", text)
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _minutes(left: timedelta) -> str:
    seconds = max(0, round(left.total_seconds()))
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
