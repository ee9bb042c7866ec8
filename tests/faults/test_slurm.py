"""Runs in a real Slurm: two nodes, two GPUs each, on this machine; every run under a path that has everything."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import psutil
import pytest
from slurm_cluster import Cluster
from slurm_runs import (
    ENDLESS,
    becomes,
    events,
    gpus,
    notes,
    resumed_at,
    runs_again,
    state_in_slurm,
    trains,
    word,
)
from toy_runs import MakeRun, until

from detui.engine.errors import RunError
from detui.engine.executor.runs import busy, go_on, look, request
from detui.engine.executor.slurm.queue import reading
from detui.engine.executor.slurm.submit import submit
from detui.engine.executor.start import start
from detui.engine.process.identity import Identity
from detui.engine.process.lease import held, holder
from detui.engine.process.slurm import call
from detui.engine.run.lines import read_lines
from detui.engine.run.slurm import slurm_job
from detui.engine.slurm_options import SlurmOptions

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.mark.fault("a run of Slurm's, and detui goes away", "Slurm runs it to its end; whoever looks sees that")
def test_a_run_goes_to_its_end_in_a_job(make_job: MakeRun) -> None:
    run = make_job({"steps": 20, "seconds": 0.02})
    (job,) = submit([run], SlurmOptions(partition="gpu", time="00:10:00"))
    assert job.task is None and slurm_job(run) == job
    kept = json.loads((run.path / "slurm.json").read_text())
    assert kept["schema"] == 1 and kept["partition"] == "gpu" and kept["options"]["time"] == "00:10:00"
    assert becomes(run, "finished") == "finished"
    until(lambda: not busy(run))
    assert [state for state, _ in events(run)] == ["queued", "starting", "running", "finished"]
    assert read_lines(run.events_path)[2]["device"] == [f"cpu:slurm-{job.name}"]
    assert state_in_slurm(run) in ("COMPLETED", "COMPLETING"), "the supervisor's exit code is the job's"
    script = (run.experiment_dir / "slurm" / "1.sh").read_text()
    assert shlex.split(script)[1:5] == ["exec", *shlex.split(script)[2:5]] and len(shlex.split(script)) == 6


def test_an_array_of_arms_and_seeds_gets_a_gpu_each_and_no_two_the_same(make_job: MakeRun) -> None:
    config = {"steps": 20, "seconds": 0.01, "at": "wait", "when": 2}
    runs = [make_job(config, gpus(1), arm=arm, seed=seed) for seed in (0, 1) for arm in ("one", "two")]
    jobs = submit(runs, SlurmOptions(cpus=1))
    assert len({job.job for job in jobs}) == 1 and [job.task for job in jobs] == [0, 1, 2, 3]
    for run in runs:
        assert becomes(run, "running") == "running", notes(run)
    for run, job in zip(runs, jobs, strict=True):
        until(lambda run=run, job=job: f"Slurm job {job.name} running on n" in notes(run))  # once Slurm is asked again
    listed = reading(fresh=True).jobs
    places = []
    for run, job in zip(runs, jobs, strict=True):
        worker = Identity.from_json(run.attempt(1).worker())
        assert worker is not None
        environ = Path(f"/proc/{worker.pid}/environ").read_bytes().split(b"\0")
        (visible,) = [one.decode() for one in environ if one.startswith(b"CUDA_VISIBLE_DEVICES=")]
        (device,) = next(line["device"] for line in read_lines(run.events_path) if line["state"] == "running")
        assert visible == f"CUDA_VISIBLE_DEVICES={device}"
        places.append((listed[job.name].node, device))
    assert sorted(places) == [("n0", "0"), ("n0", "1"), ("n1", "0"), ("n1", "1")]
    for run in runs:
        (run.path / "go").touch()
    assert [becomes(run, "finished") for run in runs] == ["finished"] * 4


def test_a_run_of_two_gpus_gets_two_and_one_that_gets_too_few_says_so(make_job: MakeRun) -> None:
    both, short = make_job({"steps": 10}, gpus(2), arm="both"), make_job({"steps": 10}, gpus(2), arm="short")
    submit([both], SlurmOptions())
    submit([short], SlurmOptions(gpus="1"))
    assert becomes(both, "finished") == "finished"
    assert next(line["device"] for line in read_lines(both.events_path) if "device" in line) == ["0", "1"]
    assert becomes(short, "failed") == "failed"
    assert "needs 2 GPUs, and Slurm's job" in events(short)[-1][1] and "has 1" in events(short)[-1][1]


@pytest.mark.fault("a stop of a run that waits in Slurm's queue", "it leaves the queue and never starts")
@pytest.mark.parametrize(("what", "then"), [("stop", "stopped"), ("kill", "killed")])
def test_what_waits_in_slurms_queue_is_taken_out_of_it(make_job: MakeRun, what: str, then: str) -> None:
    run = make_job()
    submit([run], SlurmOptions(options=("--begin=now+1hour",)))
    assert word(run) == "queued" and "pending: BeginTime" in notes(run)
    request(run, what)
    assert word(run) == then and state_in_slurm(run) == "CANCELLED"
    assert "on request, before it started" in events(run)[-1][1]
    with pytest.raises(RunError, match="ended already"):
        request(run, what)


@pytest.mark.fault("a stop of a run in a job of Slurm's", "saved, then ended; resumes in another job")
def test_a_running_one_stops_with_a_checkpoint_and_goes_on_in_another_job(make_job: MakeRun) -> None:
    run = make_job(ENDLESS)
    (first,) = submit([run], SlurmOptions(time="10"))
    trains(run)
    request(run, "stop")
    assert becomes(run, "stopped") == "stopped"
    until(lambda: state_in_slurm(run) not in ("RUNNING", "COMPLETING"))
    go_on(run, slurm=SlurmOptions(partition="gpu"))
    second = slurm_job(run)
    assert second is not None and second.job != first.job
    assert (second.options["time"], second.options["partition"]) == ("10", "gpu"), "what is said now is over the rest"
    assert becomes(run, "running") == "running"
    assert resumed_at(run) > 0
    request(run, "kill")
    assert becomes(run, "killed") == "killed"
    assert events(run)[-1] == ("killed", "killed on request")


@pytest.mark.fault("`scancel` by somebody else", "saved if there is time; ended, and the reason says that")
def test_a_job_that_is_cancelled_outside_detui_says_so(make_job: MakeRun, slurm: Cluster) -> None:
    run, waits = make_job(ENDLESS), make_job(arm="waits")
    (job,) = submit([run], SlurmOptions())
    (other,) = submit([waits], SlurmOptions(options=("--begin=now+1hour",)))
    trains(run)
    slurm.run("scancel", job.name, other.name)
    assert becomes(run, "stopped", "killed") == "stopped"
    assert "cancelled outside detui" in events(run)[-1][1]
    assert becomes(waits, "stopped") == "stopped"
    assert "cancelled outside detui, before it started" in str(look(waits).state.reason)
    go_on(waits, slurm=SlurmOptions(options=("--begin=now",)))
    assert becomes(waits, "finished") == "finished"


@pytest.mark.fault("preemption by another job", "saved; queued again, resumes at the same step when there is room")
def test_a_preempted_run_saves_and_resumes_where_it_was(make_job: MakeRun, slurm: Cluster) -> None:
    run = make_job(ENDLESS)
    submit([run], SlurmOptions(partition="preemptible", options=("--nodelist=n0", "--exclusive")))
    trains(run)
    other = slurm.run(
        "sbatch", "--parsable", "--partition=gpu", "--nodelist=n0", "--exclusive", "--output=/dev/null",
        "--chdir=/", "--wrap=sleep 600",
    ).stdout.strip()  # fmt: skip
    assert becomes(run, "queued") == "queued"
    until(lambda: "preempted" in notes(run))
    until(lambda: "pending" in notes(run))
    assert events(run)[-1][0] == "queued"
    assert "preempted" in (run.attempt(1).exit() or {})["reason"]
    slurm.run("scancel", other)
    runs_again(run)
    assert resumed_at(run) > 0
    request(run, "stop")
    assert becomes(run, "stopped") == "stopped"


@pytest.mark.fault("the time limit of a job", "saved before it; the job is requeued, and goes on in a new attempt")
def test_before_its_time_limit_it_saves_and_is_requeued(make_job: MakeRun) -> None:
    runs = [make_job(ENDLESS, seed=seed) for seed in (0, 1)]
    jobs = submit(runs, SlurmOptions(time="1", notice=45))
    for run in runs:
        until(lambda run=run: "time limit" in notes(run), 90)
    for run in runs:
        runs_again(run)
        assert resumed_at(run) > 0
        assert ("stopping", "Slurm sent SIGUSR1") in events(run)
        assert [slurm_job(run)] == [job for job in jobs if job.task == run.spec().seed], "it is the same job"
        request(run, "kill")
    assert [becomes(run, "killed") for run in runs] == ["killed", "killed"]


def test_a_job_that_is_requeued_and_wanted_back_at_once_starts_again(make_job: MakeRun) -> None:
    """A node refuses a job in the second in which it ended the former start of it: then nobody may ask for one."""
    runs = [make_job(ENDLESS, seed=seed) for seed in range(4)]
    jobs = submit(runs, SlurmOptions(cpus=1))
    for run in runs:
        trains(run)
    for run, job in zip(runs, jobs, strict=True):
        call("scontrol", "requeue", job.name)
        until(lambda run=run: reading(fresh=True).taken and word(run) == "queued" and "pending" in notes(run), 60)
        runs_again(run)
        assert resumed_at(run) > 0


@pytest.mark.fault(
    "a node of the cluster fails", "the attempt is lost; Slurm starts the run elsewhere, from its checkpoint"
)
def test_a_node_that_fails_costs_the_steps_since_the_last_checkpoint(make_job: MakeRun, slurm: Cluster) -> None:
    run = make_job(ENDLESS)
    (job,) = submit([run], SlurmOptions())
    trains(run)
    node = reading(fresh=True).jobs[job.name].node
    supervisor, worker = Identity.from_json(run.owner()), Identity.from_json(run.attempt(1).worker())
    assert supervisor is not None and worker is not None
    slurm.end(node, kill=True)
    for victim in (psutil.Process(supervisor.pid).parent(), psutil.Process(supervisor.pid), psutil.Process(worker.pid)):
        assert victim is not None
        victim.kill()
    slurm.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    try:
        runs_again(run)
    finally:
        slurm.start_node(node)
        slurm.run("scontrol", "update", f"NodeName={node}", "State=RESUME", check=False)
    assert (run.attempt(1).exit() or {})["state"] == "lost"
    assert any(state == "queued" and "attempt 1 was lost" in reason for state, reason in events(run))
    assert resumed_at(run) > 0
    request(run, "stop")
    assert becomes(run, "stopped") == "stopped"


def test_where_the_driver_answers_devices_are_uuids_and_leased(
    make_job: MakeRun, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both nodes are this machine, so that the GPU of the second is one that somebody has."""
    uuid = "GPU-aaaaaaaa-0000-0000-0000-000000000000"
    answers = tmp_path / "answers"
    answers.write_text(f"count=1\ngpu0.uuid={uuid}\ngpu0.name=GPU\ngpu0.total={24 << 30}\ngpu0.used=0\ngpu0.util=0\n")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(library))
    monkeypatch.setenv("NVML_STAND_IN", str(answers))
    first, second = make_job(ENDLESS, gpus(1), arm="first"), make_job(ENDLESS, gpus(1), arm="second")
    for run, node in ((first, "n0"), (second, "n1")):
        submit([run], SlurmOptions(options=(f"--nodelist={node}",)))
        assert becomes(run, "running") == "running", "Slurm's word counts"
        assert next(line["device"] for line in read_lines(run.events_path) if "device" in line) == [uuid]
        assert held(uuid) and holder(uuid) == str(first.path.resolve())
    assert f"{uuid} is leased to {first.path.resolve()}" in second.supervisor_log.read_text()
    for run in (first, second):
        request(run, "stop")
        assert becomes(run, "stopped") == "stopped"
    assert not held(uuid)


def test_what_slurm_refuses_fails_with_its_words_and_is_not_left_queued(make_job: MakeRun) -> None:
    runs = [make_job(seed=seed) for seed in (0, 1)]
    with pytest.raises(RunError, match=r"(?i)refused the job: .*invalid partition"):
        start(runs, lambda: False, SlurmOptions(partition="nope"))
    for run in runs:
        assert word(run) == "failed" and "invalid partition" in events(run)[-1][1]


@pytest.mark.fault("Slurm's controller is down", "runs train on; their state is that of their directories, and says so")
def test_without_the_controller_runs_train_on_and_can_be_stopped(make_job: MakeRun, slurm: Cluster) -> None:
    run = make_job(ENDLESS)
    submit([run], SlurmOptions())
    trains(run)
    slurm.end("slurmctld")
    try:
        reading(fresh=True)
        assert word(run) == "running" and "Slurm does not answer" in notes(run)
        request(run, "stop")
        until(lambda: events(run)[-1][0] == "stopped", 60)
    finally:
        slurm.start_controller()
    until(lambda: reading(fresh=True).problem is None)
    assert word(run) == "stopped"
