"""What Jittor computes, in its own interpreter: of the environment `jittor`, or the one that DETUI_TEST_JITTOR names
(whose variables, such as JITTOR_HOME, are then the caller's)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from made_environments import root_of_tests

from detui.engine.configuration import Configuration
from detui.engine.environment import interpreter, link_package
from detui.engine.errors import DetuiError

MINUTES = 25
"""A cold kernel cache takes most of them on a busy machine."""


def measured(folder: Path, *arguments: str | Path) -> None:
    """Run `detui.engine.backends.parity.measure` there; skips the test where there is no Jittor, and says why."""
    named = os.environ.get("DETUI_TEST_JITTOR")
    if named:
        python, paths, more = named, (str(link_package("parity", folder / "links")),), {}
    else:
        try:
            found = interpreter("jittor", "parity", _configuration(folder), folder / "links")
        except DetuiError as error:
            pytest.skip(f"no environment jittor: {error}")
        python, paths, more = found.python, found.pythonpath, dict(found.environ)
    environ = {**os.environ, **more, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    command = [python, "-m", "detui.engine.backends.parity.measure", *map(str, arguments)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60 * MINUTES, check=False)
    assert done.returncode == 0, done.stderr[-3000:] or done.stdout[-3000:]


def _configuration(folder: Path) -> Configuration:
    """What this person configured is not under test, but for environments that tests have made."""
    own = {"DETUI_ENVIRONMENTS": str(root_of_tests()), "DETUI_CONFIG": str(folder / "no-configuration.yaml")}
    return Configuration.load(environ={**os.environ, **own})
