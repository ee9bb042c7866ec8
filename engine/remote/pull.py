"""Copying an experiment from another host, for reading offline: everything but what is large, and only what changed.

The first copy is made under a hidden name and renamed when it is whole; a later one puts its files into place when all
of them have come. An experiment of this host is never written over.
"""

from __future__ import annotations

import hashlib
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from detui.engine.errors import FormatError, MissingError, RunError, UsageError
from detui.engine.evaluate.lock import node_lock
from detui.engine.experiment import FACTS, Experiment
from detui.engine.remote.host import Host
from detui.engine.remote.ssh import ABSENT, UNREACHED, Ended, answer, problem
from detui.engine.run.directory import now
from detui.engine.run.files import read_json, sha256_of, write_error
from detui.engine.run.pulled import PULLED, Pulled, pulled

KINDS: Mapping[str, Sequence[str]] = {
    "checkpoints": ("/runs/*/attempts/*/checkpoints/", "/branch/"),
    "predictions": ("/runs/*/attempts/*/predictions/",),
}
"""What is large, and copied only when it is asked for: the folders of each kind, as rsync names them."""

_PASSING = (f"/{PULLED}", "/exports.json", "/runs/*/control/*", "waiting.json", "evaluating.json", ".room", "*.tmp")
"""What says something about processes or files of the other host alone."""

_KEPT = ".kept-"
"""In the name of a record that was written in here, before the time at which another came."""

_VANISHED = 24
"""rsync's word for files that went while it copied: a live run replaces some."""


@dataclass(frozen=True, slots=True)
class Pull:
    """What came of copying an experiment."""

    experiment: Experiment
    """The copy."""
    files: int
    """How many files were new or had changed."""
    bytes: int
    """What those take."""
    kept: tuple[Path, ...] = ()
    """Records that were written in here: where what was in them is kept."""


Progress = Callable[[str, int], None]
"""Is told of each file that is copied: its path in the experiment, and its bytes."""


def pull(
    host: Host,
    ref: str,
    workspace: Path,
    *,
    kinds: Collection[str] = (),
    progress: Progress = lambda name, size: None,
) -> Pull:
    """Copy the experiment that `ref` names on `host` into a workspace; return the copy.

    `ref`: what the host's own detui understands: an id, its beginning, a name, `last`. `kinds`: of KINDS, what else is
    wanted. `progress` is told of each file. Raises what the host's detui reports, MissingError where something is
    absent on the way, UsageError where an experiment of that id is here already and did not come from there, RunError
    where the copy is not whole.
    """
    if shutil.which("rsync") is None:
        raise MissingError("There is no program `rsync` here.", hint="apt install rsync, or your system's own way")
    path = _find(host, ref)
    ident = Path(path).name
    target = workspace.absolute() / ident
    with node_lock("pull", target):
        before = _came_from(host, path, target)
        at = now()
        kept = () if before is None else _keep_written(target, before)
        folder = target if before is not None else _hidden(host, path, target)
        try:
            files, size = _copy(host, path, folder, kinds, progress)
        except BaseException:
            _forget(kept)
            raise
        _check(host, folder)
        records = {found.name: sha256_of(found) for found in _records(folder)}
        Pulled(host=host.name, ssh=host.ssh, path=path, at=at, records=records).write(folder)
        if before is None:
            _rename(folder, target)
        return Pull(Experiment(target), files, size, kept)


def _find(host: Host, ref: str) -> str:
    """Return where the experiment lies there. Raises what the host's detui reports."""
    told = answer(host, ["ls", "--json", "--", ref])
    entry = told[0] if isinstance(told, list) and len(told) == 1 else None
    path = entry.get("path") if isinstance(entry, dict) else None
    ident = entry.get("experiment") if isinstance(entry, dict) else None
    # What the other side says becomes a name here: it must be one, and no way out of the workspace.
    if not _harmless(ident) or not isinstance(path, str) or not path.startswith("/") or Path(path).name != ident:
        text = f"What {host.name} says about {ref!r} is not understood."
        raise RunError(text, hint=f"detui version, and detui --host {shlex.quote(host.name)} version")
    if entry is not None and entry.get("pulled"):
        hint = f"detui pull {shlex.quote(str(ident))} --host {shlex.quote(str(entry['pulled']))}"
        raise UsageError(f"{host.name} has only a copy of {ident}, from {entry['pulled']}.", hint=hint)
    return path


def _harmless(ident: Any) -> bool:
    return isinstance(ident, str) and ident != "" and not ident.startswith(".") and not {"/", "\0"} & set(ident)


def _came_from(host: Host, path: str, target: Path) -> Pulled | None:
    """Return what is known of an earlier copy, None where there is none. Raises UsageError where something else is."""
    if not target.exists() and not target.is_symlink():
        return None
    found = pulled(target) if target.is_dir() and not target.is_symlink() else None
    if found is None:
        text = f"{target.name} is here already, and was not pulled: it is not written over."
        raise UsageError(text, where=str(target), hint="--to ANOTHER_WORKSPACE")
    if (found.ssh, found.path) != (host.ssh, path):
        text = f"{target.name} is here already, pulled from {found.host} ({found.ssh}:{found.path})."
        raise UsageError(text, where=str(target), hint="--to ANOTHER_WORKSPACE")
    return found


def _keep_written(target: Path, before: Pulled) -> tuple[Path, ...]:
    """Copy the records that somebody has written in since they came; return where the copies are."""
    kept = []
    for path in _records(target):
        if sha256_of(path) != before.records.get(path.name):
            aside = path.with_name(f"{path.stem}{_KEPT}{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}")
            shutil.copy2(path, aside)
            kept.append(aside)
    return tuple(kept)


def _forget(kept: Sequence[Path]) -> None:
    """Remove the copies of records that nothing was written over after all."""
    for aside in kept:
        original = aside.with_name(f"{aside.name.partition(_KEPT)[0]}{aside.suffix}")
        if original.is_file() and sha256_of(original) == sha256_of(aside):
            aside.unlink()


def _records(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("record*.md")) if _KEPT not in path.name]


def _hidden(host: Host, path: str, target: Path) -> Path:
    """Return the folder for a first copy, which no list shows; what an interruption left there is gone on with."""
    mark = hashlib.sha256(f"{host.ssh}\0{path}".encode("utf-8", "surrogateescape")).hexdigest()[:8]
    folder = target.with_name(f".pulling-{target.name}-{mark}")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    return folder


def _copy(host: Host, path: str, folder: Path, kinds: Collection[str], progress: Progress) -> tuple[int, int]:
    """Run rsync; return how many files were new or changed, and their bytes. Raises RunError, MissingError."""
    left = [pattern for kind, patterns in KINDS.items() if kind not in kinds for pattern in patterns]
    command = [
        "rsync", "--recursive", "--links", "--safe-links", "--times", "--perms", "--chmod=D700,F600", "--compress",
        "--delay-updates", "--out-format=%i %l %n", "--rsh=ssh",
        # The shell there changes into the folder: its name is quoted once, and rsync neither splits nor expands it.
        f"--rsync-path=cd {shlex.quote(path)} && rsync",
        *(f"--exclude={pattern}" for pattern in (*_PASSING, *left)), f"{host.ssh}:./", f"{folder}/",
    ]  # fmt: skip
    sizes = []
    with tempfile.TemporaryFile() as said, _running(command, said) as rsync:
        for line in rsync.stdout or ():
            what, size, name = line.decode(errors="replace").rstrip("\n").split(" ", 2)
            if what.startswith(">f"):  # a file that comes over, and no folder or link
                sizes.append(int(size.replace(",", "")))
                progress(name, sizes[-1])
        code = rsync.wait()
        said.seek(0)
        if code not in (0, _VANISHED):
            raise _failed(host, code, said.read().decode(errors="replace"))
    return len(sizes), sum(sizes)


@contextmanager
def _running(command: Sequence[str], errors: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program whose output is read as it comes, and end it with the block."""
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": errors}
    with subprocess.Popen(command, **streams) as process:
        try:
            yield process
        finally:
            process.terminate()  # of one that has ended already this does nothing


def _failed(host: Host, code: int, said: str) -> RunError | MissingError:
    if f"(code {ABSENT})" in said or "rsync: command not found" in said or "rsync: not found" in said:
        return MissingError(f"There is no program `rsync` on {host.name}.", hint=f"apt install rsync on {host.name}")
    if code == UNREACHED or f"(code {UNREACHED})" in said:
        words = [line for line in said.splitlines() if not line.startswith("rsync")]
        if (error := problem(host, Ended(UNREACHED, "\n".join(words)))) is not None:
            return error
    lines = [line for line in said.strip().splitlines() if not line.startswith("rsync error:")]
    text = f"Not everything was copied from {host.name}: {lines[0] if lines else f'rsync ended with {code}.'}"
    return RunError(text, hint="the same command again goes on where it stopped")


def _check(host: Host, folder: Path) -> None:
    """Raise RunError or FormatError where what came is no experiment that this detui can read."""
    try:
        found = read_json(folder / FACTS)
    except MissingError as error:
        text = f"What came from {host.name} is no experiment: {FACTS} is missing."
        raise RunError(text, where=str(folder)) from error
    if not isinstance(found.get("runs"), list):
        raise FormatError("`runs` is missing.", where=str(folder / FACTS))


def _rename(folder: Path, target: Path) -> None:
    try:
        folder.rename(target)
    except OSError as error:
        raise write_error(target, error) from error
