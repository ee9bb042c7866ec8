"""Runs on several nodes of a real Slurm, both of which are this machine: ranks that train together."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from secure_shell import script
from slurm_cluster import Cluster
from slurm_runs import becomes, events, gpus, notes, resumed_at, runs_again, trains, word
from toy_runs import MakeRun, steps_made, until

from detui.engine.errors import UsageError
from detui.engine.executor.runs import busy, go_on, request
from detui.engine.executor.slurm.submit import submit
from detui.engine.process.descendants import tagged
from detui.engine.process.identity import Identity
from detui.engine.process.lease import held, holder
from detui.engine.run.directory import RunDir
from detui.engine.run.history import load_history
from detui.engine.run.lines import read_lines
from detui.engine.run.spec import DeviceRequest
from detui.engine.slurm_options import SlurmOptions

pytest.importorskip("torch", reason="needs PyTorch for torchrun")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NODES = SlurmOptions(nodes=2)
TWO: dict[str, Any] = {
    "trainer": "ranked:RankedTrainer",
    "ranks": 2,
    "nodes": 2,
    "device": DeviceRequest(kind="cpu", count=1, candidates=(), granted=True),
    "milestones": (),
    "grace": 15.0,
}
ENDLESS = {"steps": 100_000, "seconds": 0.05}


def ranks(run: RunDir, count: int = 2) -> list[int]:
    """The pids of the ranks of the newest attempt, which train."""
    trains(run)
    return [int((run.attempts()[-1].path / f"rank-{rank}").read_text()) for rank in range(count)]


def over(run: RunDir, attempt: int = 1) -> None:
    """Nothing of it is left anywhere, nothing had to be killed on the first node, and every step was told once."""
    until(lambda: not busy(run), 60)
    assert tagged(run.path.resolve()) == []
    assert (run.attempt(attempt).exit() or {})["stragglers_killed"] == 0
    history = load_history(run)
    steps = history.series("train/loss_toy")[0]
    assert history.damaged == 0 and steps == list(range(1, len(steps) + 1))


def done(run: RunDir) -> dict[str, Any]:
    return run.attempt(1).done() or {}


def saved(run: RunDir) -> int:
    """The step of the last checkpoint of the first attempt."""
    told = [line["step"] for line in read_lines(run.attempt(1).metrics_path) if line["kind"] == "checkpoint"]
    return int(told[-1])


def step_processes(slurm: Cluster) -> list[str]:
    """The steps of jobs that Slurm knows, but for their scripts."""
    listed = slurm.run("squeue", "--steps", "-h", "-o", "%i").stdout.split()
    return [step for step in listed if step.rpartition(".")[2].isdecimal()]


@pytest.mark.fault("a run on two nodes of Slurm's", "one job; all ranks train together, the first one reports")
def test_two_nodes_of_two_ranks_each(make_job: MakeRun, slurm: Cluster) -> None:
    device = DeviceRequest(kind="cpu", count=2, candidates=(), granted=True)
    run = make_job({"steps": 40, "seconds": 0.05}, **{**TWO, "ranks": 4, "device": device})
    (job,) = submit([run], NODES)
    ranks(run, 4)
    assert slurm.run("squeue", "-h", "-j", job.job, "-o", "%D %C").stdout.split() == ["2", "4"]
    assert len(step_processes(slurm)) == 1
    assert becomes(run, "finished", "failed", "crashed", seconds=90) == "finished", events(run)
    over(run)
    assert len({int((run.attempt(1).path / f"rank-{rank}").read_text()) for rank in range(4)}) == 4
    running = next(line for line in read_lines(run.events_path) if line["state"] == "running")
    assert running["device"] == [f"cpu:slurm-{job.name}"]
    assert running["nodes"] == {"n1": [f"cpu:slurm-{job.name}-node1"]}


def environ_of(pid: int) -> dict[str, str]:
    words = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(word.partition("=")[::2] for word in words)


def test_each_node_has_the_gpus_that_slurm_gave_there(make_job: MakeRun) -> None:
    """They are none, so that the ranks do not meet; each waits by itself."""
    config = {"steps": 20, "seconds": 0.01, "at": "wait", "when": 2}
    several = {"ranks": 4, "nodes": 2, "milestones": (), "grace": 10.0}
    run = make_job(config, gpus(2), **several)
    (job,) = submit([run], SlurmOptions(nodes=2, cpus=2))
    assert becomes(run, "running", "failed", seconds=60) == "running", events(run)
    running = read_lines(run.events_path)[-1]
    assert (running["device"], running["nodes"]) == (["0", "1"], {"n1": ["0", "1"]})
    until(lambda: len(found_ranks(run)) == 4, 60)
    places = sorted((one["SLURMD_NODENAME"], one["RANK"], one["LOCAL_RANK"]) for one in found_ranks(run))
    assert places == [("n0", "0", "0"), ("n0", "1", "1"), ("n1", "2", "0"), ("n1", "3", "1")]
    assert {one["CUDA_VISIBLE_DEVICES"] for one in found_ranks(run)} == {"0,1"}
    assert {one["WORLD_SIZE"] for one in found_ranks(run)} == {"4"}
    names = [f"slurm-{job.name}-0", f"slurm-{job.name}-node1-1"]
    assert [holder(name) for name in names] == [str(run.path.resolve())] * 2, "leased on both nodes"
    request(run, "kill")
    assert becomes(run, "killed") == "killed"
    until(lambda: not busy(run), 60)
    assert tagged(run.path.resolve()) == [] and not any(map(held, names))


def found_ranks(run: RunDir) -> list[dict[str, str]]:
    """The environments of the processes that were started as ranks."""
    with suppress(OSError):  # one began or ended just now
        return [one for one in map(environ_of, tagged(run.path.resolve())) if "LOCAL_RANK" in one]
    return []


@pytest.mark.fault("a stop of a run on two nodes", "all ranks stop after the same step; resumes in another job")
def test_a_stop_saves_once_and_is_resumed(make_job: MakeRun) -> None:
    run = make_job(ENDLESS, **TWO)
    submit([run], NODES)
    ranks(run)
    request(run, "stop")
    assert becomes(run, "stopped", "failed", "killed", seconds=60) == "stopped", events(run)
    stopped_at = done(run)["step"]
    assert saved(run) == stopped_at == steps_made(run)
    over(run)
    with pytest.raises(UsageError, match="has 2 nodes, and goes on with as many: 1 were asked for"):
        go_on(run, slurm=SlurmOptions(nodes=1))
    assert word(run) == "stopped"
    go_on(run)
    runs_again(run)
    assert resumed_at(run) == stopped_at
    request(run, "kill")
    assert becomes(run, "killed") == "killed"
    until(lambda: not busy(run), 60)
    assert tagged(run.path.resolve()) == []


def test_a_stop_that_comes_before_the_ranks_have_met(make_job: MakeRun) -> None:
    run = make_job(ENDLESS, **{**TWO, "grace": 60.0})
    submit([run], NODES)
    assert becomes(run, "starting", seconds=60) == "starting"
    time.sleep(1.0)  # the interpreter is there, PyTorch is not
    request(run, "stop")
    assert becomes(run, "stopped", "failed", "killed", seconds=90) == "stopped", events(run)
    assert steps_made(run) == 0 and done(run)["outcome"] == "stopped"
    over(run)


@pytest.mark.fault("preemption of a run on two nodes", "saved; queued again, resumes when there is room")
def test_a_preempted_run_resumes(make_job: MakeRun, slurm: Cluster) -> None:
    run = make_job(ENDLESS, **TWO)
    submit([run], SlurmOptions(nodes=2, partition="preemptible", options=("--exclusive",)))
    ranks(run)
    words = ("--parsable", "--partition=gpu", "--nodes=2", "--exclusive", "--output=/dev/null", "--chdir=/")
    other = slurm.run("sbatch", *words, "--wrap=sleep 600").stdout.strip()
    assert becomes(run, "queued", "stopped", seconds=60) == "queued", events(run)
    assert "preempted" in events(run)[-1][1]
    until(lambda: "pending" in notes(run), 60)
    slurm.run("scancel", other)
    runs_again(run, 120)
    assert resumed_at(run) > 0
    request(run, "kill")
    assert becomes(run, "killed") == "killed"


@pytest.mark.fault("kill -9 of a rank on another node", "`crashed`, naming the rank and its node; no rank is left")
@pytest.mark.parametrize("rank", [0, 1])
def test_kill_9_of_a_rank(make_job: MakeRun, rank: int) -> None:
    run = make_job(ENDLESS, **TWO)
    submit([run], NODES)
    os.kill(ranks(run)[rank], signal.SIGKILL)
    assert becomes(run, "crashed", "failed", seconds=60) == "crashed", events(run)
    assert events(run)[-1][1] == f"rank {rank} of 2 on n{rank} was ended by SIGKILL, and the others with it"
    over(run)


def test_an_error_of_a_rank_on_another_node_is_the_reason(make_job: MakeRun) -> None:
    run = make_job({"seconds": 0.02, "at": "data-error", "when": 7, "rank": 1}, **TWO)
    submit([run], NODES)
    assert becomes(run, "failed", "crashed", seconds=90) == "failed"
    assert events(run)[-1][1].startswith("rank 1: labels/7.txt:3: A label lies outside"), events(run)
    over(run)


@pytest.mark.fault("`scancel` of a run on two nodes", "saved if there is time, by all ranks after the same step")
def test_scancel_reaches_all_ranks_and_they_save(make_job: MakeRun, slurm: Cluster) -> None:
    """srun would have those of the other node killed at once: it is not there any more."""
    run = make_job(ENDLESS, **TWO)
    (job,) = submit([run], NODES)
    ranks(run)
    slurm.run("scancel", job.name)
    assert becomes(run, "stopped", "killed", "failed") in ("stopped", "killed"), "the cluster kills after 5 s"
    until(lambda: not busy(run), 60)
    assert done(run)["outcome"] == "stopped" and done(run)["step"] == saved(run) == steps_made(run)
    until(lambda: tagged(run.path.resolve()) == [])


@pytest.mark.fault("the time limit of a job of two nodes", "saved before it; goes on in a new attempt on two nodes")
def test_a_notice_before_the_time_limit_is_heeded_by_all(make_job: MakeRun, slurm: Cluster) -> None:
    run = make_job(ENDLESS, **TWO)
    (job,) = submit([run], NODES)
    ranks(run)
    slurm.run("scancel", "--batch", "--signal=USR1", job.name)
    until(lambda: "requeued" in notes(run) or word(run) == "queued", 60)
    runs_again(run, 120)
    assert resumed_at(run) > 0
    request(run, "kill")
    assert becomes(run, "killed") == "killed"


@pytest.mark.fault("another node of a run fails", "queued again, from the last checkpoint")
def test_a_node_that_is_lost(make_job: MakeRun, slurm: Cluster) -> None:
    run = make_job(ENDLESS, **TWO)
    submit([run], NODES)
    _, second = ranks(run)
    _, keeper, step = psutil.Process(second).parents()[:3]
    assert "detui.engine.process.in_node" in keeper.cmdline() and "slurmstepd" in step.name()
    slurm.end("n1", kill=True)
    for victim in (step, keeper):  # the ranks and what started them end with it
        victim.kill()
    until(lambda: not psutil.pid_exists(second))
    slurm.run("scontrol", "update", "NodeName=n1", "State=DOWN", "Reason=test")
    try:
        until(lambda: word(run) == "queued", 60)
    finally:
        slurm.start_node("n1")
        slurm.run("scontrol", "update", "NodeName=n1", "State=RESUME", check=False)
    runs_again(run, 120)
    assert resumed_at(run) > 0
    request(run, "kill")
    assert becomes(run, "killed") == "killed"


@pytest.mark.fault("kill -9 of the supervisor of a run on two nodes", "no rank is left on any node")
def test_kill_9_of_the_supervisor(make_job: MakeRun) -> None:
    run = make_job(ENDLESS, **TWO)
    submit([run], NODES)
    pids = ranks(run)
    owner = Identity.from_json(run.owner())
    assert owner is not None and owner.signal(signal.SIGKILL)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 30)
    until(lambda: not tagged(run.path.resolve()), 30)
    assert becomes(run, "lost", seconds=60) == "lost"


def test_what_keeps_srun_from_starting_the_others_is_the_reason(
    make_job: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    script(tmp_path / "bin" / "srun", 'echo "srun: error: Unable to create step: nothing is free" >&2; exit 1\n')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    run = make_job(ENDLESS, **TWO)
    submit([run], NODES)
    assert becomes(run, "failed", seconds=60) == "failed"
    assert "the other nodes could not be started: srun: error: Unable to create step" in events(run)[-1][1]
    until(lambda: not busy(run), 60)
    assert tagged(run.path.resolve()) == []
