"""`detui` on a real terminal: a pseudo-terminal of this test's own."""

from __future__ import annotations

import fcntl
import os
import random
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from terminals import Terminal, plain

from detui.engine.process.control import request, status
from detui.engine.process.control import wait as wait_for
from detui.engine.run.directory import RunDir
from detui.engine.workspace import Workspace

DETUI = Path(sys.executable).with_name("detui")
_LEAVE = b"\x1b[?1049l"
"""What a terminal is told when the alternate screen is left."""


_MOUSE = re.compile(rb"\x1b\[\?100[0-36]h")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DETUI_", "XDG_", "TEXTUAL"))}
    return {**kept, "HOME": str(tmp_path), "DETUI_LEASES": str(tmp_path / "leases"), "TERM": "xterm-256color"}


@pytest.fixture
def terminal(workspace: Path, environ: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*arguments: str, size: tuple[int, int] | None = None, **more: str) -> Terminal:
        command = [str(DETUI), "--workspace", str(workspace), *arguments]
        opened.append(Terminal(command, {**environ, **more}, size or (120, 40)))
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
    screen.shows("r running")
    screen.press("\r")
    screen.shows("step time")
    if ending == "q":
        screen.press("q")
        time.sleep(0.3)
        screen.press("q")
        assert screen.end() == 0
    elif ending == "hang-up":
        screen.hang_up()
        screen.process.wait(20)
    else:
        screen.process.send_signal(signal.SIGKILL)
        screen.end()
    before = run.attempt(1).metrics_path.stat().st_size
    time.sleep(1.0)
    assert status(run).state.word == "running"
    assert run.attempt(1).metrics_path.stat().st_size > before


def test_a_terminal_that_goes_without_a_hang_up_ends_it_too(workspace: Path, environ: dict[str, str]) -> None:
    """As below `setsid`, or in a container whose client was killed: nobody sends SIGHUP."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [str(DETUI), "--workspace", str(workspace)]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ, start_new_session=True)
    os.close(theirs)
    seen = b""
    while b"No experiments" not in seen:
        seen += os.read(ours, 65536)
    os.close(ours)
    assert process.wait(timeout=20) == -signal.SIGHUP


def test_a_dumb_terminal_gets_the_plain_list(terminal: Callable[..., Terminal], written: Path) -> None:
    screen = terminal(TERM="dumb")
    assert screen.end() == 0
    assert b"\x1b" not in screen.seen
    assert "the terminal is dumb" in plain(screen.seen)
    assert "baseline-s0" in plain(screen.seen)


def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_again(
    workspace: Path, environ: dict[str, str], written: Path
) -> None:
    shell = Terminal(["bash", "--norc", "--noprofile", "-i"], {**environ, "PS1": "shell> "}, (120, 40))
    try:
        shell.until("shell>")
        shell.press(f"{shlex.join([str(DETUI), '--workspace', str(workspace)])}\n")
        shell.shows("baseline-s0")
        shell.quiet()
        before = list(shell.screen.display)
        for _ in range(2):
            shell.seen = b""
            shell.press("\x1a")
            shell.until("Stopped")
            assert _LEAVE in shell.seen
            shell.press("clear; echo $((40 + 2)) of them\n")
            shell.shows("42 of them")
            shell.press("fg\n")
            shell.shows("no-mosaic-s0")
            shell.agrees("\x0c")
            assert list(shell.screen.display) == before
        shell.press("j")
        shell.shows("> S stopped")
        shell.seen = b""
        shell.press("q")
        shell.until("shell> ")
        shell.press("exit\n")
        assert shell.end() == 0
    finally:
        shell.close()


@pytest.mark.slow
def test_a_storm_of_resizes(terminal: Callable[..., Terminal], written: Path) -> None:
    screen = terminal()
    screen.shows("baseline-s0")
    chosen = random.Random(5)
    for _ in range(300):
        screen.resize(chosen.randint(1, 200), chosen.randint(1, 60))
        screen.read(0.005)
    screen.resize(100, 30)
    screen.shows("baseline-s0")
    screen.agrees()
    # There and back again: Textual sees the size that it knows, and yet the terminal may show anything.
    screen.resize(50, 10)
    screen.resize(100, 30)
    screen.agrees()
    screen.press("q")
    assert screen.end() == 0


@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (20, 5), (40, 3)])
def test_a_terminal_that_is_too_small(
    terminal: Callable[..., Terminal], written: Path, columns: int, rows: int
) -> None:
    screen = terminal(size=(columns, rows))
    screen.quiet(1.0)
    for key in ("j", "\r", "?", "\x1b"):
        screen.press(key)
        screen.read(0.3)
    screen.resize(120, 40)
    screen.shows("no-mosaic-s0")
    screen.press("q")
    time.sleep(0.5)
    screen.press("q")
    assert screen.end() == 0


@pytest.mark.slow
def test_a_terminal_that_does_not_read_holds_nothing_up(
    terminal: Callable[..., Terminal], workspace: Path, toy_recipe: Callable[..., Path], environ: dict[str, str]
) -> None:
    command = [str(DETUI), "--workspace", str(workspace), "run", str(toy_recipe(epochs=600)), "--arm", "baseline"]
    subprocess.run([*command, "--detach"], env=environ, check=True, capture_output=True, timeout=60)
    run = Workspace.open(str(workspace)).run("baseline-s0")
    screen = terminal()
    screen.shows("running")
    before = run.attempt(1).metrics_path.stat().st_size
    until = time.monotonic() + 10
    while time.monotonic() < until:
        screen.press("\x0c")  # some seven kilobytes a time, which nobody reads
        time.sleep(0.05)
    screen.press("?")
    assert status(run).state.word == "running"
    assert run.attempt(1).metrics_path.stat().st_size > before
    screen.shows("Keys", 3)
    # Two hundred pictures were asked for; what waited is a buffer of the kernel's and the last difference.
    assert len(screen.seen) < 300_000
    for _ in range(2):  # the help, then the application
        screen.press("q")
        screen.read(1.0)
    assert screen.end() == 0


def test_no_mouse_asks_the_terminal_for_no_mouse(terminal: Callable[..., Terminal], written: Path) -> None:
    with_mouse, without = terminal(), terminal("--no-mouse")
    for screen in (with_mouse, without):
        screen.shows("baseline-s0")
        screen.press("q")
        assert screen.end() == 0
    assert _MOUSE.search(with_mouse.seen)
    assert not _MOUSE.search(without.seen)


def test_read_only_asks_nothing_of_a_run(terminal: Callable[..., Terminal], written: Path) -> None:
    screen = terminal("--read-only")
    screen.shows("baseline-s0")
    screen.press("x")
    screen.shows("--read-only")
    screen.press("q")
    assert screen.end() == 0


def test_ascii_sends_ascii(terminal: Callable[..., Terminal], written: Path) -> None:
    screen = terminal("--ascii")
    screen.shows("baseline-s0")
    for key, part in (("\r", "step"), ("?", "eys"), ("\x1b", "step"), ("q", "baseline-s0"), ("4", "Devices")):
        screen.press(key)
        screen.shows(part)
        screen.quiet()
    assert not re.findall(r"[^\x00-\x7f]", screen.seen.decode())


def test_a_terminal_of_sixteen_colours(terminal: Callable[..., Terminal], written: Path) -> None:
    screen = terminal(TERM="screen", COLORTERM="")
    screen.shows("baseline-s0")
    screen.press("\r")
    screen.shows("step")
    sent = b";".join(re.findall(rb"\x1b\[([\d;]+)m", screen.seen)).split(b";")
    assert {b"31", b"32", b"33", b"36", b"91", b"92", b"93", b"96"} & set(sent)
    assert not {b"38", b"48"} & set(sent)


def test_no_color_is_grey(terminal: Callable[..., Terminal], written: Path) -> None:
    screen = terminal(NO_COLOR="1", COLORTERM="truecolor")
    screen.shows("baseline-s0")
    screen.press("\r")
    screen.shows("step")
    colours = re.findall(rb"[34]8;2;(\d+);(\d+);(\d+)", screen.seen)
    assert all(red == green == blue for red, green, blue in colours)
    assert colours or not re.search(rb"\x1b\[3[1-6]m", screen.seen)


@pytest.mark.slow
def test_what_differences_build_up_is_the_whole_picture(terminal: Callable[..., Terminal], written: Path) -> None:
    screen = terminal("--no-mouse", LANG="C.UTF-8")
    screen.shows("baseline-s0")
    for key in ("j", "k", "\r", "q", "2", "j", "1", "?", "\x1b"):
        screen.press(key)
        screen.read(0.2)
        if key == "2":
            screen.shows("missing: data nuscenes_frame")  # they are read one by one, with pauses between
        screen.agrees()


@pytest.mark.slow
@pytest.mark.parametrize(("tmux", "sent"), [("", b"\x1b]9;detui: "), ("/tmp/tmux", b"\x1bPtmux;\x1b\x1b]9;detui: ")])
def test_a_notice_reaches_the_terminal_and_costs_no_redraw(
    terminal: Callable[..., Terminal], written: Path, tmp_path: Path, tmux: str, sent: bytes
) -> None:
    settings = tmp_path / ".config/detui/terminal.json"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"notify": "message"}')
    run = RunDir(written / "runs/no-mosaic-s0")
    screen = terminal(TMUX=tmux)
    screen.shows("S stopped")
    run.append_event("queued")
    screen.shows("q queued")
    screen.quiet(1.5)
    screen.seen = b""
    run.append_event("crashed", attempt=1, signal="SIGSEGV")
    screen.shows("C crashed")
    screen.quiet(1.5)
    assert sent + f"{written.name}/no-mosaic-s0 crashed".encode() in screen.seen
    assert b"\a" in screen.seen
    # The rows, and another run's preview; what is sent unchanged is several times as much.
    screen.seen = b""
    screen.press("j")
    screen.quiet(1.0)
    assert 0 < len(screen.seen) < 5000
