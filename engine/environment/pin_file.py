"""Pin files: which packages, in which versions and order, make a named environment.

Those in ``engine/environment/pins/`` ship with detui; one's own lie in the
folder ``environments`` beside the configuration file, and win over a shipped
one of the same name. The name of the file is the environment's.

    schema: 1
    title: nuScenes evaluation
    python: {at_least: "3.10", below: "3.13"}
    mebibytes: 550
    steps:
      - packages: [numpy==1.26.4, nuscenes-devkit==1.2.0]
    check: {imports: [nuscenes.eval.detection.evaluate]}
    environ: {OMP_NUM_THREADS: "1"}

`after` names programs of detui's own (`programs/`) that the new environment's Python runs once everything is
installed, such as one that compiles what a framework would otherwise compile in the first run.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from detui.engine.closed import Closed, validate
from detui.engine.configuration import Configuration
from detui.engine.errors import RecipeError
from detui.engine.run.files import SCHEMA, check_schema
from detui.engine.yaml import load_yaml

SHIPPED = Path(__file__).parent / "pins"
"""The pin files that ship with detui."""
PROGRAMS = Path(__file__).parent / "programs"
"""The programs of detui's that `after` names: one file each, run by its path in the new environment."""
NAME = re.compile(r"[a-z0-9]([a-z0-9_-]|\.(?=[a-z0-9])){0,39}")
"""What an environment may be called: its name becomes the name of a folder."""
OWN = "detui"
"""The environment that detui runs in: it has no pins."""
DIGITS = 12
"""Hexadecimal digits of the hash in the name of an environment's folder."""

_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(\[[A-Za-z0-9._,-]+\])?==([A-Za-z0-9][A-Za-z0-9.!+_-]*)")


def _pinned(value: str) -> str:
    if not _PIN.fullmatch(value):
        raise ValueError(f"{value!r} must be one package with its exact version, such as numpy==1.26.4.")
    return value


def _version(value: str) -> str:
    if not re.fullmatch(r"\d+\.\d+", value):
        raise ValueError(f'{value!r} must be a version of Python in quotes, such as "3.10".')
    return value


Pin = Annotated[str, AfterValidator(_pinned)]
Version = Annotated[str, AfterValidator(_version)]


class PythonRange(Closed):
    """Which Python it can be made with."""

    at_least: Version
    below: Version

    def __contains__(self, version: object) -> bool:
        """Whether a version such as "3.11.7" lies in the range."""
        return isinstance(version, str) and minor(self.at_least) <= minor(version) < minor(self.below)

    def __str__(self) -> str:
        return f"at least {self.at_least} and below {self.below}"


class Step(Closed):
    """Packages that one call of the installer installs; steps follow one another."""

    packages: Annotated[list[Pin], Field(min_length=1)]
    """Each as `name==version`."""
    dependencies: bool = False
    """Whether what the packages ask for is installed, too. Not by default: a list of pins is complete."""
    build_isolation: bool = True
    """Whether a package without a wheel is built apart, or (false) with what earlier steps installed."""
    environ: dict[str, str] = {}
    """Variables of the installer, such as `MMCV_WITH_OPS: "1"`."""


class After(Closed):
    """A program of detui's that finishes the environment once its packages are there."""

    program: Literal["jittor_onednn", "jittor_warm_up"]
    """Its name in ``programs/``. It has done its work when it ended with 0 and left `<program>.json` in the folder."""
    seconds: Annotated[float, Field(gt=0, le=7200)] = 300.0
    """How long one try may take; then it is ended with all that it started."""
    tries: Annotated[int, Field(ge=1, le=5)] = 1
    """How often it is started until it has done its work."""


class Checks(Closed):
    """What shows that the environment works."""

    imports: list[str] = []
    """Modules that can be imported in it."""
    seconds: Annotated[float, Field(gt=0, le=3600)] = 180.0
    """How long that may take."""


class PinFile(Closed):
    """A pin file as it is written."""

    schema_: Annotated[int, Field(alias="schema", ge=1)] = SCHEMA
    title: str
    python: PythonRange
    mebibytes: Annotated[int, Field(ge=1)] | None = None
    """About how much disk it takes once it is made; that much must be free before."""
    steps: Annotated[list[Step], Field(min_length=1)]
    after: list[After] = []
    """What runs in the environment, with its `environ`, once everything is installed; in this order."""
    check: Checks = Checks()
    environ: dict[str, str] = {}
    """Variables of every process in it; `{environment}` stands for its folder."""

    @model_validator(mode="after")
    def _once(self) -> PinFile:
        names = [_named(pin)[0] for step in self.steps for pin in step.packages]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"a package stands there twice: {', '.join(repeated)}.")
        programs = [one.program for one in self.after]
        if repeated := sorted({name for name in programs if programs.count(name) > 1}):
            raise ValueError(f"a program stands there twice: {', '.join(repeated)}.")
        return self


@dataclass(frozen=True, slots=True)
class Pins:
    """The pins of one named environment."""

    name: str
    path: Path
    """The pin file."""
    file: PinFile

    @property
    def hash(self) -> str:
        """What was asked to be installed, as hexadecimal digits: another hash is another environment.

        Where programs finish it, they and the variables that they run with count, too.
        """
        steps = [step.model_dump() for step in self.file.steps]
        parts: list[Any] = [self.file.python.model_dump(), steps]
        if self.file.after:
            parts += [[one.program for one in self.file.after], self.file.environ]
        asked = json.dumps(parts, sort_keys=True)
        return hashlib.sha256(asked.encode()).hexdigest()[:DIGITS]

    @property
    def packages(self) -> dict[str, str]:
        """The version of every pinned package, by its name in small letters."""
        return dict(_named(pin) for step in self.file.steps for pin in step.packages)

    def environ(self, folder: Path) -> Mapping[str, str]:
        """Return the variables of a process in the environment that lies in `folder`."""
        return {name: value.replace("{environment}", str(folder)) for name, value in self.file.environ.items()}


def minor(version: str) -> tuple[int, int]:
    """Return a version of Python by its first two numbers: "3.11.7" → (3, 11)."""
    major, second = version.split(".")[:2]
    return int(major), int(second)


def own_folder(configuration: Configuration) -> Path:
    """Where this person's pin files lie: beside the configuration file."""
    return configuration.file.parent / "environments"


def find_pins(name: str, configuration: Configuration) -> Pins | None:
    """Return the pins of an environment, None where there are none of that name.

    Raises RecipeError with file, line and field for a pin file that is wrong, UsageError for one that is no YAML.
    """
    if not _possible(name):
        return None
    for folder in (own_folder(configuration), SHIPPED):
        if (path := folder / f"{name}.yaml").is_file():
            return read_pins(path)
    return None


def known_names(configuration: Configuration) -> Iterator[str]:
    """Give the name of every environment that has pins, sorted."""
    found = {path.stem for folder in (own_folder(configuration), SHIPPED) for path in folder.glob("*.yaml")}
    yield from sorted(filter(_possible, found))


def _possible(name: str) -> bool:
    return name != OWN and NAME.fullmatch(name) is not None


def read_pins(path: Path) -> Pins:
    """Read a pin file. Raises as `find_pins`."""
    document = load_yaml(path)
    if not isinstance(document.value, dict):
        raise RecipeError("A pin file is a mapping of keys.", where=document.where(()))
    check_schema(document.value, document.where(("schema",)))
    return Pins(path.stem, path, validate(PinFile, document.value, document.where))


def _named(pin: str) -> tuple[str, str]:
    found = _PIN.fullmatch(pin)
    assert found is not None, pin
    return re.sub(r"[-_.]+", "-", found[1]).lower(), found[3]
