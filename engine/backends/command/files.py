"""Files that a program writes beside its output: followed as they grow, or taken up once they are whole."""

from __future__ import annotations

import glob
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from detui.engine.backends.command.rows import Tell
from detui.engine.backends.command.tfevents import EventReader
from detui.engine.worker.reporter import Reporter

_ZIP = b"PK\x03\x04"

Mark = tuple[int, int]
"""Size and time of a file, by which a change is seen."""


class Lines(Protocol):
    """What reads lines."""

    def read(self, line: str) -> None:
        """Read one line, without the space around it."""

    def end(self) -> None:
        """Report what waits for more: there is none."""


class Follower:
    """Reads the lines that are appended to files; what was there before the program started is left out."""

    def __init__(self, pattern: str, make: Callable[[], Lines], *, head: bool = False) -> None:
        """`pattern`: an absolute path with wildcards. `head`: the first line of a file is read in any case."""
        self._pattern, self._make, self._head = pattern, make, head
        self._before = {path: _size(path) for path in _found(pattern)}
        self._open: dict[str, tuple[Lines, int, bytes]] = {}

    def poll(self) -> None:
        """Read what is new."""
        for path in _found(self._pattern):
            reader, offset, rest = self._open.get(path) or self._opened(path)
            try:
                with Path(path).open("rb") as file:
                    file.seek(offset)
                    content = file.read()
            except OSError:
                continue
            *lines, left = (rest + content).split(b"\n")
            self._open[path] = (reader, offset + len(content), left)
            for line in lines:
                _read(reader, line)

    def _opened(self, path: str) -> tuple[Lines, int, bytes]:
        reader, offset = self._make(), self._before.get(path, 0)
        if self._head and offset:
            with Path(path).open("rb") as file:
                _read(reader, file.readline())
        return reader, offset, b""

    def end(self) -> None:
        """Read the last lines, also one that is not ended."""
        self.poll()
        for reader, _, rest in self._open.values():
            _read(reader, rest)
            reader.end()


class Events:
    """Reads scalars that are appended to TensorBoard event files."""

    def __init__(self, pattern: str, report: Reporter, entry: Mapping[str, Any], tell: Tell) -> None:
        """`pattern`: an absolute path with wildcards; of a folder all files below it."""
        self._pattern, self._report, self._tell = pattern, report, tell
        self._metrics = {tag: metric for metric, tag in entry["metrics"].items()}
        self._before = {path: _size(path) for path in self._files()}
        self._readers: dict[str, EventReader] = {}

    def _files(self) -> list[str]:
        folders = [path for path in _matching(self._pattern) if Path(path).is_dir()]
        below = [f"{glob.escape(folder)}/**/*tfevents*" for folder in folders]
        return sorted(path for pattern in (self._pattern, *below) for path in _found(pattern))

    def poll(self) -> None:
        """Report the scalars that are new; those of one step together."""
        for path in self._files():
            reader = self._readers.setdefault(path, EventReader(Path(path), self._before.get(path, 0)))
            of: dict[int, dict[str, float]] = {}
            for scalar in reader.poll():
                if scalar.tag in self._metrics:
                    of.setdefault(scalar.step, {})[self._metrics[scalar.tag]] = scalar.value
            for step in sorted(of):
                self._tell.event(of[step], step)
            if reader.damaged:
                self._report.alarm("output", f"{path} is damaged: what follows cannot be read.", about=path)

    def end(self) -> None:
        """Read the last ones."""
        self.poll()


class Whole:
    """Finds files that a program writes one after the other, once they are whole."""

    def __init__(self, patterns: list[str], told: Callable[[Path], None]) -> None:
        """`patterns`: absolute paths with wildcards. `told`: takes each file that is new, or was written anew."""
        self._patterns, self._told = patterns, told
        self._known = self._marks()
        self._seen: dict[str, Mark] = {}

    def _marks(self) -> dict[str, Mark]:
        paths = [path for pattern in self._patterns for path in _found(pattern)]
        marks = {path: _mark(path) for path in paths if not Path(path).is_symlink()}  # `latest.pth` names another
        return {path: mark for path, mark in marks.items() if mark is not None}

    def poll(self, *, last: bool = False) -> None:
        """Tell of files that did not change since the last look; at the `last` one of all that are whole."""
        seen, self._seen = self._seen, self._marks()
        new = [path for path, mark in self._seen.items() if self._known.get(path) != mark]
        for path in sorted(new, key=lambda path: self._seen[path][1]):
            if (last or seen.get(path) == self._seen[path]) and _is_whole(path):
                self._known[path] = self._seen[path]
                self._told(Path(path))

    def end(self) -> None:
        """Tell of the last ones."""
        self.poll(last=True)


def _found(pattern: str) -> list[str]:
    return sorted(path for path in _matching(pattern) if Path(path).is_file())


def _matching(pattern: str) -> list[str]:
    return glob.glob(pattern, recursive=True)  # noqa: PTH207 - the pattern is a whole path, whose names are escaped


def _mark(path: str) -> Mark | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _size(path: str) -> int:
    return (_mark(path) or (0, 0))[0]


def _is_whole(path: str) -> bool:
    """An archive, as torch.save writes, ends with its list of contents; of any other file the size must do."""
    try:
        with Path(path).open("rb") as file:
            begins = file.read(len(_ZIP))
    except OSError:
        return False
    return bool(begins) and (begins != _ZIP or zipfile.is_zipfile(path))


def _read(reader: Lines, line: bytes) -> None:
    text = line.decode(errors="replace").strip()
    if text:
        reader.read(text)
