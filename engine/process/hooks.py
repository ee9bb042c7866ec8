"""Commands of the user's that a supervisor runs when something happens: a run ends, an experiment, an alarm sounds.

What happened is told as one JSON object on standard input. A hook gets its supervisor's environment as it is, a session
of its own and a time limit; what it prints goes to hooks.log in the run's directory. Nothing that a hook does, or fails
to do, can touch the training: it is started and then looked at in passing.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detui.engine.process.children import Reaper
from detui.engine.process.control import status
from detui.engine.process.descendants import TAG
from detui.engine.process.ledger import guarded, log
from detui.engine.run.directory import AttemptDir, RunDir, now
from detui.engine.run.files import encode
from detui.engine.run.lines import lines_from_end
from detui.engine.run.spec import RunSpec
from detui.engine.run.state import read_state

RUN_END, EXPERIMENT_END, ALARM = "run_end", "experiment_end", "alarm"

LIMIT = 30.0
"""Seconds that a hook may take, where the configuration names no other limit."""

MARKER = ".experiment_end"
"""File in an experiment's directory: somebody has run the hook for its end."""

_LONGEST = 2000
"""Characters of one text in what a hook is told. A pipe holds all of it, so that telling never waits."""


@dataclass(slots=True)
class _Started:
    event: str
    process: subprocess.Popen[bytes]
    until: float
    """CLOCK_MONOTONIC second of its time limit."""
    killed: bool = False


class Hooks:
    """Runs the hooks of one run's spec."""

    def __init__(self, run: RunDir, spec: RunSpec, reaper: Reaper) -> None:
        self._run = run
        self._spec = spec
        self._reaper = reaper
        self._limit = float(spec.hooks.get("seconds") or LIMIT)
        self._started: list[_Started] = []

    @property
    def pids(self) -> list[int]:
        """The hooks that run now."""
        return [one.process.pid for one in self._started]

    def alarm(self, line: dict[str, Any]) -> None:
        """An alarm has sounded; `line` as it stands in metrics.jsonl or telemetry.jsonl."""
        guarded(lambda: self._fire(ALARM, {"alarm": line}))

    def run_end(self) -> None:
        """The run has ended, which its events say already."""
        guarded(lambda: self._fire(RUN_END, {}))

    def experiment_end(self) -> None:
        """The run has ended and is evaluated; if no other of its experiment goes on, that has ended, too."""
        guarded(self._end_experiment)

    def reopen(self) -> None:
        """The run goes on after it had ended: its experiment will end once more."""
        self._marker.unlink(missing_ok=True)

    def tick(self) -> None:
        """Note the hooks that ended, and kill those whose time is over, with all that they started."""
        self._started = [one for one in self._started if not self._over(one)]

    def finish(self) -> None:
        """Wait for the hooks that still run; none takes longer than its limit."""
        while self._started:
            guarded(self.tick)
            time.sleep(0.02)

    @property
    def _marker(self) -> Path:
        return self._run.experiment_dir / MARKER

    def _end_experiment(self) -> None:
        if EXPERIMENT_END not in self._spec.hooks:
            return
        runs = [RunDir(path) for path in sorted(self._run.path.parent.iterdir()) if (path / "spec.json").is_file()]
        states = {run.name: status(run).state for run in runs}
        if not all(state.terminal for state in states.values()):
            return
        try:
            os.close(os.open(self._marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        except FileExistsError:  # another run's supervisor saw the same, and was first
            return
        ended = [
            {"run": name, "state": state.word, "reason": _clip(getattr(state, "reason", None))}
            for name, state in states.items()
        ]
        self._fire(EXPERIMENT_END, {"runs": ended})

    def _fire(self, event: str, about: dict[str, Any]) -> None:
        command = self._spec.hooks.get(event)
        if command:
            self._start(event, [str(word) for word in command], self._told(event, about))

    def _told(self, event: str, about: dict[str, Any]) -> dict[str, Any]:
        """What a hook is told of the run; more of one event in `about`."""
        state, latest = read_state(self._run), self._run.latest()
        paths = {"experiment": self._run.experiment_dir, "run": self._run.path}
        return {
            "event": event,
            "at": now(),
            "experiment": self._spec.experiment,
            "recipe": self._spec.recipe,
            "run": self._run.name,
            "state": state.word,
            "reason": _clip(getattr(state, "reason", None)),
            "attempt": latest.number if latest else None,
            **_reached(latest),
            "paths": {**paths, "attempt": latest.path if latest else None},
            **{name: _clip(value) for name, value in about.items()},
        }

    def _start(self, event: str, command: list[str], told: dict[str, Any]) -> None:
        """Start one hook. Raises OSError where it cannot be started."""
        read_end, write_end = os.pipe()
        try:
            os.set_blocking(write_end, False)
            os.write(write_end, encode(told) + b"\n")
            with (self._run.path / "hooks.log").open("ab") as output:
                output.write(f"{now()} {event}: {command[0]}\n".encode(errors="surrogateescape"))
                output.flush()
                process = subprocess.Popen(
                    command,
                    cwd=self._run.path,
                    # Without the run's tag: it is not part of what a stop or a sweep ends.
                    env={name: value for name, value in os.environ.items() if name != TAG},
                    stdin=read_end,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
        except OSError as error:
            log(f"no hook {event}: {command[0]}: {error.strerror}")
            return
        finally:
            os.close(read_end)
            os.close(write_end)
        self._reaper.expect(process)
        self._started.append(_Started(event, process, time.monotonic() + self._limit))

    def _over(self, one: _Started) -> bool:
        code = self._reaper.code(one.process)
        if code is not None:
            if code and not one.killed:
                log(f"the hook {one.event} ended with {code}: see hooks.log")
            return True
        if time.monotonic() > one.until and not one.killed:
            one.killed = True
            log(f"the hook {one.event} was killed: it took longer than {self._limit:g} s")
            os.killpg(one.process.pid, signal.SIGKILL)  # not collected yet, so the number is still its own
        return False


def _reached(attempt: AttemptDir | None) -> dict[str, Any]:
    """Epoch and step that the latest attempt has reported."""
    lines = list(lines_from_end(attempt.metrics_path)) if attempt else []
    names = ("epoch", "step")
    return {name: next((line[name] for line in lines if isinstance(line.get(name), int)), None) for name in names}


def _clip(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_LONGEST]
    if isinstance(value, dict):
        return {name: _clip(inner) for name, inner in value.items()}
    return value
