"""Named environments: which interpreter a backend trains in, and what its worker can import of detui.

`detui` is the environment that detui runs in. Any other name is looked up in
the configuration (`environments: {mmdet: /path/bin/python}`). A foreign
environment sees detui through one generated folder of links: `engine/run`,
`engine/worker`, the errors, the backend's own package and what backends share
for torch, never our site-packages.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from detui.engine.configuration import Configuration
from detui.engine.errors import MissingError

OWN = "detui"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python that a worker is started with."""

    python: str
    pythonpath: tuple[str, ...]
    """What goes in front of its PYTHONPATH."""


def interpreter(name: str, backend: str, configuration: Configuration, bridge: Path) -> Interpreter:
    """The interpreter of a named environment; a foreign one gets its links below `bridge`.

    Raises MissingError with the setting to add when the name is not configured, or the file is not there.
    """
    if name == OWN:
        return Interpreter(sys.executable, ())
    python = configuration.environment(name)
    if python is None:
        hint = f"add `environments: {{{name}: /path/to/bin/python}}` to {configuration.file}"
        raise MissingError(f"There is no environment {name!r}.", where="environment", hint=hint)
    if not os.access(python, os.X_OK):
        where = configuration.settings[f"environments.{name}"].source
        raise MissingError(f"The environment {name!r} has no interpreter at {python}.", where=where)
    return Interpreter(str(python), (str(link_package(backend, bridge)),))


def link_package(backend: str, bridge: Path) -> Path:
    """Make the folder of links that a foreign environment sees detui through; returns what goes on PYTHONPATH."""
    import detui.engine.errors

    source = Path(detui.engine.errors.__file__).parent
    root = bridge / backend
    target = root / "detui" / "engine"
    for part in ("run", "worker", "errors.py", "backends/torch_support", f"backends/{backend}"):
        _link(target / part, source / part)
    return root


def _link(link: Path, source: Path) -> None:
    """Make a link, or one that led to a detui that was here before anew; readers see the old or the new one."""
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink() and link.readlink() == source:
        return
    fresh = link.with_name(f"{link.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(source)
    fresh.replace(link)
