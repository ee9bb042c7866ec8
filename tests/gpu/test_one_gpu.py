"""On a machine with a GPU: the driver's own library, CUDA, NCCL, and runs that train, queue and fail there.

Everything else in these tests has a stand-in for NVML or trains on the CPU. These have neither, and skip elsewhere.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from run_lines import Line, ended, latest, lines, name, stopped_at, values
from toy_runs import MakeRun, until

from detui.engine.process.attempt import make_attempt, worker_environment
from detui.engine.process.control import status, wait
from detui.engine.process.launch import launch
from detui.engine.run.directory import RunDir
from detui.engine.run.files import write_json
from detui.engine.run.lines import read_lines
from detui.engine.run.spec import DeviceRequest

torch = pytest.importorskip("torch", reason="needs PyTorch")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that this PyTorch can use"),
]

GIB = 1 << 30
SMOKE = {
    "torch": ("aqr/configurations", "aqr-2.5-0.6"),
    "ultralytics": ("starter/mosaic", "baseline"),
    "parity": ("parity/training", "torch"),
}
"""Backend → a recipe of it, and one of its arms."""


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return Line(tmp_path_factory.mktemp("gpu"), "")


@pytest.fixture(scope="module")
def uuid() -> str:
    from detui.engine.devices.nvml import visible_gpus

    return visible_gpus(os.environ)[0].uuid


def started(line: Line, backend: str, *words: str) -> RunDir:
    recipe, arm = SMOKE[backend]
    return line.new("run", recipe, "--profile", "smoke", "--arm", arm, "--seeds", "0", "--devices", "0,", "--yes",
                    "--detach", *words)  # fmt: skip


@pytest.fixture(scope="module")
def trained(line: Line) -> dict[str, RunDir]:
    """A run of each backend, as it is asked for: on one GPU."""
    return {}


def by_itself(line: Line, trained: dict[str, RunDir], backend: str) -> RunDir:
    """The run of a backend that others are compared with; trained once."""
    if backend not in trained:
        trained[backend] = ended(started(line, backend), "finished")
    return trained[backend]


@pytest.mark.parametrize("backend", SMOKE)
def test_it_trains_there_and_the_record_says_where(
    line: Line, trained: dict[str, RunDir], uuid: str, backend: str
) -> None:
    run = by_itself(line, trained, backend)
    (begin,) = lines(run, "begin")
    assert (begin["device"]["kind"], begin["device"]["name"]) == ("cuda", torch.cuda.get_device_name(0))
    assert "ranks" not in begin
    running = next(told for told in read_lines(run.events_path) if told["state"] == "running")
    assert running["device"] == [uuid]
    losses = [number for numbers in values(run, "step").values() for number in numbers.values()]
    assert losses and all(map(math.isfinite, losses))
    sampled = [gpu for told in read_lines(latest(run) / "telemetry.jsonl") for gpu in told["gpus"]]
    assert {gpu["uuid"] for gpu in sampled} == {uuid}
    line("record", "fill", run.experiment_dir.name)
    assert torch.cuda.get_device_name(0) in (run.experiment_dir / "record.md").read_text(encoding="utf-8")


def again(run: RunDir, kind: str, **changes: Any) -> RunDir:
    """A run like another one, with changes of its spec."""
    return RunDir.create(run.experiment_dir / "runs" / f"{run.name}-{kind}", replace(run.spec(), **changes))


def apart(one: RunDir, other: RunDir, steps: int) -> float:
    """The largest relative difference of a loss within so many first steps."""
    mine, its = values(one, "step"), values(other, "step")
    assert mine.keys() == its.keys()
    losses = [(step, name) for step in sorted(mine)[:steps] for name in mine[step] if name.startswith("train/loss")]
    return max(abs(its[step][name] - mine[step][name]) / max(abs(mine[step][name]), 1e-3) for step, name in losses)


@pytest.mark.parametrize("backend", ["torch", "ultralytics"])
def test_one_gpu_through_the_path_of_several(line: Line, trained: dict[str, RunDir], backend: str) -> None:
    """The same training once more by the process that starts ranks: one of them, over NCCL."""
    alone = by_itself(line, trained, backend)
    ranked = again(alone, "ranked")
    attempt = make_attempt(ranked)
    write_json(attempt.path / "attempt.json", {"number": 1, "resume": None})
    running = next(told for told in read_lines(alone.events_path) if told["state"] == "running")
    spec, zero = ranked.spec(), time.monotonic()
    done = subprocess.run(
        [spec.python, "-m", "detui.engine.worker.launch", str(attempt.path)],
        cwd=attempt.path, env=worker_environment(ranked, spec, running["device"], zero), capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    (begin,) = lines(ranked, "begin")
    together = begin["ranks"]
    assert together["count"] == 1 and together["transport"] == "nccl", together
    assert together["batch"] == together["images_per_device"] == begin["used"]["train.batch"]
    assert together["devices"] == [f"cuda:0 {torch.cuda.get_device_name(0)}"]
    print(backend, "one rank over NCCL and none, first step apart:", apart(alone, ranked, 1))
    # Ultralytics gives a rank another seed than a process by itself; with two of them detui sets that right.
    assert apart(alone, ranked, 1) < {"torch": 1e-4, "ultralytics": 1.0}[backend]


SHARED = {"torch": "one_gpu:SharedTorch", "ultralytics": "one_gpu:SharedUltralytics"}


@pytest.mark.parametrize(
    ("backend", "precision"), [("torch", "false"), ("ultralytics", "false"), ("ultralytics", "bf16")]
)
def test_two_ranks_share_the_gpu(line: Line, backend: str, precision: str) -> None:
    """What DistributedDataParallel does with tensors of a GPU, but for NCCL, which wants one for each rank."""
    # Noise that each rank draws for itself would hide whether they compute the same.
    quiet = {"torch": ("--set", "model.denoising_groups=0"), "ultralytics": ("--set", "augment.mosaic=0.0")}[backend]
    words = (*quiet, "--set", f"train.amp={precision}", "--no-evaluate")
    alone = ended(started(line, backend, *words), "finished")
    workers = (*alone.spec().pythonpath, str(Path(__file__).parents[1] / "workers"))
    two = again(alone, "two", ranks=2, trainer=SHARED[backend], pythonpath=workers)
    launch(two)
    ended(two, "finished")
    (begin,) = lines(two, "begin")
    assert begin["ranks"]["count"] == 2 and begin["ranks"]["batch"] == begin["used"]["train.batch"]
    assert begin["device"] == lines(alone, "begin")[0]["device"]
    assert begin["used"]["train.amp"] in (precision, precision == "true")
    print(
        backend,
        precision,
        "two ranks and one, first step apart:",
        apart(alone, two, 1),
        "all:",
        apart(alone, two, 10**6),
    )
    # Ultralytics' BatchNorm sees the pictures of one rank.
    assert apart(alone, two, 1) < {"torch": 1e-3, "ultralytics": 0.2}[backend]


@pytest.mark.parametrize("backend", ["torch", "ultralytics"])
def test_a_stop_saves_and_a_resume_ends_it(line: Line, backend: str) -> None:
    more = {"torch": "train.epochs=6", "ultralytics": "train.epochs=8"}[backend]
    run = started(line, backend, "--set", more, "--no-evaluate")
    stopped_at(line, run, 3, 1)
    line("resume", name(run))
    ended(run, "finished")
    (first, second) = lines(run, "begin")
    assert first["device"] == second["device"] and len(run.attempts()) == 2
    steps = list(values(run, "step"))
    assert sorted(steps) == list(range(1, max(steps) + 1))


def hungry(make_run: MakeRun, uuid: str, config: dict[str, Any], **more: Any) -> RunDir:
    asked = DeviceRequest(kind="cuda", count=1, candidates=(uuid,), **more.pop("device", {}))
    return make_run({"steps": 60, "seconds": 0.05, **config}, trainer="hungry:HungryTrainer", device=asked, **more)


def test_memory_that_cuda_does_not_have(make_run: MakeRun, uuid: str) -> None:
    run = hungry(make_run, uuid, {"at": "hungry", "when": 5})
    launch(run)
    state = wait([run], 90)[0].state
    assert state.word == "oom" and "out of memory" in str(getattr(state, "reason", "")), state


def test_two_runs_take_turns_and_their_memory_is_measured(make_run: MakeRun, uuid: str) -> None:
    runs = [hungry(make_run, uuid, {}, seed=seed) for seed in range(2)]
    for run in runs:
        launch(run)
    until(lambda: any("in use by" in note or "waiting" in note for run in runs for note in status(run).notes), 60)
    assert [one.state.word for one in wait(runs, 120)] == ["finished", "finished"]
    spans = []
    for run in runs:
        events = {told["state"]: told["at"] for told in read_lines(run.events_path)}
        spans.append((events["running"], events["finished"]))
        used = max(gpu["memory_used"] for told in read_lines(run.attempt(1).telemetry_path) for gpu in told["gpus"])
        assert used >= GIB
    first, second = sorted(spans)
    assert second[0] >= first[1], "never shared"


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[str]]:
    """A program of somebody else's that holds 2 GiB of the GPU."""
    held = f"torch.ones({2 * GIB // 4}, device='cuda')"
    code = f"import sys, torch; held = {held}; print('held', flush=True); sys.stdin.read()"
    program = subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True)
    assert program.stdout is not None and program.stdout.readline() == "held\n"
    yield program
    program.kill()
    program.communicate()


def test_a_stranger_is_waited_for_and_seen(
    make_run: MakeRun, line: Line, uuid: str, stranger: subprocess.Popen[str]
) -> None:
    run = hungry(make_run, uuid, {"steps": 10})
    launch(run)
    note = until(lambda: next((note for note in status(run).notes if "in use by others" in note), None), 30)
    assert note.startswith("waiting: GPU 0 has ")
    (gpu,) = (one for one in json.loads(line("gpus", "--json"))["gpus"] if one["uuid"] == uuid)
    print(gpu)
    assert gpu["memory_used"] >= 2 * GIB and stranger.pid in [process["pid"] for process in gpu["processes"]]
    stranger.kill()
    assert wait([run], 60)[0].state.word == "finished"


def test_speed_and_size_of_a_model_are_measured_there(line: Line) -> None:
    words = ("--profile", "smoke", "--models", "--speed", "--devices", "0,", "--json")
    found = json.loads(line("show", "starter/mosaic", *words))
    print(json.dumps(found.get("models"))[:2000])
    assert torch.cuda.get_device_name(0) in json.dumps(found)
