"""What a child says, a line at a time: an installer's lines, and those that a carriage return replaces."""

from __future__ import annotations

import os
import re
import select
import time
from collections.abc import Iterator
from typing import BinaryIO

_MOST = 65536


def lines_of(descriptor: int, log: BinaryIO, seconds: float | None) -> Iterator[str]:
    """Give what comes through a pipe until its end, line by line and without blanks; all of it goes to `log`.

    Raises TimeoutError once `seconds` are over, where they are given.
    """
    end = None if seconds is None else time.monotonic() + seconds
    rest = b""
    while True:
        left = None if end is None else end - time.monotonic()
        if left is not None and (left <= 0 or not select.select([descriptor], [], [], left)[0]):
            raise TimeoutError
        read = os.read(descriptor, _MOST)
        log.write(read)
        *whole, rest = re.split(rb"[\r\n]", rest + read) if read else (rest, b"")
        yield from (text for line in whole if (text := line.decode("utf-8", "replace").strip()))
        if not read:
            return
