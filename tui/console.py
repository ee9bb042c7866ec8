"""The worker's output as lines of text, as it grows: progress bars and colours taken out."""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path

from detui.engine.run.directory import RunDir

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BLOCK = 1 << 18


def clean(line: str) -> str:
    """Return what a terminal would show of a line in the end: the last redraw, without escapes."""
    last = line.rstrip("\r").rsplit("\r", 1)[-1]
    return _CONTROL.sub("", _ESCAPES.sub("", last)).expandtabs().rstrip()


class ConsoleReader:
    """Reads console.log of a run, attempt after attempt; the first poll reads only the end of a long one."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._files: dict[int, _Console] = {}

    def poll(self) -> list[str]:
        """Return the lines that came since the last call."""
        found: list[str] = []
        for attempt in self._run.attempts():
            if attempt.number not in self._files:
                self._files[attempt.number] = _Console(attempt.console_path)
                if attempt.number > 1:
                    found.append(f"── attempt {attempt.number} ──")
            found += self._files[attempt.number].poll()
        return found


class _Console:
    """One growing console.log."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset: int | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._partial = ""

    def poll(self) -> list[str]:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return []
        try:
            content = self._read(descriptor)
        finally:
            os.close(descriptor)
        *lines, self._partial = (self._partial + self._decoder.decode(content)).split("\n")
        # A progress bar redraws one line for ever: only its last state is of interest.
        self._partial = self._partial.rsplit("\r", 1)[-1] if not self._partial.endswith("\r") else self._partial[-4096:]
        return [text for line in lines if (text := clean(line)) or not line.strip()]

    def _read(self, descriptor: int) -> bytes:
        if self._offset is None:
            self._offset = max(0, os.fstat(descriptor).st_size - _BLOCK)
        content = os.pread(descriptor, _BLOCK, self._offset)
        self._offset += len(content)
        return content
