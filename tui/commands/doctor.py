"""`detui doctor`: whether this machine has what a run needs."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from detui.tui.commands.version import installed
from detui.tui.context import Session, pass_session
from detui.tui.output import print_json, size

_DISK_ENOUGH = 5 << 30
_MARKS = {"ok": "ok", "note": "--", "absent": "!!"}


@dataclass(frozen=True, slots=True)
class Check:
    """What was found of one thing."""

    name: str
    state: str
    """"ok", "note" (worth knowing, not in the way) or "absent" (a run needs it)."""
    found: str
    hint: str | None = None
    """The next step, where there is one."""


@click.command("doctor", short_help="Check this machine: packages, devices, workspace.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_session
def command(session: Session, as_json: bool) -> None:
    """Check what runs need: Python, packages, devices, workspace, disk. Exit code 3 if something is absent."""
    checks = [check for part in _PARTS for check in _found(part, session)]
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        for check in checks:
            click.echo(f"{_MARKS[check.state]}  {check.name:<16} {check.found}")
            if check.hint:
                click.echo(f"    {'':<16} try: {check.hint}")
    if any(check.state == "absent" for check in checks):
        sys.exit(3)


def _found(part: Callable[[Session], Iterator[Check]], session: Session) -> Iterator[Check]:
    """Return what one part finds; what keeps it from looking, such as a broken configuration, is a finding itself."""
    from detui.engine.errors import DetuiError

    try:
        yield from part(session)
    except DetuiError as error:
        place = f"{error.where}: " if error.where else ""
        yield Check(part.__name__.strip("_").replace("_", " "), "absent", f"{place}{error.message}", error.hint)


def _python(session: Session) -> Iterator[Check]:
    good = sys.version_info >= (3, 10)
    found = f"{platform.python_version()} at {sys.executable}"
    yield Check("python", "ok" if good else "absent", found, None if good else "Python 3.10 or newer")


def _packages(session: Session) -> Iterator[Check]:
    for package in ("hotcoco", "numpy", "matplotlib", "textual"):
        version = installed(package)
        yield Check(package, "ok" if version else "absent", version or "absent", None if version else "make install")
    for package in ("torch", "torchvision", "ultralytics"):
        version = installed(package)
        hint = None if version else "pip install 'detui[ultralytics]' (Ultralytics is AGPL-3.0)"
        yield Check(package, "ok" if version else "absent", version or "absent", hint)


def _torch(session: Session) -> Iterator[Check]:
    """Import torch in a process of its own: it is heavy, and may die of a library that is missing."""
    if not installed("torch"):
        return
    import subprocess

    done = subprocess.run([sys.executable, "-c", _TORCH], capture_output=True, text=True, timeout=120, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode or len(lines) != 2:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        yield Check("torch imports", "absent", last, "reinstall torch and torchvision")
        return
    yield Check("torch imports", "ok", lines[0])
    native = lines[1] == "native"
    yield Check("torchvision ops", "ok" if native else "note", "native" if native else "absent: detui's own stand in")


_TORCH = """
import torch
cuda = torch.version.cuda
print(f"CUDA {cuda}, available: {torch.cuda.is_available()}" if cuda else "built for the CPU")
try:
    import torchvision
    torch.ops.torchvision.nms
    print("native")
except (ImportError, RuntimeError, AttributeError, OSError):
    print("absent")
"""


def _devices(session: Session) -> Iterator[Check]:
    from detui.engine.devices.host import cpu_slots
    from detui.engine.devices.nvml import gpu_problem, list_gpus, visible_gpus

    environ = dict(os.environ)
    cores = cpu_slots(environ)
    yield Check("cpu", "ok", f"{os.cpu_count()} cores, {cores} run{'s' if cores != 1 else ''} at a time")
    gpus = list_gpus()
    visible = {gpu.uuid for gpu in visible_gpus(environ)}
    if not gpus:
        yield Check("gpu", "note", f"{gpu_problem() or 'none found'}; runs use the CPU")
    for gpu in gpus:
        hidden = "" if gpu.uuid in visible else " (hidden by CUDA_VISIBLE_DEVICES)"
        yield Check(f"gpu {gpu.index}", "ok", f"{gpu.name}, {size(gpu.memory_total)}, {gpu.uuid}{hidden}")


def _workspace(session: Session) -> Iterator[Check]:
    path = session.workspace.path
    source = session.workspace.configuration.settings["workspace"].source
    folder = next(parent for parent in (path, *path.parents) if parent.is_dir())
    problem = _unwritable(folder)
    hint = "choose another --workspace, or set DETUI_WORKSPACE" if problem else None
    yield Check("workspace", "absent" if problem else "ok", f"{path} ({problem or source})", hint)
    free = shutil.disk_usage(folder).free
    plenty = free >= _DISK_ENOUGH
    yield Check("disk", "ok" if plenty else "note", f"{size(free)} free", None if plenty else "free some space")


def _unwritable(folder: Path) -> str | None:
    """Return why nothing can be written in a folder, None where it can."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".detui-doctor-"):
            return None
    except OSError as error:
        return error.strerror or str(error)


def _session_end(session: Session) -> Iterator[Check]:
    """Say whether the login manager kills what is left running at logout."""
    from detui.engine.devices.logind import at_logout

    found = at_logout()
    if found.kills is None:
        yield Check("logout", "ok", "no systemd-logind here to end what is left running")
    elif not found.kills:
        yield Check("logout", "ok", f"leaves processes running ({found.source})")
    elif found.lingers:
        yield Check("logout", "ok", f"kills processes of a session ({found.source}): runs get scopes of their own")
    else:
        text = f"kills all processes of a session: runs would die ({found.source})"
        yield Check("logout", "note", text, "loginctl enable-linger, then log in again")


def _processes(session: Session) -> Iterator[Check]:
    from detui.engine.process.identity import pins_processes

    if pins_processes():
        yield Check("processes", "ok", "watched through descriptors (pidfd)")
    else:
        yield Check("processes", "note", "polled: this kernel gives no descriptors of processes (pidfd, Linux 5.3)")


def _configuration(session: Session) -> Iterator[Check]:
    file = session.workspace.configuration.file
    yield Check("configuration", "ok", str(file) if file.is_file() else f"{file} (there is none: defaults)")


def _slurm(session: Session) -> Iterator[Check]:
    """Say what Slurm answers, where its programs are here; other machines need none."""
    from detui.engine.executor.slurm.cluster import view

    found = view()
    if found is None:
        return
    if found.problem is not None:
        yield Check("slurm", "note", found.problem, "sinfo; --executor slurm needs its answer")
        return
    names = ", ".join(one.name for one in found.partitions) or "none"
    jobs = len(found.jobs)
    yield Check("slurm", "ok", f"partitions {names}; {jobs} job{'s' if jobs != 1 else ''} of yours")


def _environments(session: Session) -> Iterator[Check]:
    """Say how each named environment stands; one that is absent is in nobody's way until a recipe needs it."""
    from detui.engine.environment.standing import standings
    from detui.tui.environments import found_text, operators_text

    for found in standings(session.workspace.configuration):
        name = f"env {found.name}"
        if found.usable:
            yield Check(name, "ok", found_text(found))
            if operators := operators_text(found):
                yield Check(f"{name} ops", "ok", operators)
        else:
            gone = found.state == "broken"
            yield Check(name, "absent" if gone else "note", found.problem or "", found.command or found.hint)


def _arithmetic(session: Session) -> Iterator[Check]:
    """Test what the frameworks compute, on each device, here and in each environment that can be used."""
    from detui.engine.environment.numbers import FRAMEWORKS, tested
    from detui.engine.environment.standing import standings
    from detui.engine.errors import DetuiError

    try:
        found = [one for one in standings(session.workspace.configuration) if one.usable and one.python is not None]
    except DetuiError:  # `_environments` says what is wrong there
        found = []
    places = [
        ("detui", Path(sys.executable), {}, None),
        *((one.name, one.python, one.environ, one.pins) for one in found),
    ]
    for name, python, environ, pins in places:
        packages = {"torch": ""} if pins is None else pins.packages
        for framework in FRAMEWORKS:
            if framework in packages and python is not None:
                yield from (_arithmetic_check(name, one) for one in tested(python, framework, environ))


def _arithmetic_check(name: str, result: Mapping[str, Any]) -> Check:
    from detui.engine.worker.arithmetic import refused, told

    where = f"numbers {name}"
    if problem := result.get("problem"):
        return Check(where, "note", str(problem), f"detui env check {name}" if name != "detui" else None)
    build = f"{result['framework']} {result['version']} on {result['device']}"
    if not result["wrong"]:
        return Check(where, "ok", f"{build}: as numpy's")
    never = refused(result, batch_of_one=False)
    hint = "another release, or another device" if never else "batches of two or more, and no last batch of one"
    return Check(where, "absent" if never else "note", told(result, result["wrong"]), hint)


_PARTS: tuple[Callable[[Session], Iterator[Check]], ...] = (
    _python, _packages, _torch, _devices, _slurm, _processes, _configuration, _environments, _arithmetic,
    _workspace, _session_end,
)  # fmt: skip
