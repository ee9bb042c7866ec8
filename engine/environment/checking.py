"""Whether an environment is what its pins say: looked at from inside, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detui.engine.environment.installers import environment_of_child
from detui.engine.environment.pin_file import Pins

_DEFAULT_SECONDS = 180.0

# Libraries print while they are imported: what is found leaves through a descriptor of its own.
_SCRIPT = """
import importlib, importlib.metadata as metadata, json, os, platform, sys
out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
asked = json.load(sys.stdin)
def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
def imported(name):
    try:
        importlib.import_module(name)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
found = {"python": platform.python_version(), "packages": {name: version(name) for name in asked["packages"]}}
print(json.dumps(found), file=out, flush=True)
print(json.dumps({name: imported(name) for name in asked["imports"]}), file=out, flush=True)
os._exit(0)
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in an environment that is not as its pins say."""

    what: str
    """`python`, `interpreter`, a package, or `import MODULE`."""
    asked: str
    found: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What an environment is."""

    python: str | None
    """The version of its Python; None where it does not run."""
    packages: Mapping[str, str | None]
    """The version of every pinned package as it is installed; None where it is absent."""
    differences: tuple[Difference, ...]


def check_interpreter(python: Path, pins: Pins | None) -> Checked:
    """Run an interpreter and compare it with the pins: its version, its packages, the imports that must work.

    Without pins only whether it runs. Raises nothing: what goes wrong is a difference.
    """
    packages = pins.packages if pins else {}
    imports = pins.file.check.imports if pins else []
    environ = environment_of_child(os.environ, pins.environ(python.parent.parent) if pins else {})
    seconds = pins.file.check.seconds if pins else _DEFAULT_SECONDS
    try:
        done = subprocess.run(
            [str(python), "-I", "-c", _SCRIPT],
            input=json.dumps({"packages": list(packages), "imports": imports}).encode(),
            capture_output=True,
            timeout=seconds,
            env=environ,
            check=False,
        )
        lines, ending = done.stdout.splitlines(), _ending(done)
    except subprocess.TimeoutExpired as error:
        lines, ending = (error.stdout or b"").splitlines(), f"not done after {seconds:g} s"
    except OSError as error:
        lines, ending = [], error.strerror or str(error)
    facts, imported = _objects(lines)
    if not facts:
        return Checked(None, {}, (Difference("interpreter", "runs", ending),))
    found = [*_python(facts["python"], pins), *_packages(packages, facts["packages"])]
    if imported is None and imports:
        found.append(Difference(f"import {', '.join(imports)}", "works", ending))
    found += [Difference(f"import {name}", "works", said) for name, said in (imported or {}).items() if said]
    found += _programs(python.parent.parent, pins)
    return Checked(facts["python"], facts["packages"], tuple(found))


def _objects(lines: list[bytes]) -> tuple[dict[str, Any] | None, dict[str, str | None] | None]:
    """The facts and what became of the imports; the second is absent where an import ended the process."""
    try:
        read = [json.loads(line) for line in lines]
    except ValueError:
        return None, None
    return (read[0] if read else None), (read[1] if len(read) > 1 else None)


def _ending(done: subprocess.CompletedProcess[bytes]) -> str:
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
    return f"{how}: {said[-1]}" if said else how


def _python(version: str, pins: Pins | None) -> list[Difference]:
    if pins is None or version in pins.file.python:
        return []
    return [Difference("python", str(pins.file.python), version)]


def _programs(folder: Path, pins: Pins | None) -> list[Difference]:
    """The programs that did not finish the environment; of one that somebody else made none is expected."""
    if pins is None or not folder.name.startswith(f"{pins.name}-{pins.hash}"):
        return []
    absent = [one.program for one in pins.file.after if not (folder / f"{one.program}.json").is_file()]
    return [Difference(name, "done", f"no {name}.json") for name in absent]


def _packages(asked: Mapping[str, str], found: Mapping[str, str | None]) -> list[Difference]:
    return [
        Difference(name, version, found[name] or "absent")
        for name, version in asked.items()
        if not _equal(version, found[name])
    ]


def _equal(asked: str, found: str | None) -> bool:
    """Whether a version is the pinned one; a build that was not asked for, as in 2.13.0+cpu, is the same version."""
    return found is not None and (found == asked or ("+" not in asked and found.partition("+")[0] == asked))
