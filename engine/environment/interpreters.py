"""Which Python an environment is made with: one that is named, detui's own, or the newest on the PATH that fits."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from detui.engine.environment.pin_file import Pins, minor
from detui.engine.errors import MissingError, UsageError

_SECONDS = 30.0


def choose_python(pins: Pins, given: str | None) -> tuple[Path, str]:
    """Return an interpreter in the range of the pins, and its version.

    `given`: a path, or a command on the PATH. Raises MissingError where there is none, UsageError where the one that is
    given does not fit.
    """
    wanted = pins.file.python
    if given is not None:
        path = shutil.which(os.path.expanduser(given))  # noqa: PTH111 - a command's name is no path
        version = probe(Path(path)) if path else None
        if path is None or version is None:
            raise MissingError(f"There is no Python at {given}.", where="--python")
        if version not in wanted:
            text = f"{given} is Python {version}; {pins.name} needs {wanted}."
            raise UsageError(text, where="--python", hint=f"--python python{wanted.at_least}")
        return Path(path), version
    for candidate in _candidates(pins):
        if (version := probe(candidate)) is not None and version in wanted:
            return candidate, version
    hint = f"detui env create {pins.name} --python /path/to/python{wanted.at_least}"
    raise MissingError(f"{pins.name} needs Python {wanted}, and none is on the PATH.", hint=hint)


def _candidates(pins: Pins) -> Iterator[Path]:
    """Detui's own interpreter, then those on the PATH, the newest first."""
    yield Path(sys.executable)
    major, first = minor(pins.file.python.at_least)
    last = minor(pins.file.python.below)[1]
    names = [f"python{major}.{number}" for number in range(last - 1, first - 1, -1)]
    for name in (*names, "python3"):
        if (path := shutil.which(name)) is not None:
            yield Path(path)


def probe(python: Path) -> str | None:
    """Return the version of an interpreter, None where it does not run."""
    code = "import platform; print(platform.python_version())"
    try:
        done = subprocess.run(
            [str(python), "-I", "-S", "-c", code], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = done.stdout.strip().split("+")[0]
    return version if done.returncode == 0 and version.count(".") >= 2 else None
