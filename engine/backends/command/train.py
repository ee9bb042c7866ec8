"""The training half for any program: starts it, reads its output, passes a stop on. Standard library only."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from typing import Any

from detui.engine.backends.command.formats import entries
from detui.engine.backends.command.mmdet3d import expanded
from detui.engine.backends.command.placeholders import fill
from detui.engine.backends.command.watching import Watching
from detui.engine.errors import MissingError, RunError, UsageError
from detui.engine.run.files import write_json
from detui.engine.run.spec import RunSpec
from detui.engine.worker.reporter import Reporter
from detui.engine.worker.stop import StopRequested

_LOOK_SECONDS = 0.2
_DRAIN_SECONDS = 1.0
_FILES_SECONDS = 1.0
_LONGEST_LINE = 1 << 20


class CommandTrainer:
    """Runs one program to its end."""

    def train(self, spec: RunSpec, report: Reporter) -> None:
        """Run the program. Raises StopRequested after a stop, RunError where it fails."""
        if len(spec.stages) > 1:
            raise UsageError("The command backend runs one stage.", where="stages", hint="let the program do them")
        config = expanded({**DEFAULTS, "watch": _before_watch(spec.config.get("read")), **spec.config})
        asked = {name: config[name] for name in ("train", "mmdet3d") if config[name]}
        report.begin(total_epochs=spec.total_epochs, asked=asked, device={"kind": spec.device.kind})
        values = _values(spec, report)
        watching = Watching(config, values, report)
        program = _Program(_start(config, values, report), report, watching)
        code = program.follow()
        watching.end(finished=code == 0, epochs=spec.total_epochs)
        if report.stop_requested and not (code == 0 and report.last_epoch >= spec.total_epochs):
            raise StopRequested
        if code != 0:
            raise RunError(_account(code, program.tail), where=config["command"][0])


DEFAULTS: dict[str, Any] = {
    "command": None, "mmdet3d": None, "cwd": None, "resume": [], "env": {}, "watch": [], "checkpoints": [],
    "predictions": None, "train": {},
}  # fmt: skip
"""What a spec that was written before one of these fields existed goes by."""


def _before_watch(read: Any) -> list[dict[str, Any]]:
    """What the older field `read` said, in the words of `watch`."""
    if not isinstance(read, list):
        return []
    return [{**entries(["printed"])[0], "metrics": {one["metric"]: one["pattern"] for one in read}}]


def _start(config: dict[str, Any], values: dict[str, str], report: Reporter) -> subprocess.Popen[bytes]:
    words = [*config["command"], *(config["resume"] if values["resume"] else ())]
    command = [fill(word, values) for word in words]
    environment = {name: fill(value, values) for name, value in config["env"].items()}
    folder = fill(config["cwd"] or "{out}", values)
    # Without its own buffering a Python program's lines come when they are printed, and not 8 KiB at a time.
    inherited = {"PYTHONUNBUFFERED": "1", **os.environ, "DETUI_RESUME": values["resume"]}
    try:
        return subprocess.Popen(
            command,
            cwd=folder,
            env={**inherited, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # its last words are often there
        )
    except OSError as error:
        where = folder if error.filename == folder else command[0]
        raise MissingError(f"Cannot start it: {error.strerror}.", where=where) from error


def _values(spec: RunSpec, report: Reporter) -> dict[str, str]:
    """Return what each placeholder stands for, having written the file of `{config}`."""
    settings = report.attempt.path / "config.json"
    train = spec.config.get("train") or {}
    write_json(settings, {"seed": spec.seed, "epochs": spec.total_epochs, "train": train})
    return {
        "seed": str(spec.seed),
        "arm": spec.arm,
        "device": spec.device.kind,
        "attempt": str(report.attempt.number),
        "out": str(report.attempt.path),
        "config": str(settings),
        "data": str((spec.data or {}).get("prepared", "")),
        "predictions": str(report.attempt.predictions),
        "resume": str(report.resume["checkpoint"]) if report.resume else "",
        "python": spec.python,
    }


class _Program:
    """A running program and its output."""

    def __init__(self, process: subprocess.Popen[bytes], report: Reporter, watching: Watching) -> None:
        self.tail: deque[str] = deque(maxlen=5)
        """The last lines that it wrote."""
        self._process = process
        self._report = report
        self._watching = watching
        self._asked_to_stop = False
        self._next_look = 0.0
        self._rest = b""

    def follow(self) -> int:
        """Echo and read its output until it ends; return its exit code, minus the number of a signal."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        with selectors.DefaultSelector() as selector, self._process.stdout:
            selector.register(descriptor, selectors.EVENT_READ)
            open_end = True
            while open_end and self._process.poll() is None:
                self._pass_stop_on()
                self._look_at_files()
                if selector.select(_LOOK_SECONDS):
                    open_end = self._take(os.read(descriptor, 65536))
            # What it started may hold the pipe open for ever: after its end only what is there is read.
            while open_end and selector.select(_DRAIN_SECONDS):
                open_end = self._take(os.read(descriptor, 65536))
        self._read(b"\n")
        return self._wait()

    def _wait(self) -> int:
        """Wait for a program that closed its output."""
        while True:
            self._pass_stop_on()
            self._look_at_files()
            try:
                return self._process.wait(_LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                continue

    def _look_at_files(self) -> None:
        """Now and then: a work directory may be large, and on a slow disk."""
        if time.monotonic() >= self._next_look:
            self._watching.poll()
            self._next_look = time.monotonic() + _FILES_SECONDS

    def _pass_stop_on(self) -> None:
        if self._report.stop_requested and not self._asked_to_stop:
            self._asked_to_stop = True
            self._process.send_signal(signal.SIGTERM)

    def _take(self, block: bytes) -> bool:
        """Echo a block, byte for byte, and read its whole lines. Returns False at the end of the output."""
        if not block:
            return False
        sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()
        self._read(block)
        return True

    def _read(self, block: bytes) -> None:
        """Read the lines that end in this block; the returns of a progress bar end lines, too."""
        *lines, self._rest = (self._rest + block).replace(b"\r", b"\n").split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            text = line.decode(errors="replace").strip()
            if text:
                if any(map(str.isalnum, text)):  # no line of dashes, with which many a program ends its last words
                    self.tail.append(text[:500])
                self._watching.read(text)


def _account(code: int, tail: deque[str]) -> str:
    """Say how a program failed, with the last thing that it said."""
    how = f"exited with code {code}" if code > 0 else f"was ended by {_signal(-code)}"
    said = f"; the last it said: {tail[-1]}" if tail else ""
    return f"The program {how}{said}"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
