"""`detui --host`: another host's detui over a real ssh, with and without a terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from secure_shell import Lab, script
from terminals import Terminal
from toy_runs import until

from detui.engine.process.control import request, supervised, wait
from detui.engine.workspace import Workspace

Writer = Callable[..., Path]
HOSTILE = ["it's", "a b", "$HOME", "`id`", "*", ";exit 7", "", "数据", "line\nbreak", "\\", "!", "--", "~", '"', "-x"]


def fails(done: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert "detui: error: " in done.stderr and "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr


def argv_there(lab: Lab, ending: str = "") -> None:
    """A program in the place of the other host's detui: it prints the words that it was given as JSON."""
    code = f"import json, sys; print(json.dumps(sys.argv[1:])); {ending}"
    (lab.there / "argv.py").write_text(code)
    script(lab.there / "argv", f'exec "{sys.executable}" "$(dirname "$0")/argv.py" "$@"')
    lab.configure(f"hosts:\n  lab: {{detui: {json.dumps(str(lab.there / 'argv'), ensure_ascii=False)}}}\n")


def test_data_comes_as_it_is_printed_there(lab: Lab, writer: Writer) -> None:
    writer(lab.workspace)
    done = lab.detui("--host", "lab", "ls", "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    assert found["experiment"] == "starter.mosaic-20261120-134500"
    assert found["path"] == str(lab.workspace / found["experiment"])
    assert done.stderr == ""
    assert not (lab.here / "logs").exists()


def test_every_word_arrives(lab: Lab) -> None:
    argv_there(lab)
    words = ["record", "show", *HOSTILE]
    done = lab.detui("--host", "lab", "--workspace", "/a b/$c", "--read-only", *words)
    assert json.loads(done.stdout) == ["--workspace", "/a b/$c", "--read-only", *words], done.stderr


def test_a_workspace_of_the_configuration(lab: Lab) -> None:
    argv_there(lab)
    program = json.dumps(str(lab.there / "argv"), ensure_ascii=False)
    lab.configure(f"hosts:\n  box: {{ssh: lab, detui: {program}, workspace: ~/logs}}\n")
    assert json.loads(lab.detui("--host", "box", "ls").stdout) == ["--workspace", "~/logs", "ls"]
    assert json.loads(lab.detui("--host", "box", "--workspace", "/x", "ls").stdout) == ["--workspace", "/x", "ls"]


@pytest.mark.parametrize("code", [0, 1, 2, 3, 130])
def test_the_exit_code_is_that_of_the_other_side(lab: Lab, code: int) -> None:
    argv_there(lab, f"sys.exit({code})")
    assert lab.detui("--host", "lab", "ls").returncode == code


def test_what_is_wrong_there_is_said_there(lab: Lab, writer: Writer) -> None:
    writer(lab.workspace)
    fails(lab.detui("--host", "lab", "tail", "nothing"), 3, "nothing")
    # A command that this detui does not know may be one of the other's; its own help is asked there, too.
    fails(lab.detui("--host", "lab", "lss"), 2, "Did you mean 'ls'?")
    assert "--active" in lab.detui("--host", "lab", "ls", "--help").stdout


def test_a_host_that_nobody_reaches(lab: Lab) -> None:
    fails(lab.detui("--host", "asleep", "ls"), 3, "asleep failed or broke", "ssh asleep true", "Connection refused")
    fails(lab.detui("--host", "laab.invalid", "ls"), 3, "laab.invalid failed or broke", "resolve")
    fails(lab.detui("--host", "laab", "ls"), 3, "--host lab, or ssh laab true")
    fails(lab.detui("--host", "-oProxyCommand=touch /tmp/x", "ls"), 2, "names no host")


def test_a_detui_that_is_not_there(lab: Lab) -> None:
    lab.configure("hosts:\n  lab: {detui: /nowhere/detui}\n")
    fails(lab.detui("--host", "lab", "ls"), 3, "no program '/nowhere/detui' on lab", "hosts: {lab: {ssh: lab, detui: ")
    lab.configure("hosts:\n  lab: {detui: /etc/passwd}\n")
    fails(lab.detui("--host", "lab", "ls"), 3, "cannot be run on lab")


def test_a_machine_without_ssh(lab: Lab) -> None:
    fails(lab.detui("--host", "lab", "ls", PATH="/nonexistent"), 3, "no program `ssh` here", "openssh-client")


def on_a_terminal(lab: Lab, *words: str, size: tuple[int, int] = (120, 30)) -> Terminal:
    return Terminal(lab.command("--host", "lab", *words), {**lab.environ, "TERM": "xterm-256color"}, size)


def test_the_application_opens_follows_the_window_and_quits(lab: Lab, writer: Writer) -> None:
    writer(lab.workspace)
    screen = on_a_terminal(lab)
    try:
        screen.shows("no-mosaic-s0")
        screen.resize(80, 24)
        screen.quiet()
        assert "? Keys" in screen.screen.display[23], "the line of keys stands in the last row of the smaller window"
        screen.press("q")
        assert screen.end() == 0
        assert b"Connection to" not in screen.seen, "ssh's own farewell is no news"
    finally:
        screen.close()


def test_ctrl_c_reaches_the_command_there(lab: Lab) -> None:
    """With a terminal, Ctrl-C is a key of the other side; the command there decides what it means."""
    argv_there(lab, "sys.stdout.flush(); import time\ntry: time.sleep(60)\nexcept KeyboardInterrupt: sys.exit(130)")
    screen = on_a_terminal(lab, "gpus", "--watch")
    try:
        screen.until('"--watch"')
        screen.press("\x03")
        assert screen.end() == 130
    finally:
        screen.close()


def test_a_command_on_a_terminal_has_one_there(lab: Lab) -> None:
    argv_there(lab, "import os; print(sys.stdin.isatty(), os.environ['TERM'], os.environ['COLORTERM'])")
    screen = Terminal(
        lab.command("--host", "lab", "ls"), {**lab.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    )
    try:
        assert screen.end() == 0
        screen.until("True xterm-256color truecolor")
    finally:
        screen.close()


def killed_connection(lab: Lab) -> None:
    """Kill what serves the connections of this server, as a network does that breaks: the daemon itself goes on."""
    daemon = lab.server.daemon.pid
    for child in Path(f"/proc/{daemon}/task/{daemon}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)


@pytest.mark.slow
def test_a_broken_connection_gives_the_terminal_back_and_the_run_goes_on(
    lab: Lab, toy_recipe: Callable[..., Path]
) -> None:
    recipe = toy_recipe(epochs=30, pause=0.2)
    started = lab.detui("--host", "lab", "run", str(recipe), "--devices", "cpu", "--arm", "baseline", "--detach")
    assert started.returncode == 0, started.stderr
    (run,) = Workspace.open(str(lab.workspace)).experiment("last").runs()
    screen = on_a_terminal(lab)
    try:
        screen.shows("running")
        killed_connection(lab)
        screen.until("failed or broke")
        assert screen.end() == 3
        assert screen.seen.rindex(b"\x1b[?1049l") < screen.seen.rindex(b"detui: error: "), "the message stands below"
        assert supervised(run)
        again = on_a_terminal(lab)
        try:
            again.shows("running")
            again.press("q")
            assert again.end() == 0
        finally:
            again.close()
        assert wait([run], 60)[0].state.word == "finished"
    finally:
        screen.close()
        if supervised(run):
            request(run, "kill")
            wait([run], 30)


def test_without_a_terminal_ctrl_c_ends_the_connection(lab: Lab) -> None:
    argv_there(lab, "sys.stdout.flush(); import time; time.sleep(5)")
    process = subprocess.Popen(
        lab.command("--host", "lab", "tail", "-f", "x"), env=dict(lab.environ), cwd=lab.here, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert json.loads(process.stdout.readline()) == ["tail", "-f", "x"]
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130


def test_a_sigterm_leaves_no_ssh_behind(lab: Lab) -> None:
    argv_there(lab, "sys.stdout.flush(); import time; time.sleep(5)")
    process = subprocess.Popen(
        lab.command("--host", "lab", "tail", "-f", "x"), env=dict(lab.environ), cwd=lab.here, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.terminate()
    process.communicate(timeout=20)
    until(lambda: not Path(f"/proc/{child}").exists())
