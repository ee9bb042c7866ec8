"""The signals of a terminal: ended by somebody, sent to the background, brought back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from types import FrameType

_TERMINATED = 128 + signal.SIGTERM


def listen(end: Callable[[int], object], continued: Callable[[], object]) -> None:
    """Call `end` with the exit code at SIGTERM, and `continued` when the process goes on after a stop.

    SIGTERM alone would leave the terminal in its alternate screen. SIGHUP is left alone: there is no terminal any more,
    and a handler that exits would hang. Must be called in the main thread, with the event loop running.
    """
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end, _TERMINATED)
    _guard_continuing(continued)


def end_without_terminal() -> None:
    """End as a hang-up would where the terminal has gone without one: `setsid`, a container whose client was killed.

    Textual's input thread would read the end of the file for ever, with a whole core.
    """
    try:
        there = os.isatty(0)
    except OSError:
        there = False
    if not there:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGHUP)


def _guard_continuing(afterwards: Callable[[], object]) -> None:
    """Let Textual take the terminal again only where it has given it away.

    Its handler for SIGCONT starts a second input thread also after a SIGSTOP, which it never saw, and then cannot end.
    """
    suspend, resume = signal.getsignal(signal.SIGTSTP), signal.getsignal(signal.SIGCONT)
    if not callable(suspend) or not callable(resume):
        return  # without a terminal the driver listens to neither
    away = False

    def suspended(number: int, frame: FrameType | None) -> None:
        nonlocal away
        away = True
        suspend(number, frame)

    def continued(number: int, frame: FrameType | None) -> None:
        nonlocal away
        if away:
            away = False
            resume(number, frame)
        afterwards()

    signal.signal(signal.SIGTSTP, suspended)
    signal.signal(signal.SIGCONT, continued)
