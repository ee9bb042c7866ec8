"""A few steps of a configuration that has no history, to know what it needs: a real run, in a place of its own.

It lies below `<workspace>/.preflight/`, which lists and records pass by, has
the same supervisor, lease and worker as any other run, is stopped after some
steps, and is removed when it has been measured.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from detui.engine.errors import RunError
from detui.engine.measured import Measured, measure
from detui.engine.process.control import request, status, supervised
from detui.engine.process.launch import launch
from detui.engine.process.verdict import last_line
from detui.engine.run.directory import RunDir
from detui.engine.run.lines import LineReader
from detui.engine.run.spec import RunSpec

STEPS = 8
"""Steps that a preflight makes."""

SECONDS = 3.0
"""How long it trains at least: memory is sampled once a second."""

LONGEST = 600.0
"""Seconds, from its start on a device, after which a preflight is given up."""

_EVERY = 0.1


def preflight(workspace: Path, spec: RunSpec, progress: Callable[[str, int, int], None] | None = None) -> Measured:
    """Train a few steps of what `spec` asks for, and return what they took.

    It waits in the queue for a device as every run does. `progress` is called with (text, steps made, steps to make).
    Raises RunError where it ends before it has made its steps, or takes too long; a Ctrl-C ends it and leaves nothing.
    """
    folder = workspace / ".preflight"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="p-", dir=folder))
    run = RunDir.create(
        place / "runs" / spec.name, replace(spec, experiment=place.name, milestones=(), after=(), hooks={}, stop_on=())
    )
    try:
        launch(run)
        _train(run, progress)
        return _measured(run)
    finally:
        _end(run, "kill")
        shutil.rmtree(place, ignore_errors=True)


def _train(run: RunDir, progress: Callable[[str, int, int], None] | None) -> None:
    """Let it make its steps, then stop it. Raises RunError where it has not made them in time."""
    reader = LineReader(run.attempt(1).metrics_path, containing=('"step"',))
    made, first, begun = 0, 0.0, None
    while supervised(run):
        now = time.monotonic()
        begun = begun or (now if status(run).state.word in ("starting", "running") else None)
        made += sum(line.get("kind") == "step" for line in reader.poll())
        first = first or (now if made else 0.0)
        if progress is not None:
            progress(f"preflight of {run.name}", min(made, STEPS), STEPS)
        if made >= STEPS and now - first >= SECONDS:
            _end(run, "stop")
            return
        if begun is not None and now - begun > LONGEST:
            raise RunError(
                f"{run.name}: {made} of {STEPS} steps in {LONGEST:.0f} s.", hint="run it without --preflight"
            )
        time.sleep(_EVERY)


def _end(run: RunDir, what: str) -> None:
    """End the run and wait until nothing of it is left."""
    if supervised(run):
        with suppress(RunError):  # it has ended meanwhile
            request(run, what)
    while supervised(run):
        time.sleep(_EVERY)


def _measured(run: RunDir) -> Measured:
    """Read what it took. Raises RunError, with its own last words, where it made too few steps to say."""
    found = measure(run.attempt(1), source="preflight")
    if found.step_seconds is None:
        state = status(run).state
        said = getattr(state, "reason", None) or last_line(run.attempt(1)) or "it said nothing"
        raise RunError(f"The preflight of {run.name} is {state.word}: {said}", hint="correct that before a run")
    return found
