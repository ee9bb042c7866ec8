"""Opening a data set of frames: find it on this host, read it, look at its files, compare what its authors publish."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detui.engine.configuration import Configuration
from detui.engine.data.checksums import report_differences
from detui.engine.data.definition import DatasetDefinition
from detui.engine.data.form import Checksum
from detui.engine.data.frame_checks import Candidate, FrameCheck, Kept, Source
from detui.engine.data.frame_files import FILE
from detui.engine.data.frame_layouts import FramesDefinition, FusionScenesDefinition, NuscenesDefinition
from detui.engine.data.imagefiles import ImageFiles
from detui.engine.data.problems import Ledger, Problem, ProblemSummary
from detui.engine.data.reading import Progress, Reading, no_progress
from detui.engine.data.roots import find_root
from detui.engine.errors import RecipeError

FORMAT = 1
"""Raised when the same frames would get another fingerprint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSplit:
    """The frames of one split, in its own order."""

    name: str
    frames: tuple[Kept, ...]
    available: int
    """How many there are to ask for, before any was found unusable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSet:
    """A data set of frames as read: its splits, and every problem found on the way."""

    name: str
    title: str
    root: Path
    """The folder that files are relative to (absolute)."""
    classes: tuple[str, ...]
    splits: Mapping[str, FrameSplit]
    generated: bool
    problems: tuple[Problem, ...]
    """The first ones of each kind."""
    summary: tuple[ProblemSummary, ...]
    checksums: tuple[Checksum, ...]


def open_frame_set(
    definition: DatasetDefinition,
    configuration: Configuration,
    *,
    options: Mapping[str, Any] | None = None,
    splits: tuple[str, ...] | None = None,
    limits: Mapping[str, int] | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    decode: bool = False,
    tolerate: bool = False,
) -> FrameSet:
    """Read and check a data set of frames; the arguments as `open_dataset` has them.

    With `decode`, points are counted in their boxes too. Raises MissingError with every place tried, RecipeError for
    an unknown split or option and for data that holds images, DataError with the first ten problems unless `tolerate`.
    """
    definition = definition.with_options(options or {})
    layout = definition.frames
    if layout is None:
        raise RecipeError(f"The data set {definition.name} holds images, no frames of cameras and LiDAR.", where="data")
    wanted, limits = splits or definition.split_names, limits or {}
    for split in wanted:
        if split not in layout.splits:
            hint = f"one of {', '.join(layout.splits)}"
            raise RecipeError(f"The data set {definition.name} has no split {split!r}.", where="data", hint=hint)
    cache, progress = (cache or configuration.workspace / ".data").absolute(), progress or no_progress
    root = _root(definition, configuration, wanted, limits, cache, progress)
    ledger = Ledger(layout.on_problem)
    reading = Reading(root=root, ledger=ledger, wanted=splits, progress=progress)
    files = ImageFiles(root, cache, decode=decode)
    classes = tuple(layout.options.classes if isinstance(layout, FusionScenesDefinition) else layout.classes)
    found: dict[str, FrameSplit] = {}
    for name in wanted:
        # One check a split: that frames stand in two of them is the business of those who choose.
        check = FrameCheck(root, files, ledger, classes, decode=decode, generated=definition.generated)
        limit = limits.get(name)
        source = _read(layout, reading, name, limit)
        found[name] = _look_at(name, source, check, progress, limit)
    files.save()
    counted = tuple(Checksum(f"images of {name}", number, found[name].available)
                    for name, number in layout.published.images.items() if name in found)  # fmt: skip
    report_differences(counted, definition.path, ledger)
    if not tolerate:
        ledger.raise_errors(definition.name, root, called=None if definition.own else str(definition.path))
    return FrameSet(
        name=definition.name,
        title=definition.title,
        root=root,
        classes=classes,
        splits=found,
        generated=definition.generated,
        problems=ledger.problems,
        summary=ledger.summary(),
        checksums=counted,
    )


def fingerprint_of(classes: tuple[str, ...], splits: Mapping[str, tuple[Kept, ...]]) -> str:
    """64 hexadecimal digits; `splits` by the role they play.

    They change with any box, any number of a calibration, any byte of a picture or of a frame's own point cloud, the
    size of any earlier sweep, the selection and the roles. They do not change when the data lies somewhere else.
    """
    digest = hashlib.sha256()
    for item in ["detui frames", FORMAT, list(classes)], *([role, *(frame.digest for frame in splits[role])]
                                                           for role in sorted(splits)):  # fmt: skip
        digest.update(json.dumps(item, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()


def _root(
    definition: DatasetDefinition,
    configuration: Configuration,
    wanted: tuple[str, ...],
    limits: Mapping[str, int],
    cache: Path,
    progress: Progress,
) -> Path:
    if not isinstance(definition.layout, FusionScenesDefinition):
        return find_root(definition, configuration)
    from detui.engine.data.fusion_scenes import draw_files

    return draw_files(definition.layout, wanted, limits, cache, progress)


def _read(layout: object, reading: Reading, name: str, limit: int | None) -> Source:
    if isinstance(layout, NuscenesDefinition):
        from detui.engine.data import nuscenes

        return nuscenes.read_split(layout, reading, name, limit)
    if isinstance(layout, FusionScenesDefinition):
        from detui.engine.data import fusion_scenes

        return fusion_scenes.read_split(layout, reading, name, limit)
    assert isinstance(layout, FramesDefinition)
    return _stored(layout, reading, name, limit)


def _stored(layout: FramesDefinition, reading: Reading, name: str, limit: int | None) -> Source:
    """Folders with a frame.json each."""
    folder = reading.root / layout.splits[name].folder
    if (folder / FILE).is_file():
        paths = [folder / FILE]
    else:
        paths = sorted(folder.glob(f"*/{FILE}"))
        if not paths:
            reading.ledger.report("unreadable_file", layout.splits[name].folder, None, f"no {FILE} lies there")
    return Source(len(paths), (_stored_frame(path, reading) for path in paths[:limit]))


def _stored_frame(path: Path, reading: Reading) -> Candidate:
    file = reading.relative(path)
    try:
        entry = json.loads(path.read_bytes())
        below = Path(file).parent
        lidar = {**entry["lidar"], "file": (below / entry["lidar"]["file"]).as_posix()}
        if lidar.get("sweeps"):
            lidar["sweeps"] = [{**one, "file": (below / one["file"]).as_posix()} for one in lidar["sweeps"]]
        cameras = {name: {**one, "file": (below / one["file"]).as_posix()} for name, one in entry["cameras"].items()}
        pose = {"ego2global": entry["ego2global"]} if entry.get("ego2global") is not None else {}
        kept = {"token": entry["token"], **pose, "lidar": lidar, "cameras": cameras, "instances": entry["instances"]}
        return Candidate(file=file, line=None, entry=kept)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Candidate(file=file, line=None, entry=None, fault=f"a field is absent or of another kind: {error!r}")


def _look_at(name: str, source: Source, check: FrameCheck, progress: Progress, limit: int | None) -> FrameSplit:
    total = source.declared if limit is None else min(limit, source.declared)
    frames = []
    for index, candidate in enumerate(source.candidates):
        progress(f"checking frames of {name}", index, total)
        kept = check.accept(candidate)
        if kept is not None:
            frames.append(kept)
    progress(f"checking frames of {name}", total, total)
    return FrameSplit(name=name, frames=tuple(frames), available=source.declared)
