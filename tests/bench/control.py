"""The budgets of run control, measured with real supervisors of the toy worker."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workers"))

from toy_runs import toy_spec, until

from detui.engine.process.control import request, status, supervised, wait
from detui.engine.process.identity import Identity
from detui.engine.process.launch import launch
from detui.engine.run.directory import RunDir
from detui.engine.run.lines import read_lines

Say = Callable[[str, str, str], None]
_TICKS = os.sysconf("SC_CLK_TCK")


def run_control(folder: Path, say: Say, *, watched: float = 20.0) -> None:
    """Print every figure. `watched`: seconds over which a supervisor's processor time is taken."""
    os.environ["DETUI_LEASES"] = str(folder / "leases")
    _supervisor(_run(folder, 0, seconds=0.05, steps=100_000), say, watched)
    _first_line(folder, say)
    _diagnosis(folder, say)
    _states(folder, say)


def _run(folder: Path, seed: int, **config: float) -> RunDir:
    spec = toy_spec(seed=seed, config=config)
    return RunDir.create(folder / "logs" / "toy" / "runs" / spec.name, spec)


def _end(run: RunDir) -> None:
    if not status(run).state.terminal:
        request(run, "kill")
    wait([run], 30)
    until(lambda: not supervised(run))


def _supervisor(run: RunDir, say: Say, seconds: float) -> None:
    """Memory, and the share of one core, of a supervisor with telemetry beside a training on the processor."""
    launch(run)
    until(lambda: status(run).state.word == "running")
    pid = int((run.owner() or {})["pid"])
    time.sleep(3.0)
    before = _cpu_seconds(pid)
    time.sleep(seconds)
    share = (_cpu_seconds(pid) - before) / seconds
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    resident = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
    say("a supervisor with telemetry: resident memory", f"{resident:.1f} MiB", "20 MB")
    say(f"its share of a core, over {seconds:.0f} s", f"{100 * share:.2f} %", "0.3 %")
    _end(run)


def _cpu_seconds(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / _TICKS


def _first_line(folder: Path, say: Say) -> None:
    """From the start of the worker to its first line, beyond what starting python itself takes."""
    found = []
    for seed in range(10, 15):
        run = _run(folder, seed, seconds=0.01)
        launch(run)
        wait([run], 30)
        found.append(float(read_lines(run.attempt(1).metrics_path)[0]["t"]))
        until(lambda run=run: not supervised(run))
    bare = statistics.median(_python() for _ in range(7))
    beyond = statistics.median(found) - bare
    say(f"start to the worker's first line, beyond python's {bare * 1000:.0f} ms", f"{beyond * 1000:.0f} ms", "100 ms")


def _python() -> float:
    before = time.monotonic()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.monotonic() - before


def _diagnosis(folder: Path, say: Say) -> None:
    """From kill -9 of the worker to the word of its state."""
    found = []
    for seed in range(20, 25):
        run = _run(folder, seed, seconds=0.2, steps=1000)
        launch(run)
        until(lambda run=run: status(run).state.word == "running")
        worker = Identity.from_json(run.attempt(1).worker())
        assert worker is not None
        before = time.monotonic()
        worker.signal(signal.SIGKILL)
        until(lambda run=run: status(run).state.terminal)
        found.append(time.monotonic() - before)
        until(lambda run=run: not supervised(run))
    say("kill -9 of the worker to its diagnosis, the slowest of 5", f"{max(found) * 1000:.0f} ms", "500 ms")


def _states(folder: Path, say: Say) -> None:
    """The states of twenty runs, one that trains and nineteen that wait."""
    runs = [_run(folder, seed, seconds=0.2, steps=1000) for seed in range(30, 50)]
    for run in runs:
        launch(run)
    until(lambda: status(runs[0]).state.word == "running")
    costs = []
    for _ in range(9):
        before = time.thread_time()
        for run in runs:
            status(run)
        costs.append(time.thread_time() - before)
    say("states of 20 live runs, CPU", f"{statistics.median(costs) * 1000:.1f} ms", "20 ms")
    for run in reversed(runs):
        _end(run)
