"""Named environments: which interpreter a backend trains in, and what its worker can import of detui.

`detui` is the environment that detui runs in. Any other name is an interpreter
that the configuration names (`environments: {mmdet: /path/bin/python}`), or an
environment that `detui env create` made from pins (`pin_file.py` reads them,
`standing.py` says what is there, `making.py` makes it): its own, or another's
that the configuration names (`environments: {mmdet: mmdet-cuda}`). A foreign environment
sees detui through one generated folder of links: `engine/run`,
`engine/worker`, the errors, the backend's own package and what backends share
for torch, never our site-packages.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detui.engine.configuration import Configuration
from detui.engine.errors import MissingError

OWN = "detui"

BUILT_ON: Mapping[str, tuple[str, ...]] = {"numerics": ("parity",)}
"""Backends whose training half uses others' packages, which must then be seen in a foreign environment, too."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python that a worker is started with."""

    python: str
    pythonpath: tuple[str, ...]
    """What goes in front of its PYTHONPATH."""
    environ: Mapping[str, str] = field(default_factory=dict)
    """The variables that the environment's pins ask for."""
    facts: Mapping[str, Any] | None = None
    """What experiment.json says of a foreign environment: `name`, `python`, and the hash and packages of its pins."""

    @property
    def asked(self) -> dict[str, Any]:
        """The fields of a run's spec that say it."""
        return {"python": self.python, "pythonpath": self.pythonpath, "environ": dict(self.environ)}


def interpreter(name: str, backend: str, configuration: Configuration, bridge: Path) -> Interpreter:
    """The interpreter of a named environment; a foreign one gets its links below `bridge`.

    Raises MissingError with the command that makes it, or the setting to add, where it cannot be used; RecipeError or
    UsageError where its pin file is wrong.
    """
    from detui.engine.environment.standing import standing

    if name == OWN:
        return Interpreter(sys.executable, ())
    found = standing(name, configuration)
    if found.problem is not None or found.python is None:
        raise MissingError(found.problem or "", where=found.source, hint=found.hint)
    made = found.state == "ready" or found.through is not None
    pins = found.pins if made else None  # whether others are as pinned is not known
    facts = {"name": found.through or name, "python": str(found.python)}
    of_pins = {"pins": pins.hash, "packages": pins.packages} if pins else {}
    links = str(link_package(backend, bridge))
    return Interpreter(str(found.python), (links,), found.environ, {**facts, **of_pins})


def link_package(backend: str, bridge: Path) -> Path:
    """Make the folder of links that a foreign environment sees detui through; returns what goes on PYTHONPATH."""
    import detui.engine.errors

    source = Path(detui.engine.errors.__file__).parent
    root = bridge / backend
    target = root / "detui" / "engine"
    packages = ("torch_support", backend, *BUILT_ON.get(backend, ()))
    for part in ("run", "worker", "errors.py", *(f"backends/{package}" for package in packages)):
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
