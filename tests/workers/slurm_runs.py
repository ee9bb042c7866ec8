"""Runs that a real Slurm of the tests' own is given, and what is asked about them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slurm_cluster import Cluster
from toy_runs import MakeRun, end, steps_made, toy_spec, until

from detui.engine.executor.runs import look
from detui.engine.executor.slurm.queue import reading
from detui.engine.process.slurm import call
from detui.engine.run.directory import RunDir
from detui.engine.run.lines import read_lines
from detui.engine.run.slurm import slurm_job
from detui.engine.run.spec import DeviceRequest

CPU = DeviceRequest(kind="cpu", count=1, candidates=(), granted=True)
ENDLESS = {"steps": 100_000, "seconds": 0.02}


@pytest.fixture
def make_job(slurm: Cluster, leases: Path, hostile_path: Path) -> Iterator[MakeRun]:
    """Makes runs of the toy worker that Slurm may be given; at the end nothing of them may be left running."""
    made: list[RunDir] = []

    def make(config: dict[str, Any] | None = None, device: DeviceRequest = CPU, **changes: Any) -> RunDir:
        spec = toy_spec(config=config, device=device, **changes)
        made.append(RunDir.create(hostile_path / "logs" / "toy" / "runs" / spec.name, spec))
        return made[-1]

    yield make
    slurm.clear()
    for run in made:
        end(run)


def gpus(count: int) -> DeviceRequest:
    return DeviceRequest(kind="cuda", count=count, candidates=(), granted=True)


def word(run: RunDir) -> str:
    return look(run).state.word


def becomes(run: RunDir, *words: str, seconds: float = 30.0) -> str:
    return str(until(lambda: (found := word(run)) in words and found, seconds))


def trains(run: RunDir, steps: int = 6) -> None:
    """Wait until it has made so many steps, and so saved a checkpoint."""
    until(lambda: steps_made(run) >= steps, 60)


def notes(run: RunDir) -> str:
    return "; ".join(look(run).notes)


def events(run: RunDir) -> list[tuple[str, str]]:
    return [(line["state"], str(line.get("reason") or "")) for line in read_lines(run.events_path)]


def runs_again(run: RunDir, seconds: float = 60.0) -> None:
    """Wait until the run trains in a further attempt; where it does not, say what Slurm makes of its job."""
    deadline = time.monotonic() + seconds
    while not (word(run) == "running" and len(run.attempts()) >= 2):
        if time.monotonic() > deadline:
            job = slurm_job(run)
            assert job is not None
            folder = Path(os.environ["SLURM_CONF"]).parent
            logs = [run.supervisor_log, folder / "slurmctld.log", *sorted(folder.glob("slurmd-*.log"))]
            told = [call("scontrol", "show", "job", job.name), *(log.read_text()[-3000:] for log in logs)]
            raise AssertionError("\n".join([f"{word(run)}; {notes(run)}", *told]))
        time.sleep(0.1)


def resumed_at(run: RunDir) -> int:
    """The step that the newest attempt began at, which is that of a checkpoint of the one before."""
    attempts = run.attempts()
    info = attempts[-1].info()
    assert info is not None and info["resume"] is not None, "it began again"
    saved = [line["step"] for line in read_lines(attempts[-2].metrics_path) if line["kind"] == "checkpoint"]
    assert info["resume"]["step"] == saved[-1]
    return int(saved[-1])


def state_in_slurm(run: RunDir) -> str:
    job = slurm_job(run)
    assert job is not None
    listed = reading(fresh=True).jobs.get(job.name)
    return listed.state if listed else ""
