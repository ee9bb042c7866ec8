"""A program on a pseudo-terminal of its own, for tests that press keys and read what is written."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time


class Terminal:
    """A program on a pseudo-terminal."""

    def __init__(self, command: list[str], environ: dict[str, str], size: tuple[int, int] = (80, 24)) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ, start_new_session=True
        )
        os.close(theirs)
        self.seen = b""

    def read(self, seconds: float) -> bytes:
        """What the program writes within so many seconds."""
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
        return found

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
        os.close(self.ours)


def plain(raw: bytes) -> str:
    return re.sub(r"\x1b(\[[0-9;?<>=]*[ -/]*[@-~]|[()][AB0]|[=>78])", "", raw.decode(errors="replace"))
