"""The queue, with real supervisors: order, fairness, hold, front, dead and frozen tickets, two users."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from second_user import SECOND, as_second_user, open_way_to
from toy_runs import MakeRun, end, until

from detui.engine.errors import RunError
from detui.engine.process.control import request, status, wait
from detui.engine.process.descendants import TAG
from detui.engine.process.launch import launch
from detui.engine.process.lease import Lease, lease_directory, take
from detui.engine.process.places import front, hold, position, release
from detui.engine.process.queue import Queue, enter
from detui.engine.run.directory import RunDir
from detui.engine.run.lines import read_lines
from detui.engine.run.spec import DeviceRequest

SHORT = {"steps": 10, "seconds": 0.01}


def cpu(slots: int, count: int = 1, on_busy: str = "wait") -> DeviceRequest:
    """A request of `count` out of so many CPU slots."""
    candidates = tuple(f"cpu:{index}" for index in range(slots))
    return DeviceRequest(kind="cpu", count=count, candidates=candidates, on_busy=on_busy)


def busy(device: str = "cpu:0") -> Lease:
    """Take a device, as another run would."""
    lease = take(device, "somebody else")
    assert lease is not None
    return lease


def begun(runs: Sequence[RunDir]) -> list[str]:
    """The names of the runs in the order in which they came to a device."""
    at = {run.name: next(x["at"] for x in read_lines(run.events_path) if x["state"] == "starting") for run in runs}
    return sorted(at, key=lambda name: at[name])


def finished(runs: Sequence[RunDir]) -> None:
    found = wait(runs, 60)
    assert [one.state.word for one in found] == ["finished"] * len(runs), found


def spans(runs: Sequence[RunDir]) -> list[tuple[str, str, tuple[str, ...]]]:
    """When each run had which devices."""
    found = []
    for run in runs:
        events = {line["state"]: line for line in read_lines(run.events_path)}
        found.append((events["running"]["at"], events["finished"]["at"], tuple(events["running"]["device"])))
    return found


@pytest.mark.parametrize("slots", [1, 2])
def test_eight_runs_start_in_the_order_of_their_submission(make_run: MakeRun, slots: int) -> None:
    leases = [busy(f"cpu:{index}") for index in range(slots)]
    runs = [make_run(SHORT, seed=seed, device=cpu(slots)) for seed in range(8)]
    for run in runs:
        launch(run)
    assert [position(run) for run in runs] == list(range(8))
    assert status(runs[0]).notes == (f"waiting for a device ({slots} in use)",)
    assert status(runs[1]).notes[1:] == ("2nd in the queue",)
    assert status(runs[2]).notes[1:] == ("3rd in the queue",)
    for lease in leases:
        lease.release()
    finished(runs)
    order = begun(runs)
    if slots == 1:
        assert order == [run.name for run in runs]
    else:  # two devices that are freed at once go to two supervisors that do not wait for each other
        assert all(abs(order.index(run.name) - place) <= 1 for place, run in enumerate(runs)), order
    assert not list((lease_directory() / "queue").iterdir()), "no ticket is left"


@pytest.mark.fault("many small runs behind one that needs several devices", "it gathers them; nobody starves")
def test_a_run_that_needs_two_devices_is_not_starved(make_run: MakeRun) -> None:
    leases = [busy("cpu:0"), busy("cpu:1")]
    first = make_run({"steps": 40, "seconds": 0.02}, seed=0, device=cpu(2))
    large = make_run(SHORT, seed=1, device=cpu(2, count=2))
    small = [make_run(SHORT, seed=seed, device=cpu(2)) for seed in range(2, 6)]
    for run in (first, large, *small):
        launch(run)
    for lease in leases:
        lease.release()
    finished([first, large, *small])
    assert begun([first, large, *small])[:2] == [first.name, large.name], "the small ones leave it what it gathers"
    (_, until_large, devices), *others = spans([large, *small])
    assert set(devices) == {"cpu:0", "cpu:1"}
    assert all(at >= until_large for at, _, _ in others), "nobody shares its devices"


def test_a_held_run_lets_others_pass_and_keeps_its_place(make_run: MakeRun) -> None:
    lease = busy()
    runs = [make_run(SHORT, seed=seed, device=cpu(1)) for seed in range(4)]
    for run in runs:
        launch(run)
    assert hold(runs[0]) and hold(runs[1]) and not hold(runs[1])
    until(lambda: position(runs[2]) == 0)
    assert "held" in status(runs[0]).notes
    lease.release()
    finished(runs[2:])
    assert [status(run).state.word for run in runs[:2]] == ["queued", "queued"]
    assert release(runs[1]) and not release(runs[1])
    finished(runs[1:2])
    request(runs[0], "stop")  # a held run is cancelled like any other
    assert wait(runs[:1], 10)[0].state.word == "stopped"
    with pytest.raises(RunError, match="does not wait"):
        hold(runs[0])
    launch(runs[0], resume=True)  # and a resume does not inherit the hold
    finished(runs[:1])


def test_to_the_front(make_run: MakeRun) -> None:
    lease = busy()
    runs = [make_run(SHORT, seed=seed, device=cpu(1)) for seed in range(4)]
    for run in runs:
        launch(run)
    assert front(runs[3]) and not front(runs[3])
    assert [position(run) for run in runs] == [1, 2, 3, 0]
    lease.release()
    finished(runs)
    assert begun(runs) == [runs[index].name for index in (3, 0, 1, 2)]


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to act as a second user")
def test_the_front_is_before_the_own_runs_and_no_stranger(make_run: MakeRun, leases: Path) -> None:
    lease = busy()
    open_way_to(leases)
    first, *rest = (make_run(SHORT, seed=seed, device=cpu(1)) for seed in range(3))
    launch(first)
    begin, ready = os.pipe()

    def wait_there() -> None:
        enter(RunDir(leases / "strangers-run"), cpu(1))
        os.write(ready, b"x")
        signal.pause()

    stranger = as_second_user(wait_there)
    os.close(ready)
    assert os.read(begin, 1) == b"x"
    try:
        for run in rest:
            launch(run)
        front(rest[-1])
        owners = [waiter.want.user for waiter in Queue().waiters()]
        assert owners == [0, SECOND, 0, 0], "the stranger keeps the second place"
        assert [position(run) for run in (first, *rest)] == [2, 3, 0]
    finally:
        os.kill(stranger, signal.SIGKILL)
        os.waitpid(stranger, 0)
    lease.release()
    finished([first, *rest])
    assert begun([first, *rest]) == [rest[1].name, first.name, rest[0].name]


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to act as a second user")
def test_the_queue_works_in_another_users_directory(make_run: MakeRun, leases: Path) -> None:
    lease_directory()
    (leases / "queue").mkdir()
    (leases / "queue").chmod(0o1777)
    for path in (leases, leases / "queue"):
        os.chown(path, 12345, 12345)
    open_way_to(leases)
    child = as_second_user(lambda: enter(RunDir(leases / "a-run"), cpu(1)))  # dies with its ticket in place
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    run = make_run(SHORT, device=cpu(1))
    launch(run)
    finished([run])


@pytest.mark.fault("kill -9 of a waiting supervisor", "its turn passes to the next")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_dead_or_frozen_supervisor_blocks_nobody(make_run: MakeRun, how: signal.Signals) -> None:
    lease = busy()
    runs = [make_run(SHORT, seed=seed, device=cpu(1)) for seed in range(3)]
    for run in runs:
        launch(run)
    pid = (runs[0].owner() or {})["pid"]
    os.kill(pid, how)
    lease.release()
    finished(runs[1:])
    if how is signal.SIGSTOP:
        os.kill(pid, signal.SIGCONT)
        finished(runs[:1])
    else:
        assert status(runs[0]).state.word == "lost"
        assert not list((lease_directory() / "queue").iterdir()), "the dead ticket is removed"


def test_a_ticket_that_makes_no_sense_counts_for_nothing(make_run: MakeRun) -> None:
    lease = busy()
    run = make_run(SHORT, device=cpu(1))
    launch(run)
    queue = lease_directory() / "queue"
    (queue / "00000000000000000001.broken.ticket").write_text("[")
    (queue / "nonsense.ticket").write_text('{"count": 1}')
    lease.release()
    finished([run])


def test_a_ticket_that_was_cleaned_away_is_taken_again(make_run: MakeRun) -> None:
    lease = busy()
    run = make_run(SHORT, device=cpu(1))
    launch(run)
    for ticket in (lease_directory() / "queue").iterdir():
        ticket.unlink()
    until(lambda: position(run) == 0)
    lease.release()
    finished([run])


def test_on_busy_fail(make_run: MakeRun) -> None:
    lease = busy()
    run = make_run(SHORT, device=cpu(1, on_busy="fail"))
    launch(run)
    found = wait([run], 20)[0]
    assert found.state.word == "failed"
    assert "may not wait" in str(getattr(found.state, "reason", "")) and "1 of 1 in use" in str(found.state)
    lease.release()
    siblings = [make_run(SHORT, seed=seed, device=cpu(1, on_busy="fail")) for seed in (1, 2, 3)]
    for sibling in siblings:
        launch(sibling)
    finished(siblings)  # they wait for each other, not for strangers


def test_on_busy_fail_is_refused_before_anything_is_written(tmp_path: Path, leases: Path) -> None:
    lease = busy()
    detui = Path(sys.executable).with_name("detui")
    command = [
        "run",
        "starter/mosaic",
        "--profile",
        "quick",
        "--devices",
        "cpu",
        "--cpu-slots",
        "1",
        "--on-busy",
        "fail",
        "--yes",
    ]
    done = subprocess.run(
        [detui, "--workspace", tmp_path / "logs", *command],
        capture_output=True, text=True, check=False, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, "")
    assert "0 of 1 devices are free" in done.stderr and "--on-busy wait" in done.stderr
    assert not (tmp_path / "logs").exists()
    lease.release()


@pytest.mark.fault("a launcher that closes inherited descriptors", "its device still counts as taken")
def test_a_device_whose_lease_was_lost_by_a_living_process_is_not_taken(make_run: MakeRun) -> None:
    """A launcher that closes descriptors: the lease is free, and the process that uses the device lives."""
    device = "GPU-11111111-0000-0000-0000-000000000000"
    environ = {**os.environ, TAG: "/somewhere/else", "CUDA_VISIBLE_DEVICES": device}
    rank = subprocess.Popen(["sleep", "60"], env=environ, close_fds=True)
    run = make_run(SHORT, device=DeviceRequest(kind="cuda", count=1, candidates=(device,)))
    try:
        launch(run)
        notes = until(lambda: (found := status(run).notes) and found)
        assert notes == (f"waiting: {device} is in use by processes of /somewhere/else",)
    finally:
        rank.kill()
        rank.wait()
    finished([run])
    end(run)


def test_waiting_costs_next_to_nothing(make_run: MakeRun) -> None:
    lease = busy()
    runs = [make_run(SHORT, seed=seed, device=cpu(1)) for seed in range(10)]
    for run in runs:
        launch(run)
    pids = [(run.owner() or {})["pid"] for run in runs]
    begin = sum(map(_cpu_seconds, pids))
    time.sleep(3)
    share = (sum(map(_cpu_seconds, pids)) - begin) / 3 / len(runs)
    lease.release()
    for run in runs:
        request(run, "kill")
    assert share < 0.02, f"a waiting supervisor takes {share:.2%} of a core"


def _cpu_seconds(pid: int) -> float:
    from detui.engine.devices.processes import process_stat

    stat = process_stat(pid)
    return 0.0 if stat is None else stat.cpu_seconds
