"""What Jittor computes, in the interpreter of the environment `jittor` that the fixture `jittor_found` has found."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from detui.engine.configuration import Configuration
from detui.engine.environment import interpreter
from detui.engine.errors import DetuiError

MINUTES = 25
"""A cold kernel cache takes most of them on a busy machine."""


def measured(folder: Path, *arguments: str | Path) -> None:
    """Run `detui.engine.backends.parity.measure` there; skips the test where there is no Jittor, and says why."""
    try:
        found = interpreter("jittor", "parity", Configuration.load(), folder / "links")
    except DetuiError as error:
        pytest.skip(f"no environment jittor: {error}")
    environ = {**os.environ, **found.environ, "PYTHONPATH": os.pathsep.join(found.pythonpath), "OMP_NUM_THREADS": "1"}
    command = [found.python, "-m", "detui.engine.backends.parity.measure", *map(str, arguments)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60 * MINUTES, check=False)
    assert done.returncode == 0, done.stderr[-3000:] or done.stdout[-3000:]
