"""Append-only files of one JSON object a line: one writer, any number of readers.

A line is one `write()` on an O_APPEND descriptor, so a killed writer loses
nothing that was acknowledged, and a reader never sees two lines mixed.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from detui.engine.run.files import SCHEMA, check_schema, encode

_encode_fast = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_BLOCK = 1 << 20


class LineWriter:
    """Appends objects to a line file. Raises OSError where the file system refuses; nothing torn stays."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        self._fresh = self._terminate_torn_tail() == 0

    def _terminate_torn_tail(self) -> int:
        """End a line that a dead writer left open: the next would be glued to it. Returns the size."""
        size = os.fstat(self._fd).st_size
        if size and os.pread(self._fd, 1, size - 1) != b"\n":
            os.write(self._fd, b"\n")
        return size

    def write(self, obj: dict[str, Any]) -> None:
        """Append one line; the first line of a file carries `schema`."""
        self.write_bytes(self.line(obj))

    def line(self, obj: dict[str, Any]) -> bytes:
        """Return the line that `write` would append for `obj`."""
        if self._fresh and "schema" not in obj:
            obj = {"schema": SCHEMA, **obj}
        try:
            return _encode_fast(obj).encode() + b"\n"
        except (ValueError, TypeError):  # a non-finite number, or a foreign type: the careful way
            return encode(obj) + b"\n"

    def write_bytes(self, line: bytes) -> None:
        """Append one encoded line, or leave the file as it was. Raises OSError."""
        written = os.write(self._fd, line)
        if written != len(line):
            # A full disk takes a part; the next append after space returned would be glued to it and lost.
            os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self._fresh = False

    def sync(self) -> None:
        """Make everything written so far survive a power failure."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        descriptor, self._fd = self._fd, -1
        if descriptor >= 0:
            os.close(descriptor)


class LineReader:
    """Reads a line file as it grows. Opens it anew at each poll: NFS shows new lines only then."""

    def __init__(self, path: Path, containing: tuple[str, ...] = ()) -> None:
        """`containing`: skip the lines that hold none of these texts, which is cheaper than to parse them."""
        self.path = path
        self._containing = tuple(text.encode() for text in containing)
        self.damaged = 0
        """Whole lines that are not JSON objects, and were skipped."""
        self.restarts = 0
        """How often the file was replaced or cut below what had been read; reading then began again."""
        self.behind = False
        """Whether the last poll stopped at its limit."""
        self._offset = 0
        self._identity: tuple[int, int] | None = None

    def poll(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the whole lines that came since the last call; read at most about `limit` bytes.

        A partial last line is "not yet"; an absent file has no lines. Raises
        FormatError where a newer detui wrote the file.
        """
        return self.parse(self.read(limit))

    def read(self, limit: int | None = None) -> bytes:
        """Return the text of the lines that `poll` would return."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return b""
        try:
            self._recognise(os.fstat(descriptor))
            return self._read(descriptor, limit)
        finally:
            os.close(descriptor)

    def _recognise(self, found: os.stat_result) -> None:
        """Start over if this is no longer the file that was read."""
        identity = (found.st_dev, found.st_ino)
        if self._identity not in (None, identity) or found.st_size < self._offset:
            self._offset, self.damaged = 0, 0
            self.restarts += 1
        self._identity = identity

    def _read(self, descriptor: int, limit: int | None) -> bytes:
        """Return whole lines from the offset on, and move it past them."""
        blocks: list[bytes] = []
        position, wanted = self._offset, limit or 1 << 62
        whole, self.behind = False, True
        while not (whole and position - self._offset >= wanted):
            block = os.pread(descriptor, _BLOCK, position)
            if not block:
                self.behind = False
                break
            blocks.append(block)
            position += len(block)
            whole = whole or b"\n" in block
        content = b"".join(blocks)
        end = content.rfind(b"\n") + 1
        self._offset += end
        return content[:end]

    def parse(self, content: bytes) -> list[dict[str, Any]]:
        """Return the objects of whole lines that `read` returned. Raises FormatError as `poll` does."""
        found = []
        for line in content.split(b"\n"):
            if not line or (self._containing and not any(text in line for text in self._containing)):
                continue
            try:
                obj = json.loads(line)
            except ValueError:
                self.damaged += 1
                continue
            if not isinstance(obj, dict):
                self.damaged += 1
                continue
            if "schema" in obj:
                check_schema(obj, self.path)
            found.append(obj)
        return found


def lines_from_end(path: Path, size: int = 16 << 10) -> Iterator[dict[str, Any]]:
    """Yield the whole lines among the last `size` bytes of a line file, the last first; an absent file has none.

    Raises FormatError where a line says that a newer detui wrote it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        begin = max(0, os.fstat(descriptor).st_size - size)
        content = os.pread(descriptor, size, begin)
    finally:
        os.close(descriptor)
    lines = content[: content.rfind(b"\n") + 1].split(b"\n")
    for line in reversed(lines[1:] if begin else lines):  # the first of a tail is cut in its middle
        try:
            obj = json.loads(line) if line else None
        except ValueError:
            continue
        if isinstance(obj, dict):
            if "schema" in obj:
                check_schema(obj, path)
            yield obj


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return every whole line of a line file; an absent file has none."""
    return LineReader(path).poll()
