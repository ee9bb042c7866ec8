"""What Slurm says, read: its queue, why it ends a job, which devices it gave; and what is said where it disagrees."""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from toy_runs import toy_spec

from detui.engine.errors import MissingError, RunError
from detui.engine.executor.slurm.look import join
from detui.engine.executor.slurm.queue import Listed, Reading, parsed
from detui.engine.executor.slurm.requests import hasten
from detui.engine.process.control import status
from detui.engine.process.granted import devices_of
from detui.engine.process.in_job import deaf
from detui.engine.process.requests import KILL, STOP
from detui.engine.process.slurm import Job, call, cause, environment, facts
from detui.engine.run.directory import RunDir
from detui.engine.run.files import write_json
from detui.engine.run.pulled import Pulled
from detui.engine.run.slurm import SlurmJob, slurm_job
from detui.engine.run.spec import DeviceRequest, RunSpec

NOW = datetime(2026, 11, 27, 12, 0, 0)
SHOWN = (
    "JobId=5 JobName=detui-x UserId=me(1) JobState={state} Reason=None Requeue=1 Restarts={restarts} RunTime=00:00:33 "
    "TimeLimit={limit} StartTime=2026-11-27T11:00:00 EndTime={ends} PreemptEligibleTime=2026-11-27T11:00:00 "
    "PreemptTime={preempted} StdOut=/logs/a JobState=X/1.log"
)


def said(*, state: str = "RUNNING", restarts: int = 0, limit: str = "01:02:00", ends: str = "2026-11-27T12:02:00",
         preempted: str = "None") -> dict[str, str]:  # fmt: skip
    return facts(SHOWN.format(state=state, restarts=restarts, limit=limit, ends=ends, preempted=preempted))


@pytest.mark.parametrize(
    ("signal", "what", "text", "again", "by_slurm"),
    [
        ("SIGUSR1", said(), "time limit: 2 min were left", True, False),
        ("SIGUSR1", said(limit="UNLIMITED", ends="Unknown"), "requeued: SIGUSR1", True, False),
        ("SIGUSR1", said(preempted="2026-11-27T12:00:00"), "preempted: Slurm wants the node", True, False),
        ("SIGTERM", said(state="COMPLETING", restarts=1, ends="Unknown"), "preempted: Slurm requeued", True, True),
        ("SIGTERM", said(state="PENDING", restarts=1), "preempted: Slurm requeued", True, True),
        ("SIGTERM", said(state="COMPLETING"), "time limit: Slurm's job 5 was at its end", True, False),
        ("SIGTERM", said(state="COMPLETING", ends="2026-11-27T11:30:00"), "cancelled outside detui", False, False),
        ("SIGTERM", said(state="COMPLETING", limit="UNLIMITED"), "cancelled outside detui", False, False),
        ("SIGTERM", said(), "stopped outside detui: SIGTERM", False, False),
        ("SIGUSR1", said(limit="2-00:00:00", ends="2026-11-29T11:00:00"), "time limit: 2820 min", True, False),
    ],
)
def test_why_slurm_sent_a_signal(signal: str, what: dict[str, str], text: str, again: bool, by_slurm: bool) -> None:
    found = cause("5", 0, signal, what, NOW)
    assert (text in found.text, found.again, found.by_slurm, found.known) == (True, again, by_slurm, True), found


def test_a_second_start_is_no_requeue_of_itself() -> None:
    assert "cancelled" in cause("5", 1, "SIGTERM", said(state="COMPLETING", restarts=1, limit="UNLIMITED"), NOW).text


def test_the_job_is_that_of_the_environment() -> None:
    assert Job.of({}) is None
    assert Job.of({"SLURM_JOB_ID": "12"}) == Job("12", None, 0)
    array = {"SLURM_JOB_ID": "15", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3", "SLURM_RESTART_COUNT": "2"}
    found = Job.of(array)
    assert found == Job("12", 3, 2) and found.name == "12_3"


def test_what_one_job_left_is_not_handed_to_the_next() -> None:
    left = {"SLURM_CONF": "/c", "SLURM_JOB_ID": "1", "SQUEUE_FORMAT": "%i", "CUDA_VISIBLE_DEVICES": "0", "HOME": "/h",
            "SLURM_ARRAY_TASK_ID": "2", "SBATCH_PARTITION": "mine"}  # fmt: skip
    kept = environment(left)
    assert set(kept) == {"SLURM_CONF", "HOME", "SBATCH_PARTITION", "LC_ALL", "SLURM_TIME_FORMAT"}


def test_a_program_that_is_not_here_or_refuses_says_so() -> None:
    with pytest.raises(MissingError, match="no program no-such-program"):
        call("no-such-program")
    with pytest.raises(RunError, match="No such file"):
        call("ls", "/no/such/folder")
    with pytest.raises(RunError, match="does not answer"):
        call("sleep", "5", seconds=0.1)


def test_a_program_that_asks_for_a_requeue_outlives_the_signal_for_it() -> None:
    """Slurm signals the whole job before the program that asked has its answer."""
    term = "import os, signal; os.kill(os.getpid(), signal.SIGTERM); print('lives')"
    before = signal.getsignal(signal.SIGTERM)
    with deaf():
        assert call(sys.executable, "-c", term).strip() == "lives"
    assert signal.getsignal(signal.SIGTERM) == before
    with pytest.raises(RunError, match="ended with -15"):
        call(sys.executable, "-c", term)


def test_a_line_of_the_queue() -> None:
    line = "12_3|PENDING||2026-11-27T12:00:00|NONE|gpu|Priority|a|name|with|bars"
    found = parsed(line)
    assert found == Listed("12_3", "PENDING", "", NOW, None, "gpu", "Priority", "a|name|with|bars")
    assert parsed("CLUSTER: c1") is None
    early = parsed("12|PENDING||N/A|N/A|gpu|None|name")
    assert early is not None and early.reason == "", "Slurm's scheduler has not looked at it yet"


@pytest.mark.parametrize(
    ("environ", "count", "devices"),
    [
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, 2, ["0", "1"]),
        ({"CUDA_VISIBLE_DEVICES": "3,2"}, 1, ["3"]),
        ({"CUDA_VISIBLE_DEVICES": "1"}, 2, None),
        ({"CUDA_VISIBLE_DEVICES": "NoDevFiles"}, 1, None),
        ({}, 1, None),
    ],
)
def test_where_the_driver_is_silent_slurms_indices_are_the_names(
    environ: dict[str, str], count: int, devices: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detui.engine.devices.nvml.list_gpus", list)
    request = DeviceRequest(kind="cuda", count=count, candidates=(), granted=True)
    if devices is not None:
        assert devices_of(request, "5", environ) == devices
        return
    with pytest.raises(RunError, match=f"needs {count} GPUs") as raised:
        devices_of(request, "5", environ)
    assert "--slurm gpus=N" in str(raised.value.hint)


def test_a_spec_and_a_job_come_back_from_their_files(tmp_path: Path) -> None:
    device = DeviceRequest(kind="cuda", count=2, candidates=(), granted=True)
    run = RunDir.create(tmp_path / "runs" / "baseline-s0", toy_spec(device=device))
    assert RunSpec.from_json(run.spec().to_json()).device == device and slurm_job(run) is None
    SlurmJob(job="12", task=3, cluster="c1", options={"partition": "gpu"}).write(run)
    found = slurm_job(run)
    assert found is not None and (found.name, found.cluster, found.options) == ("12_3", "c1", {"partition": "gpu"})
    assert found.submitted
    Pulled(host="lab", ssh="me@server", path="/logs/x", at=found.submitted).write(run.experiment_dir)
    assert slurm_job(run) is None, "this host's Slurm has other jobs"


def listed(state: str, *, reason: str = "", ends: datetime | None = None) -> Reading:
    return Reading({"7": Listed("7", state, "n1" if state != "PENDING" else "", None, ends, "gpu", reason, "detui-x")})


GONE, SILENT = Reading(), Reading(problem="no answer.")
SOON = datetime.now() + timedelta(hours=1)
"""A job that has just ended, by a clock that is a little ahead."""
LONG_AGO = datetime.now() - timedelta(hours=1)


def test_a_reading_from_before_the_start_is_no_loss(tmp_path: Path) -> None:
    """Slurm was asked, then the job began: what its run says is the newer word."""
    run = RunDir.create(tmp_path / "runs" / "baseline-s0", toy_spec())
    SlurmJob(job="7").write(run)
    run.append_event("running", attempt=1)
    run.attempt(1).path.mkdir()
    other = {"host": "elsewhere", "boot": "b", "namespace": "pid:[1]", "pid": 1, "start": 1}
    write_json(run.path / "owner.json", other)
    queue = listed("PENDING")
    here = datetime.now(timezone.utc)
    found = join(run, status(run), SlurmJob(job="7"), replace(queue, taken=here - timedelta(seconds=2)))
    assert found.state.word == "running" and found.notes[0] == "Slurm job 7 running"
    found = join(run, status(run), SlurmJob(job="7"), replace(queue, taken=here + timedelta(seconds=30)))
    assert found.state.word == "queued" and "attempt 1 was lost" in found.notes[-1]
    assert found.notes[0] == "Slurm job 7 pending", "and nothing of a reason that Slurm has not found yet"


@pytest.mark.parametrize(
    ("events", "queue", "asked", "word", "text"),
    [
        (["queued"], listed("PENDING", reason="Priority"), None, "queued", "Slurm job 7 pending: Priority"),
        (["queued"], listed("CONFIGURING"), None, "queued", "Slurm job 7 pending"),
        (["queued"], listed("RUNNING"), None, "queued", "Slurm job 7 running on n1"),
        (["queued"], SILENT, None, "queued", "Slurm does not answer: no answer."),
        (["queued"], GONE, None, "lost", "Slurm job 7 is gone, and the run wrote no end"),
        (["queued"], GONE, STOP, "stopped", "on request"),
        (["queued"], listed("CANCELLED", ends=LONG_AGO), None, "stopped", "cancelled outside detui, before"),
        (["queued", "running"], listed("PENDING", reason="BeginTime"), None, "queued", "attempt 1 was lost"),
        (["queued", "running"], SILENT, None, "running", "Slurm does not answer"),
        (["queued", "running"], listed("CANCELLED", ends=LONG_AGO), None, "killed", "cancelled outside detui"),
        (["queued", "running"], listed("CANCELLED", ends=LONG_AGO), KILL, "killed", "on request"),
        (["queued", "running"], listed("NODE_FAIL", ends=LONG_AGO), None, "lost", "ended as NODE_FAIL"),
        (["queued", "running"], listed("OUT_OF_MEMORY", ends=LONG_AGO), None, "oom", "--slurm mem="),
        (["queued", "running"], listed("COMPLETED", ends=SOON), None, "running", "waiting for its last word"),
        (["queued", "running", "finished"], GONE, None, "finished", ""),
    ],
)
def test_directory_and_queue_are_joined(
    tmp_path: Path, events: list[str], queue: Reading, asked: str | None, word: str, text: str
) -> None:
    """The run's supervisor was on another host, as it is in a cluster."""
    run = RunDir.create(tmp_path / "runs" / "baseline-s0", toy_spec())
    job = SlurmJob(job="7")
    job.write(run)
    for state in events[1:]:
        run.append_event(state, attempt=1)
    if len(events) > 1:
        run.attempt(1).path.mkdir()
        other = {"host": "elsewhere", "boot": "b", "namespace": "pid:[1]", "pid": 1, "start": 1}
        write_json(run.path / "owner.json", other)
    if asked:
        write_json(run.control_dir / asked, {})
    found = join(run, status(run), job, queue)
    assert found.state.word == word
    assert text in "; ".join([*found.notes, str(getattr(found.state, "reason", ""))])


def test_a_requeued_job_is_asked_for_unless_it_starts_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asked again would put it off: several may look at the run."""
    asked, program = tmp_path / "asked", tmp_path / "scontrol"
    program.write_text(f'#!/bin/sh\necho "$@" >> "{asked}"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    job = SlurmJob(job="1234567")
    hasten(job, datetime.now() + timedelta(seconds=3))
    assert not asked.exists()
    for starts in (datetime.now() + timedelta(seconds=121), None):  # the second try comes too early after the first
        hasten(job, starts)
    assert asked.read_text() == "update JobId=1234567 StartTime=now+3\n"
