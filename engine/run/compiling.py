"""What a framework that compiles its kernels says of its progress: Jittor before its first step."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(r"Compiling ([\w ]+?)\((\d+)/(\d+)\) used: *([\d.e+]+) *s eta: *([\d.e+]+|inf|nan) *s")
_END = 2048
"""Bytes at the end of a log in which the newest line is looked for."""


@dataclass(frozen=True, slots=True)
class Compiling:
    """How far a compilation is."""

    what: str
    """As the framework calls it: jittor_core, Operators."""
    done: int
    total: int
    left: float | None
    """The seconds that the framework believes to need, None where it knows none."""


def progress(line: str) -> Compiling | None:
    """Return what a line says of a compilation; None for any other line."""
    found = _LINE.fullmatch(line.strip())
    if found is None:
        return None
    left = float(found[5])
    return Compiling(found[1], int(found[2]), int(found[3]), left if left < 1e6 else None)


def tidy(line: str) -> str:
    """Return a line that tells of a compilation in few words, and any other as it is."""
    one = progress(line)
    if one is None:
        return line
    left = "" if one.left is None else f", about {one.left:.0f} s left"
    return f"Compiling {one.what}: {one.done} of {one.total}{left}"


def compiling(console: Path) -> Compiling | None:
    """Return how far a compilation is whose line is the last of a log; None where something else was said since."""
    try:
        with console.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _END))
            end = file.read().decode("utf-8", "replace")
    except OSError:
        return None
    said = [line for line in re.split(r"[\r\n]+", end) if line.strip()]
    return progress(said[-1]) if said else None
