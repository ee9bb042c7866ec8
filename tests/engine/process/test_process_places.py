"""Moving one place in the queue, with supervisors that really wait."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from second_user import as_second_user, open_way_to
from toy_runs import MakeRun, until

from detui.engine.errors import RunError
from detui.engine.process.control import status, wait
from detui.engine.process.launch import launch
from detui.engine.process.lease import Lease, lease_directory, take
from detui.engine.process.places import earlier, hold, later, position, standings
from detui.engine.process.queue import Queue, enter
from detui.engine.run.directory import RunDir
from detui.engine.run.lines import read_lines
from detui.engine.run.spec import DeviceRequest

CPU = DeviceRequest(kind="cpu", count=1, candidates=("cpu:0",))


@pytest.fixture
def busy(leases: Path) -> Iterator[list[Lease]]:
    """The one device, taken; a test that takes the lease out of the list gives it back itself."""
    lease = take("cpu:0", "somebody else")
    assert lease is not None
    kept = [lease]
    yield kept
    for one in kept:
        one.release()


@pytest.fixture
def waiting(make_run: MakeRun, busy: list[Lease]) -> list[RunDir]:
    """Three runs that wait, in order."""
    runs = [make_run({"steps": 10, "seconds": 0.01}, seed=seed, device=CPU) for seed in range(3)]
    for run in runs:
        launch(run)
    assert [position(run) for run in runs] == [0, 1, 2]
    return runs


def order() -> list[str]:
    return [Path(one.want.run).name for one in Queue().waiters()]


def test_one_place_forward_and_back(waiting: list[RunDir], busy: list[Lease]) -> None:
    first, second, third = (run.name for run in waiting)
    assert earlier(waiting[2]) and order() == [first, third, second]
    assert earlier(waiting[2]) and order() == [third, first, second]
    assert not earlier(waiting[2]), "nobody stands before it"
    assert later(waiting[0]) and order() == [third, second, first]
    assert not later(waiting[0]) and order() == [third, second, first]
    busy.pop().release()
    assert [one.state.word for one in wait(waiting, 60)] == ["finished"] * 3
    begun = {
        run.name: next(x["at"] for x in read_lines(run.events_path) if x["state"] == "starting") for run in waiting
    }
    assert sorted(begun, key=lambda name: begun[name]) == [third, second, first], "they start in the new order"
    for move in (earlier, later):
        with pytest.raises(RunError, match="does not wait"):
            move(waiting[0])


def test_held_and_frozen_ones_are_passed_like_others(waiting: list[RunDir]) -> None:
    first, second, third = (run.name for run in waiting)
    hold(waiting[0])
    until(lambda: [one.held for one in Queue().waiters()] == [True, False, False])
    pid = (waiting[1].owner() or {})["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: [one.held for one in Queue().waiters()] == [True, True, False])
        assert earlier(waiting[2]) and order() == [first, third, second]
        assert earlier(waiting[1]) and earlier(waiting[1]) and order() == [second, first, third]
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: [one.held for one in Queue().waiters()] == [False, True, False])
    assert len(list((lease_directory() / "queue").iterdir())) == 3, "each keeps its one ticket"


def test_what_is_shown_of_those_who_wait(waiting: list[RunDir]) -> None:
    hold(waiting[1])
    earlier(waiting[2])
    found = standings(Queue())
    assert [(Path(one.waiter.want.run).name, one.ahead, one.held) for one in found] == [
        (waiting[0].name, 0, False), (waiting[2].name, 1, False), (waiting[1].name, 2, True),
    ]  # fmt: skip
    assert found[0].seconds > found[2].seconds > found[1].seconds > 0, "how long it waits does not move with it"
    assert [one.reason for one in found] == ["", "", ""] and status(waiting[2]).notes[1:] == ("2nd in the queue",)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to act as a second user")
def test_a_stranger_between_two_runs_is_not_overtaken(leases: Path, make_run: MakeRun, busy: list[Lease]) -> None:
    open_way_to(leases)
    runs = [make_run(seed=seed, device=CPU) for seed in range(2)]
    launch(runs[0])
    begin, ready = os.pipe()

    def wait_there() -> None:
        enter(RunDir(leases / "strangers-run"), CPU)
        os.write(ready, b"x")
        signal.pause()

    stranger = as_second_user(wait_there)
    os.close(ready)
    assert os.read(begin, 1) == b"x"
    try:
        launch(runs[1])
        assert earlier(runs[1])
        assert order() == [runs[1].name, "strangers-run", runs[0].name], "the stranger keeps the second place"
        assert later(runs[1]) and order() == [runs[0].name, "strangers-run", runs[1].name]
    finally:
        os.kill(stranger, signal.SIGKILL)
        os.waitpid(stranger, 0)
