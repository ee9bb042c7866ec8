"""`detui` on a real terminal: a pseudo-terminal of this test's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from terminals import Terminal, plain

from detui.engine.process.control import request, status
from detui.engine.process.control import wait as wait_for
from detui.engine.workspace import Workspace

DETUI = Path(sys.executable).with_name("detui")
_LEAVE = b"\x1b[?1049l"
"""What a terminal is told when the alternate screen is left."""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DETUI_", "XDG_", "TEXTUAL"))}
    return {**kept, "HOME": str(tmp_path), "DETUI_LEASES": str(tmp_path / "leases"), "TERM": "xterm-256color"}


@pytest.fixture
def terminal(workspace: Path, environ: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*arguments: str, **more: str) -> Terminal:
        opened.append(Terminal([str(DETUI), "--workspace", str(workspace), *arguments], {**environ, **more}))
        return opened[-1]

    yield start
    for one in opened:
        one.close()
    for experiment in Workspace.open(str(workspace)).experiments():
        for run in experiment.runs():
            if not status(run).state.terminal:
                request(run, "kill")
        wait_for(experiment.runs(), 30, evaluated=True)


def test_q_leaves_the_terminal_as_it_was(terminal: Callable[..., Terminal], written: Path) -> None:
    screen = terminal()
    screen.until("baseline-s0")
    screen.press("q")
    assert screen.end() == 0
    assert screen.seen.rstrip().rfind(_LEAVE) > 0


def test_a_list_that_stands_still_sends_nothing(terminal: Callable[..., Terminal], written: Path) -> None:
    screen = terminal()
    screen.until("baseline-s0")
    screen.read(2.0)
    assert len(screen.read(3.0)) == 0


def test_sigterm_restores_the_terminal(terminal: Callable[..., Terminal], written: Path) -> None:
    screen = terminal()
    screen.until("baseline-s0")
    screen.process.send_signal(signal.SIGTERM)
    assert screen.end() == 128 + signal.SIGTERM
    assert _LEAVE in screen.seen


@pytest.mark.parametrize("ending", ["q", "hang-up", "kill -9"])
def test_a_run_goes_on_whatever_happens_to_the_terminal(
    terminal: Callable[..., Terminal], workspace: Path, toy_recipe: Callable[..., Path],
    environ: dict[str, str], ending: str,
) -> None:  # fmt: skip
    command = [str(DETUI), "--workspace", str(workspace), "run", str(toy_recipe(epochs=600)), "--arm", "baseline"]
    subprocess.run([*command, "--detach"], env=environ, check=True, capture_output=True, timeout=60)
    run = Workspace.open(str(workspace)).run("baseline-s0")
    screen = terminal()
    screen.until("running")
    screen.press("\r")
    screen.until("step time")
    if ending == "q":
        screen.press("q")
        time.sleep(0.3)
        screen.press("q")
        assert screen.end() == 0
    else:
        screen.process.send_signal(signal.SIGHUP if ending == "hang-up" else signal.SIGKILL)
        screen.end()
    before = run.attempt(1).metrics_path.stat().st_size
    time.sleep(1.0)
    assert status(run).state.word == "running"
    assert run.attempt(1).metrics_path.stat().st_size > before


def test_a_dumb_terminal_gets_the_plain_list(terminal: Callable[..., Terminal], written: Path) -> None:
    screen = terminal(TERM="dumb")
    assert screen.end() == 0
    assert b"\x1b" not in screen.seen
    assert "the terminal is dumb" in plain(screen.seen)
    assert "baseline-s0" in plain(screen.seen)
