"""Space on the disk: what experiments take, which checkpoints nobody will need, and removing what is over.

Nothing here touches a run that is live: while its files are looked at and removed, its lock is held, so that no
supervisor can start in between. What a run measured is never removed but with its whole experiment.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detui.engine.analysis.choice import chosen
from detui.engine.errors import DetuiError, RunError, UsageError
from detui.engine.executor.runs import look
from detui.engine.experiment import Experiment, experiments
from detui.engine.process.checkpoints import find_start
from detui.engine.process.control import supervised
from detui.engine.process.lease import run_resource, take
from detui.engine.run.directory import RunDir, now
from detui.engine.run.disk import disk_size
from detui.engine.run.files import write_error
from detui.engine.run.history import History, load_history
from detui.engine.run.lines import LineWriter

KINDS = ("best", "last", "milestones", "all")
"""What can be kept of a run's checkpoints: the one that the recipe's rule chooses, the newest, those of milestones."""

KEEP = ("best", "last")
"""What is kept where the recipe does not say."""

_FRESH_SECONDS = 86400.0
"""Prepared data and half-written files younger than this may belong to a launch in progress."""


@dataclass(frozen=True, slots=True)
class Removal:
    """A file or folder that may go."""

    path: Path
    bytes: int
    """What removing it frees; 0 for one of several names of a file that stays."""
    why: str
    run: RunDir | None = None
    """The run it belongs to; None for what belongs to the workspace."""


def superfluous(experiment: Experiment, keep: Sequence[str] | None = None) -> list[Removal]:
    """Return the checkpoints of an experiment's ended runs that the recipe, or `keep`, does not keep.

    Of a run that can be resumed the two newest whole checkpoints are kept in any case. Raises UsageError for an unknown
    kind in `keep`, FormatError for a broken experiment.json.
    """
    kinds = tuple(keep if keep is not None else experiment.facts().get("keep_checkpoints") or KEEP)
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise UsageError(f"{unknown[0]!r} is none of the checkpoints that can be kept.", hint=", ".join(KINDS))
    return [removal for run in experiment.runs() if not _live(run) for removal in _of_run(run, kinds)]


def _live(run: RunDir) -> bool:
    if run.pulled() is not None:  # a copy: what lives is on the other host
        return False
    return not look(run).state.terminal or supervised(run)


def _of_run(run: RunDir, kinds: Collection[str]) -> Iterator[Removal]:
    files = [path for attempt in run.attempts() for path in sorted(_files(attempt.checkpoints))]
    partial = [path for path in files if path.suffix == ".tmp" and _age(path) > _FRESH_SECONDS]
    going = set(partial)
    if "all" not in kinds:
        kept = {_inode(path) for path in _kept(run, kinds)}
        whole = [path for path in files if path.suffix != ".tmp"]
        # A companion (s0-e0003.state.pt) shares the fate of the checkpoint whose name it begins with.
        stems = {path.parent / path.name.split(".")[0] for path in whole if _inode(path) in kept}
        going |= {p for p in whole if _inode(p) not in kept and p.parent / p.name.split(".")[0] not in stems}
    seen: dict[tuple[int, int], int] = {}
    for path in sorted(going):
        found = path.stat()
        names = seen[_inode(path)] = seen.get(_inode(path), 0) + 1
        frees = found.st_blocks * 512 if names >= found.st_nlink else 0  # a file is gone with its last name
        yield Removal(path, frees, "half-written" if path in partial else "not kept", run)


def _files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_file() and not path.is_symlink()]
    except OSError:
        return []


def _inode(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _age(path: Path) -> float:
    return time.time() - path.lstat().st_mtime


def _kept(run: RunDir, kinds: Collection[str]) -> Iterator[Path]:
    history, rule = load_history(run), run.spec().checkpoint_rule
    found = list(_named(run, history, rule, kinds))
    if look(run).state.word != "finished":
        found += _resumable(run, history)
    yield from (path for path in found if path.is_file())


def _named(run: RunDir, history: History, rule: Mapping[str, Any], kinds: Collection[str]) -> Iterator[Path]:
    if "best" in kinds and (best := chosen(history, rule)) is not None and best.get("checkpoint"):
        yield _path(run, best, "checkpoint")
    if "last" in kinds and history.checkpoints:
        yield _path(run, history.checkpoints[-1], "path")
    if "milestones" in kinds:
        yield from (_path(run, line, "checkpoint") for line in history.dumps if line.get("checkpoint"))


def _resumable(run: RunDir, history: History) -> Iterator[Path]:
    start = find_start(run)
    if start.resume is not None:
        yield Path(start.resume["checkpoint"])
    newest = [_path(run, line, "path") for line in history.checkpoints if line.get("resumable")]
    yield from newest[-2:]


def _path(run: RunDir, line: Mapping[str, Any], name: str) -> Path:
    return run.attempt(int(line.get("attempt") or 1)).path / str(line[name])


def unused_data(workspace: Path) -> list[Removal]:
    """Return the prepared data in a workspace that none of its experiments trained on; it can be made again."""
    used = set()
    for experiment in experiments(workspace):
        facts = experiment.facts()
        for data in (facts.get("data"), *(facts.get("data_sets") or {}).values()):
            if isinstance(data, dict) and data.get("prepared"):
                used.add(Path(str(data["prepared"])).name)
    folder = workspace / ".data"
    found = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    unused = [path for path in found if path.name not in used and _age(path) > _FRESH_SECONDS]
    return [Removal(path, disk_size(path), "no experiment uses it") for path in unused]


def remove(removals: Sequence[Removal]) -> tuple[int, list[str]]:
    """Remove what may go, run by run; return the bytes freed, and what was left with the reason.

    What was removed of a run is written down in its removed.jsonl. A run that was resumed meanwhile is left alone.
    """
    freed, left = 0, []
    for run in dict.fromkeys(removal.run for removal in removals):
        own = [removal for removal in removals if removal.run == run]
        try:
            with _locked(run):
                freed += sum(_remove(removal) for removal in own)
        except DetuiError as error:
            left.append(f"{run.path.parent.parent.name}/{run.name}: {error.message}" if run else error.message)
    return freed, left


def _remove(removal: Removal) -> int:
    try:
        if removal.path.is_dir():
            shutil.rmtree(removal.path)
        else:
            removal.path.unlink(missing_ok=True)
        if removal.run is not None:
            _note(removal.run, removal)
    except OSError as error:
        raise write_error(removal.path, error) from error
    return removal.bytes


def _note(run: RunDir, removal: Removal) -> None:
    writer = LineWriter(run.path / "removed.jsonl")
    try:
        path = str(removal.path.relative_to(run.path))
        writer.write({"at": now(), "path": path, "bytes": removal.bytes, "why": removal.why})
    finally:
        writer.close()


@contextmanager
def _locked(run: RunDir | None) -> Iterator[None]:
    """Hold a run's lock, so that nobody starts it meanwhile. Raises RunError where somebody has it."""
    lease = take(run_resource(run.path), "removing files") if run else None
    if run and lease is None:
        raise RunError("it is live: nothing of it was removed", where=str(run.path))
    try:
        if run and _live(run):
            raise RunError("it is live: nothing of it was removed", where=str(run.path))
        yield
    finally:
        if lease is not None:
            lease.remove()


def check_removable(experiment: Experiment) -> None:
    """Raise RunError while a run of the experiment is live, where it belongs to somebody else, or is a link."""
    path = experiment.path
    if path.is_symlink():
        raise RunError("This is a link to an experiment elsewhere.", where=str(path), hint="remove the link yourself")
    if path.stat().st_uid not in (os.getuid(), 0) and os.getuid() != 0:
        raise RunError("The experiment belongs to another user.", where=str(path))
    for run in _runs(experiment):
        if _live(run):
            hint = f"detui stop {experiment.id}, then remove it"
            raise RunError(f"{run.name} is live: {look(run).state.word}.", where=str(path), hint=hint)


def remove_experiment(experiment: Experiment) -> int:
    """Remove an experiment with everything in it; return the bytes that it took.

    It vanishes from the list at once and is deleted after that: an interruption leaves a hidden folder, not half an
    experiment. Raises RunError as `check_removable` does, and where the disk refuses.
    """
    check_removable(experiment)
    path = experiment.path
    taken = disk_size(path)
    hidden = path.with_name(f".removed-{path.name}-{os.getpid()}")
    try:
        path.rename(hidden)
        shutil.rmtree(hidden)
    except OSError as error:
        raise write_error(path, error) from error
    return taken


def _runs(experiment: Experiment) -> list[RunDir]:
    """The runs that are there, whatever experiment.json says: a broken one must be removable, too."""
    folder = experiment.path / "runs"
    return [RunDir(path) for path in sorted(folder.iterdir()) if path.is_dir()] if folder.is_dir() else []
