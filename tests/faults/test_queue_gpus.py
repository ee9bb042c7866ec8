"""The queue on a machine with two GPUs, which a compiled stand-in for the driver's library plays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from toy_runs import MakeRun, until

from detui.engine.process.control import status, wait
from detui.engine.process.launch import launch
from detui.engine.run.directory import RunDir
from detui.engine.run.lines import read_lines
from detui.engine.run.spec import DeviceRequest

A = "GPU-aaaaaaaa-0000-0000-0000-000000000000"
B = "GPU-abbbbbbb-1111-1111-1111-111111111111"
GIB = 1 << 30
SHORT = {"steps": 10, "seconds": 0.02}

Machine = Callable[..., None]


@pytest.fixture
def machine(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Sets what strangers use of the memory of the two GPUs (24 GiB each), in GiB, and what fails."""
    answers = tmp_path / "answers"
    monkeypatch.setenv("LD_LIBRARY_PATH", str(library))
    monkeypatch.setenv("NVML_STAND_IN", str(answers))

    def use(first: float = 0, second: float = 0, more: str = "") -> None:
        partial = answers.with_suffix(".new")
        gpus = [(A, first), (B, second)]
        lines = [
            f"gpu{index}.uuid={uuid}\ngpu{index}.name=GPU\ngpu{index}.total={24 * GIB}\n"
            f"gpu{index}.used={int(used * GIB)}\ngpu{index}.util=0\n"
            for index, (uuid, used) in enumerate(gpus)
        ]
        partial.write_text("count=2\n" + "".join(lines) + more)
        partial.replace(answers)

    use()
    return use


def gpus(*candidates: str, named: bool = False, free: float = 0, count: int = 1) -> DeviceRequest:
    """A request for the GPUs, both where none is said; `free` GiB."""
    return DeviceRequest(
        kind="cuda", count=count, candidates=candidates or (A, B), named=named, min_free_memory=int(free * GIB)
    )


def devices(run: RunDir) -> list[str]:
    return next(list(line["device"]) for line in read_lines(run.events_path) if line["state"] == "running")


def why(run: RunDir) -> str:
    return next((note for note in status(run).notes if note.startswith("waiting: ")), "")


@pytest.mark.fault("2 arms × 3 seeds on 2 GPUs", "both are kept busy, never shared")
def test_two_arms_by_three_seeds_keep_two_gpus_busy_and_never_share_one(make_run: MakeRun, machine: Machine) -> None:
    config = {"steps": 20, "seconds": 0.03}
    runs = [make_run(config, arm=arm, seed=seed, device=gpus()) for seed in range(3) for arm in ("one", "two")]
    for run in runs:
        launch(run)
    assert {one.state.word for one in wait(runs, 60)} == {"finished"}
    spans = []
    for run in runs:
        events = {line["state"]: line for line in read_lines(run.events_path)}
        spans.append((events["running"]["at"], events["finished"]["at"], *events["running"]["device"]))
    for begin, _, _ in spans:
        at_once = [device for start, end, device in spans if start <= begin < end]
        assert len(set(at_once)) == len(at_once) <= 2, spans
    used = [device for *_, device in spans]
    assert {used.count(A), used.count(B)} <= {2, 3, 4} and len(used) == 6, "both are kept busy"


@pytest.mark.fault("a GPU that strangers use", "another is taken; without one, the run waits and says why")
def test_a_gpu_that_strangers_use_is_left_to_them(make_run: MakeRun, machine: Machine) -> None:
    machine(20.1, 0.2)
    runs = [make_run(SHORT, seed=seed, device=gpus()) for seed in range(2)]
    for run in runs:
        launch(run)
    assert {one.state.word for one in wait(runs, 30)} == {"finished"}
    assert [devices(run) for run in runs] == [[B], [B]]


def test_it_waits_for_strangers_and_says_so(make_run: MakeRun, machine: Machine) -> None:
    machine(20.1, 3)
    run = make_run(SHORT, device=gpus())
    launch(run)
    assert until(lambda: why(run)) == "waiting: GPU 0 has 20.1 GiB in use by others; GPU 1 has 3.0 GiB in use by others"
    machine(20.1, 0)
    assert wait([run], 20)[0].state.word == "finished"
    assert devices(run) == [B] and status(run).notes == ()


def test_what_is_named_is_taken_though_others_use_it(make_run: MakeRun, machine: Machine) -> None:
    machine(20.1, 3)
    run = make_run(SHORT, device=gpus(A, named=True))
    launch(run)
    assert wait([run], 20)[0].state.word == "finished" and devices(run) == [A]


def test_memory_that_must_be_free(make_run: MakeRun, machine: Machine) -> None:
    machine(20.1, 10)
    small = make_run(SHORT, seed=0, device=gpus(free=12))
    large = make_run(SHORT, seed=1, device=gpus(free=20))
    for run in (large, small):
        launch(run)
    assert wait([small], 20)[0].state.word == "finished" and devices(small) == [B], "nothing is reserved in vain"
    assert until(lambda: "GPU 1" in why(large) and why(large)) == (
        "waiting: GPU 0 has 3.9 GiB free of 24.0 GiB; GPU 1 has 14.0 GiB free of 24.0 GiB"
    )
    machine(2, 10)
    assert wait([large], 20)[0].state.word == "finished" and devices(large) == [A]


def test_what_the_driver_does_not_say_hinders_nobody_but_who_needs_to_know(make_run: MakeRun, machine: Machine) -> None:
    machine(more="gpu0.fail=15\n")
    run = make_run(SHORT, seed=0, device=gpus(A))
    launch(run)
    assert wait([run], 20)[0].state.word == "finished"
    careful = make_run(SHORT, seed=1, device=gpus(A, free=1))
    launch(careful)
    assert "does not say how much memory is free" in until(lambda: why(careful))
    machine()
    assert wait([careful], 20)[0].state.word == "finished"


def test_a_run_may_take_both(make_run: MakeRun, machine: Machine) -> None:
    run = make_run({"steps": 20, "seconds": 0.1}, device=gpus(count=2))
    launch(run)
    assert wait([run], 20)[0].state.word == "finished" and devices(run) == [A, B]
    sampled = [[gpu["uuid"] for gpu in line["gpus"]] for line in read_lines(run.attempt(1).telemetry_path)]
    assert sampled and all(one == [A, B] for one in sampled), "the telemetry is of every device"
