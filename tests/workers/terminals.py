"""A program on a pseudo-terminal of its own, for tests that press keys and read what is written."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pyte


def _take_terminal() -> None:
    """Make standard input the controlling terminal: only then do hang-ups, resizes and job control arrive."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A program on a pseudo-terminal, with an emulator that shows what a person would see."""

    def __init__(self, command: list[str], environ: dict[str, str], size: tuple[int, int] = (80, 24)) -> None:
        self.ours, theirs = pty.openpty()
        self.screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self.screen)
        self.resize(*size)
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ, start_new_session=True,
            preexec_fn=_take_terminal,
        )  # fmt: skip
        os.close(theirs)
        self.seen = b""
        self._hung_up = False

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size; the program is told by the kernel."""
        self.screen.resize(rows, columns)
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds: float, *, watch: bool = True) -> bytes:
        """What the program writes within so many seconds; shown on the screen, unless nobody watches."""
        found, end = b"", time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and select.select([self.ours], [], [], left)[0]:
            try:
                block = os.read(self.ours, 65536)
            except OSError:  # the last process on the terminal has gone
                break
            if not block:
                break
            found += block
        self.seen += found
        if watch:
            self._stream.feed(_understood(found))
        return found

    def text(self, around: str = "") -> str:
        """The lines on the screen that hold this, all of them where nothing is asked for."""
        return "\n".join(line for line in self.screen.display if around in line)

    def shows(self, part: str, seconds: float = 30) -> None:
        """Wait until this stands on the screen."""
        end = time.monotonic() + seconds
        while part not in self.text():
            assert time.monotonic() < end, self.text()
            self.read(0.1)

    def quiet(self, seconds: float = 0.5, most: float = 20) -> None:
        """Read until nothing comes for so long."""
        end = time.monotonic() + most
        while self.read(seconds):
            assert time.monotonic() < end, "it never stands still"

    def agrees(self, key: str | None = None) -> None:
        """Check that what differences have built up is what the program sends when it draws everything again.

        It does so at that key, or else at SIGCONT.
        """
        self.quiet()
        before = list(self.screen.display)
        self.screen.erase_in_display(2)
        self.press(key) if key else self.process.send_signal(signal.SIGCONT)
        self.read(0.5)
        self.quiet()
        after = list(self.screen.display)
        assert after == before, "\n".join(["before:", *before, "after:", *after])

    def until(self, part: str, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while part not in plain(self.seen):
            assert time.monotonic() < end, plain(self.seen)[-2000:]
            self.read(0.1)

    def press(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def end(self, seconds: float = 20) -> int:
        """Wait for the program to end, reading what it says."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, plain(self.seen)[-2000:]
            self.read(0.1)
        self.read(0.2)
        return self.process.returncode

    def close(self) -> None:
        """Kill what still runs, and give the terminal up."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.hang_up()

    def hang_up(self) -> None:
        """Close the terminal, as when a window is closed."""
        if not self._hung_up:
            self._hung_up = True
            os.close(self.ours)


def _understood(raw: bytes) -> bytes:
    """Leave out the keyboard protocol, which the emulator would show as text."""
    return re.sub(rb"\x1b\[[<>=][0-9;]*u", b"", raw)


def plain(raw: bytes) -> str:
    return re.sub(r"\x1b(\[[0-9;?<>=]*[ -/]*[@-~]|[()][AB0]|[=>78])", "", raw.decode(errors="replace"))
