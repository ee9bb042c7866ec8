"""What happens to the processes of a run: children killed, hidden, frozen, out of memory; all at once, many times."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from toy_runs import MakeRun, steps_made, until

from detui.engine.devices.processes import descendants
from detui.engine.process.control import request, status, supervised, wait
from detui.engine.process.descendants import tagged
from detui.engine.process.identity import Identity
from detui.engine.process.launch import adopt, launch
from detui.engine.process.lease import take
from detui.engine.run.directory import RunDir
from detui.engine.run.files import write_json
from detui.engine.run.history import load_history
from detui.engine.run.lines import read_lines
from detui.engine.run.spec import DeviceRequest
from detui.engine.run.state import State

DETUI = str(Path(sys.executable).with_name("detui"))


def ended(run: RunDir, seconds: float = 60.0) -> State:
    """Wait for the end; nothing is left of the run, no line is damaged, and its device is free."""
    state = wait([run], seconds)[0].state
    assert state.terminal, state
    until(lambda: not supervised(run))
    assert tagged(run.path.resolve()) == []
    assert load_history(run).damaged == 0
    free = take("cpu:0", "test")
    assert free is not None, "the device is free again"
    free.release()
    return state


def training(run: RunDir, step: int = 2) -> Identity:
    until(lambda: steps_made(run) >= step and status(run).state.word == "running", 60)
    worker = Identity.from_json(run.attempt(1).worker())
    assert worker is not None
    return worker


@pytest.mark.fault("kill -9 of a data loader of PyTorch", "the worker fails and says so; resumes from its checkpoint")
def test_kill_9_of_a_data_loader(make_run: MakeRun) -> None:
    pytest.importorskip("torch", reason="needs PyTorch for its data loader")
    run = make_run({"seconds": 0.05, "steps": 2000, "at": "torch-loader", "when": 6})
    launch(run)
    worker = training(run, 5)
    (loader, *_) = until(lambda: sorted(pid for pid in descendants(worker.pid) if _forked(pid)), 60)
    until(lambda: steps_made(run) >= 6 or (run.attempt(1).path / "loading").exists(), 60)
    os.kill(loader, signal.SIGKILL)
    state = ended(run)
    assert state.word == "failed" and "DataLoader worker" in str(getattr(state, "reason", ""))
    assert load_history(run).series("train/loss_toy")[0] == list(range(1, steps_made(run) + 1))


def _forked(pid: int) -> bool:
    return b"detui.engine.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.fault("SIGSTOP of a data loader, then a stop", "killed after the grace, the frozen loader included")
def test_a_frozen_data_loader(make_run: MakeRun) -> None:
    pytest.importorskip("torch", reason="needs PyTorch for its data loader")
    run = make_run({"seconds": 0.05, "steps": 2000, "at": "torch-loader", "when": 6})
    launch(run)
    worker = training(run, 5)
    loaders = until(lambda: sorted(pid for pid in descendants(worker.pid) if _forked(pid)), 60)
    until(lambda: (run.attempt(1).path / "loading").exists(), 60)
    os.kill(loaders[0], signal.SIGSTOP)
    request(run, "stop")
    assert ended(run).word == "killed"
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in loaders))


RANKS = """\
import json, os, pathlib, sys, time
import torch.distributed as dist
dist.init_process_group("gloo")
pathlib.Path(sys.argv[1], f"rank-{dist.get_rank()}").write_text(str(os.getpid()))
for step in range(1, 2000):
    dist.barrier()
    if dist.get_rank() == 0:
        print(json.dumps({"kind": "step", "step": step, "values": {"train/loss": 1 / step}}), flush=True)
    time.sleep(0.05)
"""


@pytest.mark.fault("kill -9 of a rank of torchrun", "`failed`, with what torchrun says; no rank is left")
def test_kill_9_of_a_rank(make_run: MakeRun, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs PyTorch for torchrun")
    script = tmp_path / "ranks.py"
    script.write_text(RANKS)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    config = {"command": [*launcher, str(script), "{out}"], "env": {}, "epochs": 1, "read": "json_lines", "train": {}}
    run = make_run(config, trainer="detui.engine.backends.command.train:CommandTrainer", milestones=())
    launch(run)
    training(run, 3)
    ranks = [int((run.attempt(1).path / f"rank-{rank}").read_text()) for rank in range(2)]
    os.kill(ranks[1], signal.SIGKILL)
    state = ended(run)
    assert state.word == "failed" and "Signal 9 (SIGKILL)" in str(getattr(state, "reason", "")), state
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in ranks))
    steps = load_history(run).series("train/loss")[0]
    assert steps == list(range(1, len(steps) + 1)) and len(steps) >= 3


@pytest.mark.fault("a process that became a daemon and cleared its environment", "killed with the run, and counted")
def test_a_daemon_without_a_tag_is_swept(make_run: MakeRun) -> None:
    run = make_run({"at": "daemon", "when": 2, "seconds": 0.01})
    launch(run)
    assert ended(run).word == "finished"
    daemon = int((run.attempt(1).path / "escapee").read_text())
    assert not Path(f"/proc/{daemon}").exists()
    assert (run.attempt(1).exit() or {})["stragglers_killed"] == 1


@pytest.mark.fault("memory limit of the process (rlimit)", "`oom`, by the worker's own account")
def test_out_of_memory_by_a_limit(make_run: MakeRun) -> None:
    run = make_run({"at": "rlimit", "when": 7, "seconds": 0.01})
    launch(run)
    state = ended(run)
    assert state.word == "oom" and (run.attempt(1).exit() or {})["code"] == 1
    assert load_history(run).series("train/loss_toy")[0] == list(range(1, 8))


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A control group that grants 200 MiB, in whichever version of them this machine has."""
    second = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    folder = Path("/sys/fs/cgroup") / ("" if second else "memory") / f"detui-test-{os.getpid()}"
    limits = ("memory.max", "memory.swap.max") if second else ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
    try:
        folder.mkdir()
        for name in limits:
            if (folder / name).exists():
                (folder / name).write_text("0" if name == "memory.swap.max" else str(200 << 20))
        if not (folder / limits[0]).exists():
            pytest.skip("control groups of memory are not delegated here")
    except OSError as error:
        pytest.skip(f"may not make a control group here: {error.strerror}")
    yield folder
    until(lambda: not (folder / "cgroup.procs").read_text())
    folder.rmdir()


@pytest.mark.fault("the kernel kills for want of memory (control group)", '`oom`, "probable", with advice')
def test_out_of_memory_by_the_kernel(make_run: MakeRun, memory_group: Path) -> None:
    run = make_run({"at": "hog", "when": 7, "seconds": 0.01})
    code = (
        "import os, sys; from pathlib import Path; Path(sys.argv[1], 'cgroup.procs').write_text(str(os.getpid()))\n"
        "from detui.engine.process.launch import launch; from detui.engine.run.directory import RunDir\n"
        "launch(RunDir(Path(sys.argv[2])))"
    )
    subprocess.run([sys.executable, "-c", code, str(memory_group), str(run.path)], check=True)
    state = ended(run)
    reason = str(getattr(state, "reason", ""))
    assert state.word == "oom" and "probable" in reason and "control group" in reason, state
    assert (run.attempt(1).exit() or {})["signal"] == "SIGKILL"
    assert load_history(run).series("train/loss_toy")[0] == list(range(1, 8))


@pytest.mark.fault("SIGSTOP of the worker, then SIGCONT", "goes on; nothing is lost")
def test_a_frozen_worker_goes_on(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.05})
    launch(run)
    worker = training(run)
    worker.signal(signal.SIGSTOP)
    before = steps_made(run)
    time.sleep(1.0)
    assert steps_made(run) <= before + 1 and status(run).state.word == "running"
    worker.signal(signal.SIGCONT)
    assert ended(run).word == "finished"
    assert load_history(run).series("train/loss_toy")[0] == list(range(1, 21))


@pytest.mark.fault("a stop of a frozen worker", "killed after the grace; resumes from its last checkpoint")
def test_a_frozen_worker_is_killed_after_the_grace(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.05, "steps": 1000})
    launch(run)
    training(run, 6).signal(signal.SIGSTOP)
    request(run, "stop")
    state = ended(run)
    assert (state.word, getattr(state, "reason", None)) == ("killed", "it did not stop within 1 s")
    assert (run.attempt(1).exit() or {})["signal"] == "SIGKILL"


@pytest.mark.fault("a reused pid", "`lost`; the innocent process is not touched")
def test_a_reused_pid_is_nobody(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.05, "steps": 1000})
    launch(run)
    worker = training(run)
    owner = Identity.from_json(run.owner())
    assert owner is not None
    for one in (owner, worker):
        one.signal(signal.SIGKILL)
    until(lambda: status(run).state.word == "lost")
    innocent = subprocess.Popen(["sleep", "600"])
    try:
        for path, identity in ((run.path / "owner.json", owner), (run.attempt(1).path / "worker.json", worker)):
            write_json(path, {**identity.to_json(), "pid": innocent.pid})
        assert status(run).state.word == "lost" and not adopt(run)
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


@pytest.mark.fault("a reboot (another boot id)", "`lost`; resumes from its last checkpoint")
def test_a_reboot(make_run: MakeRun) -> None:
    """What a power failure leaves: no process, owners of another boot whose pids are others' now, a torn last line."""
    run = make_run({"seconds": 0.05, "steps": 40})
    launch(run)
    worker = training(run, 12)
    owner = Identity.from_json(run.owner())
    assert owner is not None
    for one in (owner, worker):
        one.signal(signal.SIGKILL)
    until(lambda: status(run).state.word == "lost")
    me = Identity.of(os.getpid())
    assert me is not None
    for path in (run.path / "owner.json", run.attempt(1).path / "owner.json", run.attempt(1).path / "worker.json"):
        write_json(path, replace(me, boot="0b1ec7ed-0000-4000-8000-000000000000").to_json())
    acknowledged = steps_made(run)
    with run.attempt(1).metrics_path.open("ab") as file:
        file.write(b'{"kind":"step","t":9.0,"step":9')
    assert status(run).state.word == "lost" and steps_made(run) == acknowledged
    launch(run, resume=True)
    assert ended(run).word == "finished"
    assert (run.attempt(2).info() or {})["resume"]["step"] >= 10
    assert load_history(run).series("train/loss_toy")[0] == list(range(1, 41))


@pytest.mark.fault("two `detui stop` at the same moment", "one effect; both are answered")
def test_two_stops_at_once(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.05, "steps": 1000})
    write_json(run.experiment_dir / "experiment.json", {"id": "toy", "recipe": "toy/parabola", "runs": [run.name]})
    launch(run)
    training(run)
    command = [DETUI, "--workspace", str(run.experiment_dir.parent), "stop", "last"]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[1] for process in both]
    assert all("Traceback" not in text for text in said), said
    assert any("save a checkpoint" in text for text in said), said
    assert {process.returncode for process in both} <= {0, 1}
    assert ended(run).word == "stopped"
    assert [line["state"] for line in read_lines(run.events_path)].count("stopping") == 1


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.fault("50 queued runs on 2 slots, processes killed at random", "every run ends in a true state")
def test_a_soak(make_run: MakeRun) -> None:
    """Every run comes to an end, no two ever share a slot, and no acknowledged step is lost."""
    seed = int(os.environ.get("DETUI_SOAK_SEED") or time.time())
    count = int(os.environ.get("DETUI_SOAK_RUNS") or 50)
    print(f"DETUI_SOAK_SEED={seed}")
    dice = random.Random(seed)
    slots = DeviceRequest(kind="cpu", count=1, candidates=("cpu:0", "cpu:1"))
    runs = [make_run({"seconds": 0.03}, seed=number, device=slots) for number in range(count)]
    for run in runs:
        launch(run)
    deadline = time.monotonic() + 12 * count
    while True:
        found = [status(run) for run in runs]
        if all(one.state.terminal for one in found):
            break
        assert time.monotonic() < deadline, f"seed {seed}: {[one.state.word for one in found]}"
        live = [run for run, one in zip(runs, found, strict=True) if not one.state.terminal]
        for run in live:
            if "orphaned" in status(run).notes:
                adopt(run)
        busy = [run for run, one in zip(runs, found, strict=True) if one.state.word == "running"]
        assert len(busy) <= 2, f"seed {seed}: {len(busy)} runs on 2 slots"
        if dice.random() < 0.25 and live:
            _harm(dice.choice(busy or live), dice)
        time.sleep(0.1)
    for run in runs:
        until(lambda run=run: not supervised(run) and not tagged(run.path.resolve()))
        history = load_history(run)
        steps = history.series("train/loss_toy")[0]
        assert steps == list(range(1, len(steps) + 1)) and history.damaged == 0, f"seed {seed}: {run.name}"
        assert status(run).state.word != "finished" or len(steps) == 20, f"seed {seed}: {run.name}"
    for slot in slots.candidates:
        free = take(slot, "test")
        assert free is not None, f"seed {seed}: {slot} is not free"
        free.release()


def _harm(run: RunDir, dice: random.Random) -> None:
    latest = run.latest()
    found = [run.owner(), latest.worker() if latest else None]
    victims = [identity for one in found if (identity := Identity.from_json(one)) is not None and identity.alive()]
    if victims:
        dice.choice(victims).signal(signal.SIGKILL)
