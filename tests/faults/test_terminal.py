"""A run goes on when the terminal that started it closes."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toy_runs import MakeRun, steps_made, until

from detui.engine.process.control import supervised, wait
from detui.engine.process.identity import Identity
from detui.engine.run.directory import RunDir

LAUNCH = (
    "import sys, time; from pathlib import Path\n"
    "from detui.engine.process.launch import launch; from detui.engine.run.directory import RunDir\n"
    "launch(RunDir(Path(sys.argv[1]))); print('launched', flush=True); time.sleep(600)"
)


def launch_on_a_terminal(run: RunDir) -> tuple[int, int]:
    """Start a process on a new pseudo-terminal that launches the run and stays. Returns (pid, terminal)."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", LAUNCH, str(run.path)])
    seen = b""
    while b"launched" not in seen:
        seen += os.read(terminal, 1024)
    return pid, terminal


def open_files(pid: int) -> set[str]:
    return {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}


@pytest.mark.fault("the terminal closes (PTY hang-up)", "trains on")
def test_closing_the_terminal(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.1})
    pid, terminal = launch_on_a_terminal(run)
    until(lambda: steps_made(run) >= 2)
    for found in (run.owner(), run.attempt(1).worker()):
        held = open_files((found or {})["pid"])
        assert not [name for name in held if name.startswith(("/dev/pts", "/dev/tty", "/dev/ptmx"))], (
            "no descriptor of the terminal"
        )
    os.close(terminal)  # the kernel sends SIGHUP to everything in its session
    os.waitpid(pid, 0)
    before = steps_made(run)
    state = wait([run], 30)[0].state
    assert state.word == "finished" and before < 20


def test_hang_up_and_interrupt_of_the_supervisor(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.1})
    pid, terminal = launch_on_a_terminal(run)
    until(lambda: steps_made(run) >= 2)
    for found in (run.owner(), run.attempt(1).worker()):
        identity = Identity.from_json(found)
        assert identity is not None and identity.signal(signal.SIGINT)
    owner = Identity.from_json(run.owner())
    assert owner is not None and owner.signal(signal.SIGHUP)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(terminal)
    assert wait([run], 30)[0].state.word == "finished"


def test_the_launcher_has_no_child_and_no_zombie(make_run: MakeRun) -> None:
    run = make_run({"seconds": 0.05})
    pid, terminal = launch_on_a_terminal(run)
    assert Path(f"/proc/{pid}/task/{pid}/children").read_text() == ""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(terminal)
    assert wait([run], 30)[0].state.word == "finished"


@pytest.mark.fault("`tmux kill-server`", "trains on")
def test_tmux_kill_server(make_run: MakeRun, tmp_path: Path) -> None:
    import shutil

    import pytest

    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    run = make_run({"seconds": 0.1})
    server = ["tmux", "-S", str(tmp_path / "socket")]
    subprocess.run([*server, "new-session", "-d", sys.executable, "-c", LAUNCH, str(run.path)], check=True)
    until(lambda: steps_made(run) >= 2)
    subprocess.run([*server, "kill-server"], check=True)
    time.sleep(0.3)
    assert supervised(run)
    assert wait([run], 30)[0].state.word == "finished"
