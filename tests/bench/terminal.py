"""The budgets of the terminal: bytes, processor time and delay, on a real pseudo-terminal of 120 columns and 40 rows.

Beside detui's figures stand those of other programs on the same terminal and the same data, where they are installed.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workers"))

from crowds import million_records, thousand_runs, values_at
from terminals import Terminal
from traffic import SIZE, application, live_runs, moving_gpus, rate

Say = Callable[[str, str, str], None]
_TICKS = os.sysconf("SC_CLK_TCK")
_WARM = 10.0
"""Seconds until charts have found their scales."""


def terminal(folder: Path, say: Say, *, watched: float = 20.0) -> None:
    """Print every figure. `watched`: seconds over which bytes are counted."""
    os.environ["DETUI_LEASES"] = str(folder / "leases")
    folder.mkdir(parents=True)
    _start(thousand_runs(folder / "thousand"), say)
    _live(folder, say, watched)
    _devices(folder, say, watched)
    _million(folder, say)
    _leet(folder / "leet", say, watched)
    _tensorboard(folder / "tensorboard", say)


def _kib(bytes_a_second: float) -> str:
    return f"{bytes_a_second / 1024:.2f} KiB/s"


def _cpu_seconds(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / _TICKS


def _start(workspace: Path, say: Say) -> None:
    """Starts on a thousand runs: the first byte, and the picture with a screenful of runs in it."""
    firsts, costs = [], []
    for _ in range(5):
        begun = time.monotonic()
        screen = application(workspace)
        while not screen.seen:
            screen.read(0.005, watch=False)
        firsts.append(time.monotonic() - begun)
        while screen.seen.count(b"baseline-s") < SIZE[1] // 4:
            screen.read(0.01, watch=False)
        costs.append(_cpu_seconds(screen.process.pid))
        screen.close()
    say("first output after `detui` is typed, wall", f"{statistics.median(firsts):.2f} s", "0.4 s")
    say("first full picture, 1,000 runs, CPU", f"{statistics.median(costs):.2f} s", "0.6 s")


def _live(folder: Path, say: Say, seconds: float) -> None:
    """Runs that log five metrics four times a second, with their charts, and as a list with a preview."""
    with live_runs(folder / "one", 1):
        screen = application(folder / "one")
        screen.shows("running")
        screen.press("\r")
        screen.read(_WARM)
        say("one live run with its charts", _kib(rate(screen, seconds)), "1 KiB/s")
        screen.close()
    still = application(folder / "one")  # the run has ended
    still.shows("baseline-s0")
    still.read(3.0)
    say("a list in which nothing changes", _kib(rate(still, 5.0)), "0")
    still.close()
    with live_runs(folder / "four", 4):
        screen = application(folder / "four")
        screen.shows("running")
        screen.read(_WARM)
        say("four live runs, list and preview", _kib(rate(screen, seconds)), "4 KiB/s")
        screen.close()


def _devices(folder: Path, say: Say, seconds: float) -> None:
    try:
        with moving_gpus(folder) as environ:
            screen = application(folder / "none", **environ)
            screen.shows("detui")
            screen.press("4")
            screen.shows("H100")
            screen.read(_WARM)
            say("Devices, eight GPUs whose numbers move", _kib(rate(screen, seconds)), "0.5 KiB/s")
            screen.close()
            _nvitop(environ, say, seconds)
    except FileNotFoundError:
        say("Devices", "needs a C compiler", "0.5 KiB/s")


def _nvitop(environ: dict[str, str], say: Say, seconds: float) -> None:
    command = [str(Path(sys.executable).with_name("nvitop"))]
    screen = Terminal(command, {**os.environ, **environ, "TERM": "xterm-256color"}, SIZE)
    screen.read(_WARM, watch=False)
    say("  nvitop on the same GPUs", _kib(rate(screen, seconds)), "–")
    screen.close()


def _million(folder: Path, say: Say) -> None:
    """Opening a run with a million records: the first change of the screen, and the last step in its chart."""
    million_records(folder / "million")
    screen = application(folder / "million")
    screen.shows("baseline-s0")
    screen.quiet(2.0, most=120)
    screen.seen = b""
    begun = time.monotonic()
    screen.press("\r")
    while not screen.seen:
        screen.read(0.002, watch=False)
    say("a run of 1,000,000 records: first picture after the key", f"{time.monotonic() - begun:.2f} s", "0.1 s")
    longest = 0.0

    def complete() -> bool:  # the list's preview shows the last step too: the tabs tell the run's own screen
        return "Configuration" in screen.text() and "1000000" in screen.text(around="step  ")

    while not complete() and time.monotonic() - begun < 120:
        asked = time.monotonic()
        screen.press("L")  # draws the charts anew
        while not screen.read(0.01) and time.monotonic() - asked < 10:
            pass
        longest = max(longest, time.monotonic() - asked)
        screen.read(0.3)
    say("  complete, no later than", f"{time.monotonic() - begun:.1f} s", "3 s")
    say("  the longest wait for a key meanwhile", f"{longest * 1000:.0f} ms", "100 ms")
    screen.close()


_LEET_RUN = """
import sys, time, wandb
from crowds import values_at
run = wandb.init(mode="offline", dir=sys.argv[1], project="detui-bench")
for step in range(1, 100_000):
    run.log(values_at(step))
    time.sleep(0.25)
"""


def _leet(folder: Path, say: Say, seconds: float) -> None:
    """`wandb leet` on a run that logs the same five metrics as often."""
    name = "  wandb leet on an equivalent live run"
    if importlib.util.find_spec("wandb") is None:
        say(name, "wandb is not installed", "–")
        return
    folder.mkdir()
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1] / "workers"), "WANDB_SILENT": "true"}
    logging = subprocess.Popen([sys.executable, "-c", _LEET_RUN, str(folder)], env=environ, stdout=subprocess.DEVNULL)
    try:
        while not (found := list(folder.glob("wandb/offline-run-*/*.wandb"))):
            time.sleep(0.2)
        command = [sys.executable, "-m", "wandb", "leet", str(found[0])]
        screen = Terminal(command, {**environ, "TERM": "xterm-256color", "HOME": str(folder)}, SIZE)
        screen.read(_WARM, watch=False)
        say(name, _kib(rate(screen, seconds)), "–")
        screen.close()
    finally:
        logging.terminate()
        logging.wait()


def _tensorboard(folder: Path, say: Say, steps: int = 200_000) -> None:
    """TensorBoard's own reader on a million points: 200,000 steps of the five metrics."""
    if importlib.util.find_spec("tensorboard") is None or importlib.util.find_spec("tensorboardX") is None:
        say("  TensorBoard reading a million points", "not installed", "–")
        return
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(folder), max_queue=10_000) as writer:
        for step in range(1, steps + 1):
            for name, value in values_at(step).items():
                writer.add_scalar(name, value, step)
    begun = time.process_time()
    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    reader.Reload()
    say("  TensorBoard reading a million points, CPU", f"{time.process_time() - begun:.1f} s", "–")
