"""Hold, release and front, from the command line and from the keys, on tickets that this process holds."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from detui.engine.process.places import position
from detui.engine.process.queue import Ticket, enter
from detui.engine.run.directory import RunDir
from detui.tui.app import DetuiApp

from .conftest import write_experiment
from .test_app import LARGE, play, shows, until

Detui = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def waiting(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[RunDir]]:
    """Three runs with a ticket each, in order, and one that has ended."""
    monkeypatch.setenv("DETUI_LEASES", str(tmp_path / "leases"))
    path = write_experiment(workspace, runs=dict.fromkeys(("a-s0", "b-s0", "c-s0"), "queued") | {"d-s0": "stopped"})
    runs = [RunDir(path / "runs" / name) for name in ("a-s0", "b-s0", "c-s0")]
    tickets: list[Ticket] = [enter(run, run.spec().device) for run in runs]
    yield runs
    for ticket in tickets:
        ticket.leave()


def test_the_commands(detui: Detui, waiting: list[RunDir]) -> None:
    done = detui("hold", "last")
    assert done.stderr.count("is held: it keeps its place") == 3
    assert "d-s0 was not asked: The run does not wait" in done.stderr
    assert all((run.control_dir / "hold").exists() for run in waiting)
    assert "is held already" in detui("hold", "a-s0").stderr
    assert "takes part" in detui("release", "a-s0").stderr
    assert "is not held" in detui("release", "a-s0").stderr
    found = json.loads(detui("front", "c-s0", "--json").stdout)
    assert [(answer["done"], "before the other runs" in answer["text"]) for answer in found] == [(True, True)]
    assert [position(run) for run in waiting] == [1, 2, 0]


@pytest.mark.parametrize("command", ["hold", "release", "front"])
def test_what_does_not_wait_is_refused(detui: Detui, waiting: list[RunDir], command: str) -> None:
    done = detui(command, "d-s0")
    assert done.returncode == 1
    assert "does not wait in the queue" in done.stderr and "detui ls" in done.stderr
    done = detui(command, "nope")
    assert done.returncode == 3 and "nope" in done.stderr


def test_the_keys(workspace: Path, waiting: list[RunDir]) -> None:
    held = [run.control_dir / "hold" for run in waiting]

    async def script(app: DetuiApp, pilot: Pilot[int]) -> None:
        await shows(app, pilot, "c-s0")
        await pilot.press("g", "h")
        await until(pilot, lambda: all(path.exists() for path in held))
        await pilot.press("h")
        await until(pilot, lambda: not any(path.exists() for path in held))
        await pilot.press("j", "j", "j", "F")
        await until(pilot, lambda: position(waiting[2]) == 0)

    play(workspace, script, LARGE)
