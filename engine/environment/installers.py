"""uv or pip: the commands that make a virtual environment and install into it, and running them with a log.

Both read the person's own configuration (pip.conf and PIP_…, uv.toml and
UV_…): where packages come from is said there and nowhere in detui.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from detui.engine.environment.output import lines_of
from detui.engine.environment.pin_file import Step
from detui.engine.errors import MissingError, RunError

INSTALLERS = ("uv", "pip")
"""What may install; the first that is there does, where nobody says."""

_LEFT_OUT = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
"""What would make an interpreter look into another environment."""
_GRACE = 5.0
"""Seconds that an installer gets to end by itself after a request to."""


@dataclass(frozen=True, slots=True)
class Installer:
    """How virtual environments are made and filled."""

    name: str
    """uv or pip."""
    program: str | None = None
    """The path of uv."""
    own: bool = True
    """pip only: whether detui's own pip installs, so that the new environment needs none."""

    def make(self, python: Path, folder: Path) -> list[str]:
        """The command that makes an empty virtual environment of that interpreter."""
        if self.program is not None:
            return [self.program, "venv", "--no-python-downloads", "--python", str(python), str(folder)]
        without = ["--without-pip"] if self.own else []
        return [str(python), "-m", "venv", *without, str(folder)]

    def install(self, folder: Path, step: Step) -> list[str]:
        """The command that installs one step of the pins."""
        python = str(folder / "bin" / "python")
        if self.program is not None:
            command = [self.program, "pip", "install", "--python", python]
        else:
            pip = [sys.executable, "-m", "pip", "--python", python] if self.own else [python, "-m", "pip"]
            command = [*pip, "install", "--progress-bar", "off"]
        command += [] if step.dependencies else ["--no-deps"]
        command += [] if step.build_isolation else ["--no-build-isolation"]
        return [*command, *step.packages]


def choose_installer(name: str | None, environ: Mapping[str, str] | None = None) -> Installer:
    """Return uv where it is on the PATH, else pip; or the one that is named. Raises MissingError without it."""
    environ = os.environ if environ is None else environ
    uv = shutil.which("uv", path=environ.get("PATH"))
    if name == "uv" and uv is None:
        raise MissingError("There is no uv on the PATH.", hint="--installer pip")
    if uv is not None and name != "pip":
        return Installer("uv", uv)
    return Installer("pip", own=find_spec("pip") is not None)


def environment_of_child(inherited: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for a process that must see the new environment alone."""
    kept = {name: value for name, value in inherited.items() if name not in _LEFT_OUT}
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PYTHONUNBUFFERED": "1"}
    return {**kept, **quiet, **more}


def run_logged(
    command: Sequence[str],
    log: BinaryIO,
    environ: Mapping[str, str],
    tell: Callable[[str], None],
    lock: int,
    seconds: float | None = None,
) -> None:
    """Run a command, everything that it says going to `log` and, a line at a time, to `tell`.

    It inherits the descriptor `lock`. Whatever ends this function early ends the command and all that it started, and
    so does `seconds`, where it is given: how long the command may take.
    Raises RunError with its exit code and last lines, or where it took too long; OSError where the log cannot be
    written.
    """
    log.write(f"$ {' '.join(command)}\n".encode("utf-8", "surrogateescape"))
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environ),
            pass_fds=[lock],
            start_new_session=True,  # Ctrl-C on the terminal is ours: we end it, and take back what is half made
        )
    except OSError as error:
        raise RunError(f"Cannot start {command[0]}: {error.strerror}.") from error
    last: list[str] = []
    try:
        assert process.stdout is not None
        # A pipe rather than the log itself: if detui is killed, the installer ends at the next line that it writes.
        for text in lines_of(process.stdout.fileno(), log, seconds):
            last = [*last[-30:], text]
            tell(text)
        code = process.wait()
    except TimeoutError:
        _end(process)
        said = "\n".join([f"{Path(command[0]).name} was not done after {seconds:g} s and was ended:", *last[-2:]])
        raise RunError(said) from None
    except BaseException:
        _end(process)
        raise
    finally:
        if process.stdout is not None:
            process.stdout.close()
    if code:
        how = f"exit code {code}" if code > 0 else f"signal {-code}"
        raise RunError("\n".join([f"{Path(command[0]).name} failed ({how}):", *_telling(last)]))


def _telling(lines: Sequence[str]) -> list[str]:
    """The one or two last lines that say why: installers write advice after their errors."""
    errors = [line for line in lines if "error" in line.lower() or "No space left" in line]
    return list(errors or lines)[-2:]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End an installer and all that it started: its own end alone says nothing of the compilers below it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
