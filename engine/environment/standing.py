"""Where named environments lie, and how each stands: ready, absent, made from older pins, pointed at.

~/.local/share/detui/environments/       elsewhere: DETUI_ENVIRONMENTS, or XDG_DATA_HOME
  nuscenes-3f0c…/                        NAME-<hash of the pins>
    environment.json                     written last: without it, the folder is a part that is removed next time
    bin/python …
  nuscenes-3f0c….log                     what the installer printed
  .nuscenes.lock                         held while one is made or removed
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from detui.engine.configuration import Configuration
from detui.engine.environment.locks import is_locked
from detui.engine.environment.pin_file import DIGITS, Pins, find_pins, known_names
from detui.engine.run.files import check_schema

NOTE = "environment.json"
"""The file that makes a folder a whole environment."""
State = Literal["configured", "ready", "outdated", "being made", "incomplete", "broken", "absent", "unknown",
                "unreadable"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Standing:
    """How one named environment stands on this host."""

    name: str
    state: State
    """configured: the configuration names its interpreter, or a ready environment in its place; ready: made from the
    present pins; outdated: made from others; incomplete: somebody's attempt was cut off; broken: its interpreter is
    gone; absent: never made; unknown: neither pins nor the configuration know the name; unreadable: its pin file is
    wrong."""
    pins: Pins | None
    python: Path | None = None
    """Its interpreter, there or not; None where no folder of the present pins has one."""
    folder: Path | None = None
    """The folder of the present pins, there or not."""
    note: Mapping[str, Any] | None = None
    """What was written when it was made: python, installer, seconds, bytes, packages."""
    older: tuple[Path, ...] = ()
    """Whole environments of that name from other pins."""
    source: str | None = None
    """What names it: the place in the configuration, or its pin file."""
    problem: str | None = None
    """What keeps it from being used, a full sentence; None where nothing does."""
    hint: str | None = None
    """What to do about that."""
    through: str | None = None
    """The environment that the configuration names in its place: `environments: {mmdet: mmdet-cuda}`."""

    @property
    def usable(self) -> bool:
        """Whether a worker can be started in it."""
        return self.problem is None

    @property
    def command(self) -> str | None:
        """The command that makes it usable; None where that is for the configuration to say."""
        if self.usable or self.pins is None or (self.state == "broken" and self.note is None):
            return None
        return f"detui env create {self.through or self.name}" + (" --recreate" if self.state == "broken" else "")

    @property
    def environ(self) -> dict[str, str]:
        """The variables that its pins ask for in every process."""
        if self.pins is None or self.python is None:
            return {}
        return dict(self.pins.environ(self.python.parent.parent))


def environments_root(environ: Mapping[str, str] | None = None) -> Path:
    """The folder that environments are made in (absolute)."""
    environ = os.environ if environ is None else environ
    if given := environ.get("DETUI_ENVIRONMENTS"):
        return Path(given).expanduser().absolute()
    base = environ.get("XDG_DATA_HOME")
    data = Path(base) if base else Path(environ.get("HOME") or Path.home()) / ".local" / "share"
    return (data / "detui" / "environments").absolute()


def standing(name: str, configuration: Configuration) -> Standing:
    """Return how an environment stands. Looks at files only and starts nothing.

    Raises RecipeError or UsageError with file and line where its pin file is wrong.
    """
    if (other := _other(name, configuration)) is not None:
        found = _pinned(other, environments_root())
        source = configuration.settings[f"environments.{name}"].source
        state: State = "configured" if found.usable else found.state
        return replace(found, name=name, through=other.name, state=state, source=source, older=())
    pins = find_pins(name, configuration)
    if (python := configuration.environment(name)) is not None:
        return _configured(name, pins, python, configuration.settings[f"environments.{name}"].source)
    if pins is None:
        text = f"There is no environment {name!r}."
        hint = f"add `environments: {{{name}: /path/to/bin/python}}` to {configuration.file}"
        return Standing(name, "unknown", None, source="environment", problem=text, hint=hint)
    return _pinned(pins, environments_root())


def _other(name: str, configuration: Configuration) -> Pins | None:
    """The pins that the configuration names for an environment, where it names an environment and no path."""
    setting = configuration.settings.get(f"environments.{name}")
    if setting is None or setting.value == name or os.sep in setting.value:
        return None
    return find_pins(setting.value, configuration)


def standings(configuration: Configuration) -> list[Standing]:
    """Return how every environment stands that has pins or is configured, by name. Raises as `standing`."""
    configured = {key.partition(".")[2] for key in configuration.settings if key.startswith("environments.")}
    return [standing(name, configuration) for name in sorted({*known_names(configuration), *configured})]


def _configured(name: str, pins: Pins | None, python: Path, source: str) -> Standing:
    folder = python.parent.parent
    if os.access(python, os.X_OK):
        return Standing(name, "configured", pins, python, folder, source=source)
    text = f"The environment {name!r} has no interpreter at {python}."
    hint = f"write where it is, or take the line out for `detui env create {name}`" if pins else "write where it is"
    return Standing(name, "broken", pins, python, folder, source=source, problem=text, hint=hint)


def _pinned(pins: Pins, root: Path) -> Standing:
    name, create = pins.name, f"detui env create {pins.name}"
    folder = root / f"{name}-{pins.hash}"
    older = tuple(path for path in folders(root, name) if path != folder and (path / NOTE).is_file())
    more: dict[str, Any] = {"folder": folder, "older": older, "source": str(pins.path)}
    if (note := read_note(folder)) is not None:
        python = folder / "bin" / "python"
        if os.access(python, os.X_OK):
            return Standing(name, "ready", pins, python, note=note, **more)
        text = f"The environment {name!r} lost its interpreter: {python} leads nowhere."
        return Standing(name, "broken", pins, python, note=note, problem=text, hint=f"{create} --recreate", **more)
    if is_locked(root, name):
        text = f"The environment {name!r} is being made right now."
        return Standing(name, "being made", pins, problem=text, hint=f"wait for it: {create}", **more)
    if older:
        text = f"The environment {name!r} was made from other pins than those of {pins.path}."
        return Standing(name, "outdated", pins, problem=text, hint=create, **more)
    if folder.exists():
        text = f"The environment {name!r} was not made to its end."
        return Standing(name, "incomplete", pins, problem=text, hint=create, **more)
    text = f"The environment {name!r} is not made yet."
    return Standing(name, "absent", pins, problem=text, hint=create, **more)


def folders(root: Path, name: str, suffix: str = "") -> list[Path]:
    """Return every folder of an environment's name, whole or not, whatever its pins were; sorted."""
    pattern = re.compile(re.escape(name) + rf"-[0-9a-f]{{{DIGITS}}}" + re.escape(suffix))
    try:
        return sorted(path for path in root.iterdir() if pattern.fullmatch(path.name) and path.is_dir())
    except OSError:
        return []


def read_note(folder: Path) -> dict[str, Any] | None:
    """Return what was written when an environment was made, None where it is not whole. Raises FormatError."""
    path = folder / NOTE
    try:
        note = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(note, dict):
        return None
    check_schema(note, path)
    return note
