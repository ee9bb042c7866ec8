"""Named environments for tests: made by `detui env create NAME`, once for the pins that are there.

They lie in `.build/environments` of the checkout, or where DETUI_TEST_ENVIRONMENTS says: several checkouts may share
them. A folder carries the hash of the pins, so that other pins make another one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
_UNREACHABLE = ("from versions: none", "connection", "name resolution", "unreachable", "timed out", "no index")
"""What installers say, in small letters, of packages that cannot be had because of the network and not of the pins."""


class Unavailable(Exception):
    """Packages cannot be installed here; the text says why."""


@dataclass(frozen=True)
class Made:
    """A whole environment."""

    root: Path
    """What DETUI_ENVIRONMENTS has to be for detui to find it."""
    python: Path
    """Its interpreter."""
    new: bool
    """Whether it was made just now."""
    seconds: float
    """How long that took, then or now."""
    bytes: int
    """What it takes on disk."""

    @property
    def environ(self) -> dict[str, str]:
        """The variables of a process of detui that is to find it."""
        return {"DETUI_ENVIRONMENTS": str(self.root)}


def root_of_tests() -> Path:
    """Where environments of tests lie."""
    return Path(os.environ.get("DETUI_TEST_ENVIRONMENTS") or REPOSITORY / ".build" / "environments")


def made(name: str) -> Made:
    """Make the environment of that name, or take the one that is there.

    Raises Unavailable where the network is in the way, AssertionError with what was said where the pins are.
    """
    root = root_of_tests()
    command = [str(Path(sys.executable).with_name("detui")), "env", "create", name]
    none = root / "no-configuration.yaml"  # what this person configured is not under test
    environ = {**os.environ, "DETUI_ENVIRONMENTS": str(root), "DETUI_CONFIG": str(none)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        logs = "\n".join(path.read_text(errors="replace") for path in root.glob(f"{name}-*.log"))
        said = done.stderr.strip() or done.stdout.strip()
        if any(sign in logs.lower() for sign in _UNREACHABLE):
            raise Unavailable(f"cannot install the packages of {name}: {said.splitlines()[-1]}")
        raise AssertionError(said)
    python = Path(done.stdout.strip())
    note = json.loads((python.parent.parent / "environment.json").read_text())
    return Made(root, python, "is whole" not in done.stderr, float(note["seconds"]), int(note["bytes"]))
