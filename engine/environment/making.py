"""Making an environment from its pins, and removing one.

It is made in the folder where it stays: the scripts of a virtual environment
and what compilers link carry its path, so that nothing can be renamed at the
end. What makes it whole is `environment.json`, written last; a folder without
it is removed by whoever makes the environment next.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO

from detui.engine.configuration import Configuration
from detui.engine.devices.processes import all_pids
from detui.engine.environment.checking import check_interpreter
from detui.engine.environment.installers import Installer, choose_installer, environment_of_child, run_logged
from detui.engine.environment.interpreters import choose_python
from detui.engine.environment.locks import locked
from detui.engine.environment.pin_file import PROGRAMS, After, Pins, known_names
from detui.engine.environment.standing import NOTE, Standing, environments_root, folders, read_note, standing
from detui.engine.errors import DetuiError, RunError, UsageError
from detui.engine.run.compiling import tidy
from detui.engine.run.files import SCHEMA, write_error, write_json

Tell = Callable[[str, bool], None]
"""Called with a text and whether it is passing: a line of the installer, which the next one replaces."""

_BEFORE = ".before"
"""Ends the name of a whole environment that is made anew, until the new one is whole."""


@dataclass(frozen=True, slots=True)
class Removed:
    """One folder that was removed."""

    path: Path
    bytes: int


def create(
    name: str,
    configuration: Configuration,
    *,
    python: str | None = None,
    installer: str | None = None,
    recreate: bool = False,
    tell: Tell = lambda text, passing: None,
) -> Standing:
    """Make an environment from its pins and return how it stands; one that is whole is left alone.

    `python`, `installer`: as `choose_python` and `choose_installer` take them. `recreate`: make a whole one anew.
    Waits for another process that makes the same. Ctrl-C, or an error, leaves nothing half made, and a whole one that
    was to be made anew as it was.

    Raises UsageError for a name without pins or one that the configuration points at, MissingError without a Python
    that fits, RunError with the log where the installer fails or the result is not what the pins say, RunError where a
    process uses the one that was to be made anew.
    """
    pins = _pins_to_make(name, configuration)
    root = environments_root()

    def waiting() -> None:
        tell(f"Another process makes or removes {name}; waiting for it.", False)

    with locked(root, name, waiting) as lock:
        folder = root / f"{name}-{pins.hash}"
        _clear(root, name)
        if not recreate and standing(name, configuration).usable:
            tell(f"{name} is whole; --recreate would make it anew.", False)
            return standing(name, configuration)
        _refuse_used(name, folder)
        chosen = choose_python(pins, python)
        _room(root, pins)
        _Making(pins, folder, chosen, choose_installer(installer), tell, lock).make()
    return standing(name, configuration)


def _pins_to_make(name: str, configuration: Configuration) -> Pins:
    found = standing(name, configuration)
    if found.through is not None:
        text = f"The configuration takes the environment {found.through!r} for {name!r}."
        raise UsageError(text, where=found.source, hint=f"detui env create {found.through}, or take that line out")
    if found.state == "configured" or (found.state == "broken" and found.note is None):
        text = f"The configuration says where the environment {name!r} is: {found.python}."
        raise UsageError(text, where=found.source, hint=f"take that line out, then `detui env create {name}`")
    if found.pins is None:
        known = ", ".join(known_names(configuration))
        raise UsageError(f"There are no pins for an environment {name!r}.", where="NAME", hint=f"one of {known}")
    return found.pins


def _room(root: Path, pins: Pins) -> None:
    needed, free = pins.file.mebibytes, shutil.disk_usage(root).free >> 20
    if needed is not None and free < needed:
        text = f"{pins.name} needs about {needed} MiB, and {free} MiB are free."
        raise RunError(text, where=str(root), hint="free some space, or set DETUI_ENVIRONMENTS to a larger disk")


@dataclass(frozen=True, slots=True)
class _Making:
    """One attempt to make an environment, under its lock."""

    pins: Pins
    folder: Path
    python: tuple[Path, str]
    installer: Installer
    tell: Tell
    lock: int

    def make(self) -> None:
        """Make it, or leave everything as it was."""
        before = self.folder.with_name(self.folder.name + _BEFORE)
        try:
            if self.folder.exists():
                self.folder.rename(before)
            self._make()
        except BaseException as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            if before.exists():
                before.rename(self.folder)
            if isinstance(error, OSError):
                raise write_error(self.folder, error) from error
            raise
        shutil.rmtree(before, ignore_errors=True)

    def _make(self) -> None:
        log = self.folder.with_name(self.folder.name + ".log")
        begun = time.monotonic()
        with log.open("wb", buffering=0) as file:
            try:
                self._install(file)
                self._finish(file)
                self._check()
            except DetuiError as error:
                error.where = str(log)
                error.hint = error.hint or f"read that log, then again: detui env create {self.pins.name}"
                raise
        seconds = round(time.monotonic() - begun, 1)
        write_json(self.folder / NOTE, self._note(seconds))

    def _install(self, log: BinaryIO) -> None:
        python, version = self.python
        self.tell(f"Making {self.folder} with Python {version}; log: {self.folder}.log", False)
        self._run(self.installer.make(python, self.folder), log, {})
        steps = self.pins.file.steps
        for number, step in enumerate(steps, 1):
            which = f"step {number} of {len(steps)}: " if len(steps) > 1 else ""
            count = f"{len(step.packages)} package{'s' if len(step.packages) > 1 else ''}"
            self.tell(f"Installing {which}{count} with {self.installer.name}", False)
            self._run(self.installer.install(self.folder, step), log, step.environ)

    def _finish(self, log: BinaryIO) -> None:
        """Run the programs that the pins name, each until it has done its work or its tries are over."""
        for one in self.pins.file.after:
            self.tell(f"Running {one.program} (may take {one.seconds / 60:.0f} min)", False)
            for attempt in range(1, one.tries + 1):
                try:
                    self._program(one, log)
                    break
                except RunError as error:
                    if attempt == one.tries:
                        raise
                    self.tell(f"{error.message.splitlines()[0].rstrip(':.')}; trying again.", False)

    def _program(self, one: After, log: BinaryIO) -> None:
        python = str(self.folder / "bin" / "python")
        command = [python, "-I", "-u", str(PROGRAMS / f"{one.program}.py"), str(self.folder)]
        self._run(command, log, dict(self.pins.environ(self.folder)), one.seconds)
        if not (self.folder / f"{one.program}.json").is_file():
            raise RunError(f"{one.program} ended as if all were well and left no {one.program}.json.")

    def _run(self, command: list[str], log: BinaryIO, more: dict[str, str], seconds: float | None = None) -> None:
        environ = environment_of_child(os.environ, more)
        run_logged(command, log, environ, lambda line: self.tell(tidy(line), True), self.lock, seconds)

    def _check(self) -> None:
        self.tell("Checking it", False)
        found = check_interpreter(self.folder / "bin" / "python", self.pins)
        if found.differences:
            one = found.differences[0]
            more = f" (and {len(found.differences) - 1} more)" if len(found.differences) > 1 else ""
            raise RunError(f"It is not what the pins say: {one.what}: {one.asked} asked, found {one.found}{more}.")

    def _note(self, seconds: float) -> dict[str, object]:
        return {
            "schema": SCHEMA,
            "name": self.pins.name,
            "pins": self.pins.hash,
            "python": self.python[1],
            "made_from": str(self.python[0]),
            "installer": self.installer.name,
            "made": datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "seconds": seconds,
            "bytes": size_of(self.folder),
            "packages": self.pins.packages,
        }


def _clear(root: Path, name: str) -> None:
    """Take back what attempts that were cut off left: parts go, a whole one that was moved aside returns."""
    for part in folders(root, name):
        if not (part / NOTE).is_file():
            shutil.rmtree(part, ignore_errors=True)
    for before in folders(root, name, _BEFORE):
        whole = before.with_name(before.name.removesuffix(_BEFORE))
        if whole.exists():
            shutil.rmtree(before, ignore_errors=True)
        else:
            before.rename(whole)


def remove(name: str, configuration: Configuration, *, older_only: bool = False) -> list[Removed]:
    """Remove what was made of a name, parts and logs included; `older_only`: but not what the present pins made.

    Raises RunError where it is being made or a process uses it, UsageError where nothing of the name was made here.
    """
    root = environments_root()
    if not folders(root, name):  # before a file for the lock is made of any name
        raise UsageError(f"There is nothing of an environment {name!r} to remove below {root}.", hint="detui env list")
    found = standing(name, configuration)
    present = found.folder if found.state != "configured" and older_only else None
    try:
        with locked(root, name, None):
            going = [path for path in folders(root, name) if path != present]
            if not going:
                raise UsageError(f"Of the environment {name!r} there is only the one of the present pins.")
            for folder in going:
                _refuse_used(name, folder)
            return [_remove(folder) for folder in going]
    except BlockingIOError:
        text = f"The environment {name!r} is being made or removed right now."
        raise RunError(text, where=str(root), hint="try again when that has ended") from None


def _remove(folder: Path) -> Removed:
    note = read_note(folder)
    freed = int(note["bytes"]) if note and isinstance(note.get("bytes"), int) else size_of(folder)
    try:
        (folder / NOTE).unlink(missing_ok=True)  # first: what is cut off here is a part, not an environment
        shutil.rmtree(folder)
        folder.with_name(folder.name + ".log").unlink(missing_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    return Removed(folder, freed)


def _refuse_used(name: str, folder: Path) -> None:
    if users := list(processes_in(folder)):
        pids = ", ".join(map(str, users[:5]))
        text = f"The environment {name!r} is in use by process {pids}."
        raise RunError(text, where=str(folder), hint="`detui ls` shows what runs; stop it first")


def processes_in(folder: Path) -> Iterator[int]:
    """Give the processes that were started with a program of that folder."""
    inside = os.fsencode(folder) + b"/"
    for pid in all_pids():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(inside):
                yield pid


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder; links count nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                status = os.lstat(f"{place}/{name}")
                total += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return total
