"""A run goes on when the terminal that started it closes."""

from __future__ import annotations

import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from secure_shell import Server
from terminals import Terminal
from toy_runs import MakeRun, steps_made, until

from detui.engine.process.control import supervised, wait
from detui.engine.process.identity import Identity
from detui.engine.process.launch import launch
from detui.engine.run.directory import RunDir
from detui.engine.run.files import write_json
from detui.engine.run.history import load_history

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


@pytest.fixture
def ssh(ssh_server: Server) -> list[str]:
    """The beginning of a command line that logs in at a real sshd on loopback."""
    return ["ssh", "-tt", "-F", str(ssh_server.config), "-o", "LogLevel=ERROR", "lab"]


@pytest.mark.fault("the SSH connection breaks", "trains on")
@pytest.mark.parametrize("end", ["client", "server"])
def test_the_connection_breaks(make_run: MakeRun, ssh: list[str], end: str) -> None:
    run = make_run({"seconds": 0.1, "steps": 40})
    words = ["env", f"DETUI_LEASES={os.environ['DETUI_LEASES']}", sys.executable, "-c", LAUNCH, str(run.path)]
    session = subprocess.Popen([*ssh, shlex.join(words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    until(lambda: steps_made(run) >= 2, 30)
    terminal = _terminal_of(run.path)
    if end == "client":
        session.kill()  # a laptop that is closed: the server sees the connection end
    else:
        os.kill(terminal, signal.SIGHUP)
    session.communicate(timeout=30)
    until(lambda: not Path(f"/proc/{terminal}").exists())
    assert supervised(run)
    assert wait([run], 60)[0].state.word == "finished"
    assert load_history(run).series("train/loss_toy")[0] == list(range(1, 41))


@pytest.mark.parametrize("compression", ["yes", "no"])
def test_the_application_over_ssh(make_run: MakeRun, ssh: list[str], compression: str) -> None:
    """It opens, answers keys, follows a resize, and gives the terminal back; the run does not notice."""
    run = make_run({"seconds": 0.1, "steps": 100})
    about = {"title": {"en": "toy"}, "question": {"en": "?"}, "profile": "quick", "arms": [], "seeds": [0]}
    write_json(run.experiment_dir / "experiment.json", {"id": "toy", "recipe": "toy", "runs": [run.name], **about})
    launch(run)
    detui = [str(Path(sys.executable).with_name("detui")), "--workspace", str(run.experiment_dir.parent)]
    words = ["env", f"DETUI_LEASES={os.environ['DETUI_LEASES']}", "TERM=xterm-256color", *detui]
    command = [*ssh[:-1], "-o", f"Compression={compression}", ssh[-1], shlex.join(words)]
    screen = Terminal(command, {**os.environ, "TERM": "xterm-256color"}, (120, 40))
    try:
        screen.shows("running")
        screen.resize(100, 30)
        screen.press("\r")
        screen.shows("step time")
        screen.press("q")
        screen.shows(run.name)
        screen.press("q")
        assert screen.end() == 0
    finally:
        screen.close()
    assert wait([run], 60)[0].state.word == "finished"


def _terminal_of(run: Path) -> int:
    """The pid of the program that was started in the SSH session for this run."""
    for found in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = found.read_bytes().split(b"\0")
        except OSError:
            continue
        if LAUNCH.encode() in words and os.fsencode(run) in words and words[0] == sys.executable.encode():
            return int(found.parent.name)
    raise AssertionError("nothing runs in the session")
