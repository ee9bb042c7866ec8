"""Where things are on this host: the workspace, data, weights and environments.

Read from ``~/.config/detui/config.yaml`` (another file: ``DETUI_CONFIG``) and
the environment. Each value remembers where it came from, and looking
something up answers with every place that was tried.

    workspace: /data/me/detui-logs
    data:
      bccd: /datasets/BCCD_Dataset
    data_roots: [/datasets]
    weights:
      yolo12n.pt: /weights/yolo12n.pt
    weight_roots: [/weights]
    environments:
      mmdet: /opt/conda/envs/mmdet/bin/python
    hooks:
      run_end: [notify-me, --short]
      seconds: 30
    hosts:
      lab: {ssh: me@server, detui: /opt/detui/.venv/bin/detui, workspace: /data/me/logs}
    slurm:
      partition: gpu
      recipes:
        starter/mosaic: {time: 01:00:00}
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detui.engine.errors import UsageError
from detui.engine.slurm_options import SlurmOptions, configured, of_settings

DEFAULT_WORKSPACE = "logs"
_MAPPINGS = ("data", "weights", "environments")
_ROOTS = {"data_roots": "DETUI_DATA", "weight_roots": "DETUI_WEIGHTS"}
KEYS = ("workspace", *_MAPPINGS, *_ROOTS, "hooks", "hosts", "slurm")
HOOKS = ("run_end", "experiment_end", "alarm")
"""What a hook may wait for."""
HOST_KEYS = ("ssh", "detui", "workspace")
"""What may be said of another host."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One configured value and the place that gave it."""

    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class Configuration:
    """The configuration of this host, resolved."""

    file: Path
    """The file that was looked for; it need not exist."""
    settings: Mapping[str, Setting]
    """By name: `workspace`, `data.bccd`, `data_roots`, …"""
    weights_home: Path
    """Where weight files go, and are looked for last, where no root is configured."""

    @classmethod
    def load(cls, *, workspace: str | None = None, environ: Mapping[str, str] | None = None) -> Configuration:
        """Read the file and the environment. `workspace` is the command line's.

        Raises UsageError naming file, line and key for an unknown key or a value of the wrong type.
        """
        environ = os.environ if environ is None else environ
        file = _file(environ)
        settings = _defaults()
        if file.is_file():
            settings.update(_from_file(file))
        settings.update(_from_environment(environ, settings))
        if workspace is not None:
            settings["workspace"] = Setting(str(Path(workspace).expanduser()), "--workspace")
        return cls(file, settings, data_home(environ) / "weights")

    @property
    def workspace(self) -> Path:
        """The folder that experiments land in (absolute)."""
        return Path(self.settings["workspace"].value).expanduser().absolute()

    def data_places(self, name: str) -> list[Path]:
        """Where data of that logical name may be, most specific first."""
        return self._places("data", "data_roots", name)

    def weights_places(self, name: str) -> list[Path]:
        """Where a weight file of that name, or path, may be.

        As a path, then as configured, then in the roots, then in detui's own folder.
        """
        own = Path(name).expanduser().absolute()
        return list(dict.fromkeys([own, *self._places("weights", "weight_roots", name), self.weights_home / name]))

    @property
    def weights_folder(self) -> Path:
        """Where `detui weights add` puts files: the first root, or detui's own folder where none is configured."""
        roots = self.settings["weight_roots"].value
        return Path(roots[0]).expanduser().absolute() if roots else self.weights_home

    def environment(self, name: str) -> Path | None:
        """The interpreter configured for a named environment."""
        setting = self.settings.get(f"environments.{name}")
        return Path(setting.value).expanduser() if setting else None

    @property
    def hooks(self) -> dict[str, Any]:
        """The commands to run at events, as a run's spec holds them: {"run_end": [word, …], "seconds": limit}."""
        found = {name.partition(".")[2]: one.value for name, one in self.settings.items() if name.startswith("hooks.")}
        return found if any(name in found for name in HOOKS) else {}

    @property
    def hosts(self) -> dict[str, dict[str, Setting]]:
        """What is said of each other host, by its name: `ssh`, `detui` and `workspace`, each where it is said."""
        found: dict[str, dict[str, Setting]] = {}
        for name, setting in self.settings.items():
            if name.startswith("hosts."):
                host, _, key = name.removeprefix("hosts.").rpartition(".")
                found.setdefault(host, {})[key] = setting
        return found

    def slurm(self, recipe: str) -> SlurmOptions:
        """What is asked of Slurm for the runs of a recipe, `family/name`."""
        return of_settings({name: one.value for name, one in self.settings.items()}, recipe)

    def _places(self, mapping: str, roots: str, name: str) -> list[Path]:
        named = self.settings.get(f"{mapping}.{name}")
        places = [Path(named.value).expanduser().absolute()] if named else []
        return places + [Path(root).expanduser().absolute() / name for root in self.settings[roots].value]


def configuration_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of this person's configuration."""
    if given := environ.get("DETUI_CONFIG"):
        return Path(given).expanduser().parent
    base = environ.get("XDG_CONFIG_HOME")
    home = Path(base) if base else Path(environ.get("HOME", "~")).expanduser() / ".config"
    return home / "detui"


def data_home(environ: Mapping[str, str]) -> Path:
    """The folder of this person's data that detui made or took in."""
    base = environ.get("XDG_DATA_HOME")
    data = Path(base) if base else Path(environ.get("HOME") or Path.home()) / ".local" / "share"
    return (data / "detui").absolute()


def _file(environ: Mapping[str, str]) -> Path:
    if given := environ.get("DETUI_CONFIG"):
        return Path(given).expanduser()
    return configuration_folder(environ) / "config.yaml"


def _defaults() -> dict[str, Setting]:
    return {
        "workspace": Setting(DEFAULT_WORKSPACE, "default"),
        "data_roots": Setting([], "default"),
        "weight_roots": Setting([], "default"),
    }


def _from_environment(environ: Mapping[str, str], current: Mapping[str, Setting]) -> dict[str, Setting]:
    found = {}
    if workspace := environ.get("DETUI_WORKSPACE"):
        found["workspace"] = Setting(workspace, "DETUI_WORKSPACE")
    for key, variable in _ROOTS.items():
        if given := environ.get(variable):
            # The environment's roots come after the file's: the file is this host's, and more specific.
            earlier = current[key]
            source = variable if earlier.source == "default" else f"{earlier.source}, {variable}"
            found[key] = Setting([*earlier.value, *given.split(os.pathsep)], source)
    return found


def _from_file(file: Path) -> dict[str, Setting]:
    from detui.engine.yaml import load_yaml

    document = load_yaml(file)
    value = document.value or {}
    if not isinstance(value, dict):
        raise UsageError("The configuration must be a mapping of keys.", where=document.where(()))
    settings: dict[str, Setting] = {}
    for key, inner in value.items():
        where = document.where((key,))
        if key not in KEYS:
            close = difflib.get_close_matches(str(key), KEYS, 1)
            hint = f"{close[0]}" if close else f"one of {', '.join(KEYS)}"
            raise UsageError(f"There is no setting {key!r}.", where=where, hint=hint)
        if key == "hooks":
            settings.update(_hooks(inner, where, document.where))
        elif key == "hosts":
            settings.update(_hosts(inner, where, document.where))
        elif key == "slurm":
            found = configured(inner, document.where)
            settings.update({name: Setting(value, at) for name, (value, at) in found.items()})
        elif key in _MAPPINGS:
            settings.update(_mapping(str(key), inner, where, document.where))
        elif key in _ROOTS:
            settings[str(key)] = Setting(_list(str(key), inner, where), where)
        else:
            settings[str(key)] = Setting(_text(str(key), inner, where), where)
    return settings


def _mapping(key: str, value: Any, where: str, place: Any) -> dict[str, Setting]:
    if not isinstance(value, dict):
        raise UsageError(f"{key} must be a mapping from a name to a path.", where=where)
    found = {}
    for name, path in value.items():
        inner = place((key, name))
        found[f"{key}.{name}"] = Setting(_text(f"{key}.{name}", path, inner), inner)
    return found


def _hooks(value: Any, where: str, place: Any) -> dict[str, Setting]:
    names = (*HOOKS, "seconds")
    if not isinstance(value, dict):
        raise UsageError("hooks must be a mapping from an event to a command.", where=where, hint=_names(names))
    found = {}
    for name, inner in value.items():
        at = place(("hooks", name))
        if name not in names:
            close = difflib.get_close_matches(str(name), names, 1)
            hint = close[0] if close else _names(names)
            raise UsageError(f"There is no hook {name!r}.", where=at, hint=hint)
        found[f"hooks.{name}"] = Setting((_seconds if name == "seconds" else _command)(name, inner, at), at)
    return found


def _hosts(value: Any, where: str, place: Any) -> dict[str, Setting]:
    example = "hosts: {lab: {ssh: me@server}}"
    if not isinstance(value, dict):
        raise UsageError("hosts must be a mapping from a name to what is said of that host.", where=where, hint=example)
    found = {}
    for name, about in value.items():
        if not isinstance(about, dict) or not about:
            raise UsageError(f"hosts.{name} must be a mapping.", where=place(("hosts", name)), hint=example)
        for key, inner in about.items():
            at = place(("hosts", name, key))
            if key not in HOST_KEYS:
                raise UsageError(f"There is nothing called {key!r} of a host.", where=at, hint=_names(HOST_KEYS))
            if not isinstance(inner, str) or not inner:
                raise UsageError(f"hosts.{name}.{key} must be text.", where=at, hint=example)
            found[f"hosts.{name}.{key}"] = Setting(inner, at)
    return found


def _names(names: tuple[str, ...]) -> str:
    return f"one of {', '.join(names)}"


def _seconds(name: str, value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 3600:
        raise UsageError(f"hooks.{name} must be a number of seconds, 3600 at most.", where=where, hint="seconds: 30")
    return float(value)


def _command(name: str, value: Any, where: str) -> list[str]:
    """A command is a list of words, because no shell reads it."""
    words = [value] if isinstance(value, str) and not value.strip().count(" ") else value
    if not isinstance(words, list) or not words or not all(isinstance(word, str) and word for word in words):
        hint = f"{name}: [{', '.join(value.split())}]" if isinstance(value, str) else f"{name}: [notify-me, --short]"
        raise UsageError(f"hooks.{name} must be a command as a list of words.", where=where, hint=hint)
    return list(words)


def _list(key: str, value: Any, where: str) -> list[str]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise UsageError(f"{key} must be a path or a list of paths.", where=where)
    return items


def _text(key: str, value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise UsageError(f"{key} must be a path.", where=where)
    return value
