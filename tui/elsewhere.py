"""`detui --host HOST …`: the application, or any command, of another host's detui, on this terminal."""

from __future__ import annotations

import os
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import click

from detui.tui.context import Session, pass_session

_SAVE = "\x1b7"
_LEAVE = (
    # The other side's screen, mouse, focus, pasting, sizes, keyboard and colours, as an application takes them: one
    # that was cut off gave nothing back. Leaving the screen puts the cursor where it was saved last.
    "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1004l\x1b[?2004l\x1b[?2048l\x1b[<u\x1b[?1049l"
    "\x1b[?25h\x1b[0m\x1b[J"
)


def words_of(session: Session) -> list[str]:
    """Return the global options that the other side is to have, too; its workspace is the host's affair."""
    given = {"--debug": session.debug, "--ascii": session.ascii_only, "--no-mouse": session.no_mouse,
             "--read-only": session.read_only}  # fmt: skip
    return [option for option, wanted in given.items() if wanted]


def go(session: Session, words: tuple[str, ...]) -> int:
    """Run the other host's detui with these words, without any its application; return its exit code.

    A terminal goes with it where this process has one on all three streams. Where the output goes elsewhere it is data,
    and arrives byte for byte. Raises MissingError where the host, or detui on it, cannot be reached.
    """
    from detui.engine.configuration import Configuration
    from detui.engine.remote import call, find_host
    from detui.engine.remote.ssh import problem

    host = find_host(Configuration.load(), session.host or "")
    if session.given is not None:
        host = replace(host, workspace=session.given)
    terminal = all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    with _given_back(terminal) as back:
        ended = call(host, [*words_of(session), *words], terminal=terminal)
        error = problem(host, ended)
        back["screen"] = error is not None and not words
    if error is not None:
        raise error
    return ended.code


@contextmanager
def _given_back(terminal: bool) -> Iterator[dict[str, bool]]:
    """Give the terminal back as it was; what is yielded says whether its screen must be taken back, too."""
    wanted = {"screen": False}
    if not terminal:
        yield wanted
        return
    before: list[Any] = termios.tcgetattr(sys.stdin.fileno())
    _write(_SAVE)
    try:
        yield wanted
    finally:
        if wanted["screen"]:
            _write(_LEAVE)
        with suppress(termios.error):  # the terminal itself has gone
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, before)


def _write(text: str) -> None:
    with suppress(OSError):
        os.write(sys.stdout.fileno(), text.encode())


@click.command(
    "elsewhere",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []},
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@pass_session
def command(session: Session, words: tuple[str, ...]) -> None:
    """Run any command of the other host's detui."""
    sys.exit(go(session, words))
