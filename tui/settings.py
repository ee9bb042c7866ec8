"""What a person chose for the terminal application: `terminal.json` beside the configuration.

    {"language": "zh", "theme": "light", "keys": {"runs.stop": "ctrl+x"}}

The application writes it when something is changed on the settings screen; it may be edited by hand as well. JSON and
not YAML: it is read before the first picture, where a YAML reader would cost as much as all the rest.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from detui.engine.configuration import configuration_folder
from detui.engine.errors import UsageError
from detui.engine.run.files import write_json
from detui.tui.language import of_environment

CHOICES: dict[str, tuple[Any, ...]] = {
    "language": ("auto", "en", "zh"),
    "theme": ("dark", "light", "terminal"),
    "ascii": (False, True),
    "refresh": (1.0, 2.0, 5.0, 10.0),
    "mouse": (True, False),
    "notify": ("bell", "message", "off"),
}
"""What each setting may be; the first is the default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the application looks and speaks."""

    language: str = "auto"
    """"en", "zh", or "auto": as the locale says."""
    theme: str = "dark"
    """"dark", "light", or "terminal": the terminal's own sixteen colours."""
    ascii: bool = False
    """Charts, bars and frames without Unicode."""
    refresh: float = 1.0
    """Seconds between two readings of what is shown."""
    mouse: bool = True
    """Whether the terminal reports the mouse: each report costs bytes, and takes away its own selection of text."""
    notify: str = "bell"
    """What tells of a run that ended or raised an alarm: "bell", "message" (OSC 9, a notice on the desktop), "off"."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Id of a binding → its keys, as Textual names them, with commas between."""

    @property
    def spoken(self) -> str:
        """The language to speak, "auto" resolved."""
        return of_environment() if self.language == "auto" else self.language

    def with_value(self, name: str, value: Any) -> Settings:
        """Return the settings with one value changed."""
        return replace(self, **{name: value})


def settings_file(environ: Mapping[str, str] | None = None) -> Path:
    """Return where the settings are kept: `terminal.json` beside the configuration file."""
    return configuration_folder(os.environ if environ is None else environ) / "terminal.json"


def load(file: Path) -> Settings:
    """Read the settings; those of an absent file are the defaults.

    Raises UsageError with file and field for what is not understood.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise UsageError(f"The settings cannot be read: {error.strerror}.", where=str(file)) from None
    try:
        found = json.loads(text)
    except ValueError as error:
        place = f"{file}:{getattr(error, 'lineno', 1)}"
        raise UsageError(f"This is not JSON: {error}.", where=place, hint="mend or remove the file") from None
    if not isinstance(found, dict):
        raise UsageError("The settings are not a mapping of names to values.", where=str(file), hint="remove the file")
    return Settings(**{name: _checked(file, name, value) for name, value in found.items() if name != "schema"})


def save(file: Path, settings: Settings) -> None:
    """Write what differs from the defaults. Raises OSError."""
    default = asdict(Settings())
    changed = {name: value for name, value in asdict(settings).items() if value != default[name]}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {"schema": 1, **changed})


def _checked(file: Path, name: str, value: Any) -> Any:
    known = [one.name for one in fields(Settings)]
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"the settings are {', '.join(known)}"
        raise UsageError(f"There is no setting {name!r}.", where=str(file), hint=hint)
    if name == "keys":
        return _checked_keys(file, value)
    if name == "refresh":
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.5 <= value <= 3600:
            raise UsageError("refresh is a number of seconds from 0.5 to 3600.", where=str(file))
        return float(value)
    if value not in CHOICES[name] or isinstance(value, bool) is not isinstance(CHOICES[name][0], bool):
        choices = ", ".join(json.dumps(one) for one in CHOICES[name])
        raise UsageError(f"{name} is {json.dumps(value)}; it may be {choices}.", where=str(file))
    return value


def _checked_keys(file: Path, value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(keys, str) and keys for keys in value.values()):
        raise UsageError('keys maps the id of a binding to keys: {"runs.stop": "ctrl+x"}.', where=str(file))
    from detui.tui.keys import all_keys, forbidden

    known = all_keys()
    for ident, keys in value.items():
        if ident not in known:
            near = difflib.get_close_matches(ident, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else "detui, then ? lists all keys"
            raise UsageError(f"keys: there is no binding {ident!r}.", where=str(file), hint=hint)
        if (bad := forbidden(keys)) is not None:
            raise UsageError(f"keys: {ident} cannot be {bad}: the terminal or tmux keeps it.", where=str(file))
    return dict(value)
