"""What `make bench` and the slow tests measure the terminal with: live runs, moving GPUs, a real terminal."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nvml_library import build
from terminals import Terminal
from toy_runs import end, toy_spec, until

from detui.engine.process.control import status
from detui.engine.process.launch import launch
from detui.engine.run.directory import RunDir
from detui.engine.run.files import write_json
from detui.engine.run.spec import DeviceRequest

DETUI = str(Path(sys.executable).with_name("detui"))
SIZE = (120, 40)


@contextmanager
def live_runs(workspace: Path, count: int) -> Iterator[list[RunDir]]:
    """Runs that log five metrics four times a second, each in a supervisor and a worker of its own."""
    runs = []
    for seed in range(count):
        device = DeviceRequest(kind="cpu", count=1, candidates=(f"cpu:{seed}",))
        spec = toy_spec(seed=seed, trainer="curves:CurveTrainer", device=device)
        runs.append(RunDir.create(workspace / "toy" / "runs" / spec.name, spec))
    about = {"title": {"en": "toy"}, "question": {"en": "?"}, "profile": "quick", "arms": [], "seeds": [0], "tags": []}
    names = [run.name for run in runs]
    write_json(workspace / "toy" / "experiment.json", {"id": "toy", "recipe": "toy/curves", "runs": names, **about})
    for run in runs:
        launch(run)
    try:
        until(lambda: all(status(run).state.word == "running" for run in runs), 30)
        yield runs
    finally:
        for run in runs:
            end(run)


def application(workspace: Path, *arguments: str, **more: str) -> Terminal:
    """The application on a terminal of 120 columns and 40 rows, away from this person's configuration."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "TEXTUAL"))}
    environ = {**kept, "HOME": str(workspace.parent), "TERM": "xterm-256color", **more}
    return Terminal([DETUI, "--workspace", str(workspace), *arguments], environ, SIZE)


def rate(screen: Terminal, seconds: float) -> float:
    """Bytes a second that come over so many seconds."""
    before = time.monotonic()
    found = screen.read(seconds, watch=False)
    return len(found) / (time.monotonic() - before)


@contextmanager
def moving_gpus(folder: Path, count: int = 8) -> Iterator[dict[str, str]]:
    """GPUs whose load, memory, power and temperature change every second: the environment that shows them.

    Raises FileNotFoundError where there is no C compiler.
    """
    built = build(folder)
    if built is None:
        raise FileNotFoundError("cc")
    answers, over, chosen = folder / "answers", threading.Event(), random.Random(1)

    def write() -> None:
        lines = [f"count={count}"]
        for gpu in range(count):
            values = {
                "uuid": f"GPU-{gpu:08d}-1111-1111-1111-111111111111", "name": "NVIDIA H100 80GB HBM3",
                "total": 80 << 30, "used": (60 << 30) + chosen.randrange(1 << 28), "util": chosen.randint(88, 100),
                "power": 1000 * chosen.randint(600, 700), "temp": chosen.randint(60, 66),
            }  # fmt: skip
            lines += (f"gpu{gpu}.{name}={value}" for name, value in values.items())
        partial = answers.with_suffix(".new")
        partial.write_text("\n".join(lines) + "\n")
        partial.replace(answers)

    def move() -> None:
        while not over.wait(1.0):
            write()

    write()
    mover = threading.Thread(target=move, daemon=True)
    mover.start()
    try:
        yield {"LD_LIBRARY_PATH": str(built), "NVML_STAND_IN": str(answers)}
    finally:
        over.set()
        mover.join()
