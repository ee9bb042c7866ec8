"""What the models of a plan are made of, where somebody has built them before: remembered by configuration.

`<workspace>/.models/` is an index and nothing more: one small file a model, written when a backend has described it
(describe.py), and one for each device on which a pass of it was measured. It may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from detui.engine.configuration import Configuration
from detui.engine.environment import OWN
from detui.engine.errors import DetuiError
from detui.engine.estimates import device_model
from detui.engine.placement import Placement
from detui.engine.recipe.resolve import Resolved, ResolvedArm
from detui.engine.recipe.schema import DataSelection
from detui.engine.run.directory import now
from detui.engine.run.files import read_json_if_there, sha256_of, write_json

FOLDER = ".models"


@dataclass(frozen=True, slots=True)
class Description:
    """A model that was built to be looked at."""

    key: str
    """Of its configuration: arms with the same key have the same model."""
    facts: Mapping[str, Any]
    """As in `begin`: parameters, parameters_by_part, backbone, backbone_convolutions, levels; gflops and gmacs as torch
    counts them, classes, packages."""
    speed: Mapping[str, Any] | None = None
    """One pass with random weights on the planned device, with its settings; None where nobody measured it."""


def descriptions(resolved: Resolved, placement: Placement, configuration: Configuration) -> dict[str, Description]:
    """Arm → what is remembered of its model; nothing for a model that has not been described, or cannot be."""
    found: dict[str, Description] = {}
    known: dict[str, Description | None] = {}
    if not (configuration.workspace / FOLDER).is_dir():
        return found
    for arm in resolved.arms:
        with suppress(DetuiError, OSError):  # what is wrong with data or files is the plan's to say
            key = model_key(resolved, arm, configuration)
            if key is None:
                continue
            if key not in known:
                known[key] = recall(configuration.workspace, key, placement, own=arm.environment == OWN)
            if (one := known[key]) is not None:
                found[arm.name] = one
    return found


def model_key(resolved: Resolved, arm: ResolvedArm, configuration: Configuration) -> str | None:
    """The name of an arm's model: all that it depends on; None where its backend cannot say.

    Raises DetuiError or OSError where the data's classes, or the model's own file, cannot be looked up.
    """
    backend = resolved.recipe.backend
    parts = backend.architecture(arm.config)
    if parts is None:
        return None
    facts = [backend.name, arm.environment, parts, _files(resolved, arm, parts, configuration),
             _classes(arm.data, configuration), *_pictures(arm.data)]  # fmt: skip
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]


def _files(resolved: Resolved, arm: ResolvedArm, parts: Mapping[str, Any], configuration: Configuration) -> list[str]:
    """The content of the files that say how the model is built, as SHA-256."""
    said = []
    for weight in resolved.recipe.backend.weights(arm.config):
        if holds(parts, weight.keys):
            place = next((path for path in configuration.weights_places(weight.name) if path.is_file()), None)
            said.append(sha256_of(place) if place is not None else "")
    return said


def holds(parts: Mapping[str, Any], keys: Sequence[str]) -> bool:
    """Whether a field is among those that a model depends on."""
    inner: Any = parts
    for key in keys:
        if not isinstance(inner, Mapping) or key not in inner:
            return False
        inner = inner[key]
    return True


def _classes(selection: DataSelection | None, configuration: Configuration) -> Any:
    """The classes' names; of data whose annotations alone say them, what it is called."""
    if selection is None:
        return None
    from detui.engine.data.class_names import class_names
    from detui.engine.data.definition import load_definition

    definition = load_definition(selection.name).with_options(selection.options)
    return class_names(definition, configuration) or {"of": str(selection.name)}


def _pictures(selection: DataSelection | None) -> list[Any]:
    """Cameras, height and width of frames: FLOPs are counted at them."""
    if selection is None:
        return []
    from detui.engine.data.frame_pictures import frame_pictures

    found = frame_pictures(selection.name, selection.options)
    return [] if found is None else [found]


def recall(workspace: Path, key: str, placement: Placement, *, own: bool) -> Description | None:
    """What is remembered of a model; None where nothing is, or nothing that can be read or still holds.

    `own`: whether it is built in this environment, whose packages may have changed since.
    """
    facts = _read(_path(workspace, key), "facts")
    if not facts or not isinstance(facts.get("parameters"), int) or (own and not _installed(facts.get("packages"))):
        return None
    return Description(key, facts, _read(_speed_path(workspace, key, placement), "speed"))


def remember(workspace: Path, key: str, placement: Placement, told: Mapping[str, Any]) -> None:
    """Keep what a backend said of a model: {"model": facts, "speed": a measurement or None}. Raises RunError."""
    path = _path(workspace, key)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = {"schema": 1, "key": key, "at": now()}
    write_json(path, {**about, "facts": told["model"]})
    if told.get("speed"):
        write_json(_speed_path(workspace, key, placement), {**about, "speed": told["speed"]})


def _read(path: Path, field: str) -> dict[str, Any] | None:
    try:
        found = (read_json_if_there(path) or {}).get(field)
    except DetuiError:  # an index may be damaged; it is written again
        return None
    return found if isinstance(found, dict) else None


def _installed(packages: Any) -> bool:
    """Whether the packages that built it are the ones that are installed."""
    try:
        return all(version(name) == told for name, told in dict(packages or {}).items())
    except (PackageNotFoundError, TypeError, ValueError):
        return False


def _path(workspace: Path, key: str) -> Path:
    return workspace / FOLDER / f"{key}.json"


def _speed_path(workspace: Path, key: str, placement: Placement) -> Path:
    """A pass is as fast as its device, and on a CPU as its threads."""
    device = hashlib.sha256(f"{device_model(placement)} {placement.threads}".encode()).hexdigest()[:8]
    return workspace / FOLDER / f"{key}-{device}.json"
