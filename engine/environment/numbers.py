"""What the frameworks of an environment compute, tested from inside in a process of its own (worker/arithmetic.py)."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detui.engine.environment.installers import environment_of_child
from detui.engine.worker import arithmetic

FRAMEWORKS = ("torch", "jittor")
"""What is tested, by the name of the package."""
_SECONDS = 600.0
"""How long a test may take: Jittor may have to compile itself for this machine."""


def tested(python: Path, framework: str, environ: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return a result of arithmetic.py for each device; where the tests cannot run, one that says why (`problem`).

    `environ`: the variables of the environment. Empty where the framework is not installed.
    """
    command = [str(python), "-I", arithmetic.__file__, framework]
    variables = environment_of_child(os.environ, environ)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, env=variables, check=False
        )
    except subprocess.TimeoutExpired:
        return [{"problem": f"{framework}: its arithmetic was not tested in {_SECONDS:g} s"}]
    except OSError as error:
        return [{"problem": f"{python} does not run: {error.strerror}"}]
    try:
        found = [json.loads(line) for line in done.stdout.splitlines()]
    except ValueError:
        found = []
    if done.returncode or any(not isinstance(one, dict) for one in found):
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return [{"problem": f"{framework}: its arithmetic cannot be tested: {last}"}]
    return found
