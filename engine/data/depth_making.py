"""Making depth maps: for each image of a data set one map, where its definition expects it.

Every map appears whole. Maps that are there already stay, so that the same call goes on after an interruption;
a note beside them says what made them, and maps of two makers are never mixed in one folder.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from detui.engine.configuration import Configuration
from detui.engine.data.definition import DatasetDefinition
from detui.engine.data.depth import DEEPEST, PER_METRE, UINT8, fault
from detui.engine.data.depth_layout import DepthLayout, Place
from detui.engine.data.depth_notes import NOTE, identity, in_words, read_note, write_note
from detui.engine.data.depth_reading import place_of, with_depth
from detui.engine.data.form import Image
from detui.engine.data.imagefiles import ImageFiles, NoImageError, pillow_errors
from detui.engine.data.opening import open_dataset
from detui.engine.data.reading import Progress, no_progress
from detui.engine.errors import DataError, DetuiError, FormatError, RunError, UsageError
from detui.engine.interrupt import held
from detui.engine.run.files import write_error, write_whole

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image as pillow

    Estimate: TypeAlias = Callable[[Sequence[pillow.Image]], list[npt.NDArray[np.float32]]]
    """Metres of RGB images of one size: for each a (height, width) array."""

_REMADE = frozenset({"broken_depth", "depth_mode", "depth_size"})
"""What is wrong with a map that is made again. One without any depth would come out the same."""


@dataclass(frozen=True, slots=True)
class Job:
    """One map to be made."""

    image: Image
    place: Place


@dataclass(frozen=True, slots=True)
class Made:
    """What a call did."""

    root: Path
    """The data set's folder."""
    bases: tuple[str, ...]
    """The folders of maps, relative to it."""
    made: int
    there: int
    """Maps that were there already, and sound."""
    unreadable: tuple[str, ...]
    """Images whose pixels cannot be read, with the reason: `file: reason`."""


def depth_of(definition: DatasetDefinition, encoding: str | None = None) -> DepthLayout:
    """What a definition says of its maps. Raises UsageError where none can be made, or not in that encoding."""
    if definition.frames is not None:
        raise UsageError(f"The data set {definition.name} holds frames of cameras and LiDAR, which take no depth maps.")
    if definition.generated:
        raise UsageError("Scenes draw their own depth maps.", hint="data: {name: scenes, depth: true} in a recipe")
    layout = with_depth(definition).layout.depth
    assert layout is not None
    if encoding not in (None, layout.encoding):
        message = f"The definition of {definition.name} says encoding: {layout.encoding}, and {encoding} is asked for."
        raise UsageError(message, where=str(definition.path), hint=f"--encoding {layout.encoding}, or change it there")
    return layout


def make_depth(
    definition: DatasetDefinition,
    configuration: Configuration,
    note: Mapping[str, Any],
    load: Callable[[], Estimate],
    *,
    splits: tuple[str, ...] | None = None,
    batch: int = 1,
    force: bool = False,
    progress: Progress = no_progress,
) -> Made:
    """Make the maps of the images of `splits` (all by default) that are absent or damaged.

    `note`: what goes beside them (`ModelFolder.note`). `load` is called when there is anything to make. `force`
    replaces maps that something else made. A Ctrl-C waits for the maps that are being written.

    Raises what `open_dataset` raises; UsageError for maps that something else made; RunError where maps cannot be
    written, or when the model gives no finite depth.
    """
    layout = depth_of(definition)
    where: dict[str, Any] = {"splits": splits, "progress": progress}
    dataset = open_dataset(definition, configuration, depth=True, judge_depth=False, **where)
    jobs = _jobs(definition, (image for split in dataset.splits.values() for image in split.images))
    bases = tuple(sorted({job.place.base for job in jobs}))
    for base in bases:
        _unmixed(dataset.root, base, jobs, note, force)
    todo = _absent(dataset.root, jobs, layout, ImageFiles(dataset.root, configuration.workspace / ".data"), progress)
    unreadable: list[str] = []
    if todo:
        for base in sorted({job.place.base for job in todo}):
            _announce(dataset.root / base, note)
        estimate = load()
        done = 0
        for group in _groups(todo, batch):
            progress("making depth maps", done, len(todo))
            unreadable += _make(dataset.root, group, str(note["encoding"]), estimate)
            done += len(group)
        progress("making depth maps", len(todo), len(todo))
    return Made(dataset.root, bases, len(todo) - len(unreadable), len(jobs) - len(todo), tuple(unreadable))


def _jobs(definition: DatasetDefinition, images: Iterable[Image]) -> list[Job]:
    """One for each map. Raises DataError where two images would have the same, or one of them would be it."""
    found: dict[str, Job] = {}
    images = list(images)
    names = {image.file for image in images}
    for image in images:
        job = Job(image, place_of(definition, image))
        other = found.setdefault(job.place.file, job)
        if other.image.file != image.file:
            message = f"{other.image.file} and {image.file} would have the same depth map, {job.place.file}."
            raise DataError(message, where=str(definition.path), hint="rename one of the images")
        if job.place.file in names:
            message = f"The depth map of {image.file} would be {job.place.file}, which is an image of the data set."
            raise DataError(message, where=str(definition.path), hint="choose another depth.folder")
    return list(found.values())


def _unmixed(root: Path, base: str, jobs: Sequence[Job], note: Mapping[str, Any], force: bool) -> None:
    """Refuse a folder with maps that something else made; with `force`, remove them. Raises UsageError, RunError."""
    folder = root / base
    if not folder.is_dir():
        return
    try:
        found = read_note(folder)
    except FormatError as error:
        if not force:
            error.hint = "restore it from a copy, or make all maps below it anew with --force"
            raise
        found = None
    if found is not None and identity(found) == identity(note):
        return
    images = {root / job.image.file for job in jobs}
    maps = [path for path in folder.rglob("*.png") if path not in images]
    if not maps:
        return
    made = f"made by {in_words(found)}" if found else f"and no {NOTE} says what made them"
    if not force:
        message = f"There are {len(maps)} depth maps already, {made}; these would be made by {in_words(note)}."
        raise UsageError(message, where=str(folder), hint="move them away, or replace them with --force")
    own = {root / job.place.file for job in jobs}
    others = [path for path in maps if path not in own]
    if others:
        message = f"{len(others)} of the maps to be replaced belong to no image chosen: {others[0].name} …"
        raise UsageError(message, where=str(folder), hint="leave --split out, or move those maps away")
    try:
        (folder / NOTE).unlink(missing_ok=True)  # first: maps without a note are taken for anybody's
        for path in maps:
            path.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from error


def _absent(root: Path, jobs: Sequence[Job], layout: DepthLayout, files: ImageFiles, progress: Progress) -> list[Job]:
    """The jobs whose map is not there, or cannot be used. Raises DataError for a picture in the place of one."""
    todo = []
    for index, job in enumerate(jobs):
        progress("looking at depth maps", index, len(jobs))
        size = (job.image.width, job.image.height)
        try:
            seen = files.see_depth(job.place.file, size)
        except OSError:
            todo.append(job)
            continue
        wrong = fault(seen, size, layout.encoding, layout.reach)
        if wrong is None or wrong[0] not in _REMADE:
            continue
        if seen.complaint is None and not seen.kind.endswith("bit grey"):
            message = f"{job.place.file} is {seen.kind}: a picture, which is not overwritten."
            raise DataError(message, where=str(root), hint="move it away, or choose another depth.folder")
        todo.append(job)
    progress("looking at depth maps", len(jobs), len(jobs))
    files.save()
    return todo


def _announce(folder: Path, note: Mapping[str, Any]) -> None:
    """Write the note before the first map: what follows is then known to be this model's. Raises RunError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = (read_note(folder) or {}).get("libraries")
        known = list(before) if isinstance(before, list) else []
        libraries = known + [one for one in note["libraries"] if one not in known]
        write_note(folder, {**note, "libraries": libraries})
    except OSError as error:
        raise _unwritable(folder, error) from error
    except RunError as error:
        raise _in_place(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> RunError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return write_error(folder, error)
    hint = "the maps lie beside the images: make that folder writable, or link it to one that is (ln -s)"
    return RunError(f"Depth maps cannot be written: {error.strerror}.", where=str(folder), hint=hint)


def _in_place(folder: Path, error: DetuiError) -> DetuiError:
    """An error of writing in words that fit a data set's folder."""
    return _unwritable(folder, error.__cause__) if isinstance(error.__cause__, OSError) else error


def _groups(jobs: Sequence[Job], batch: int) -> Iterator[list[Job]]:
    """Up to `batch` images of the same size at once."""
    group: list[Job] = []
    for job in sorted(jobs, key=lambda job: (job.image.width, job.image.height)):
        fits = not group or (group[0].image.width, group[0].image.height) == (job.image.width, job.image.height)
        if group and (len(group) == batch or not fits):
            yield group
            group = []
        group.append(job)
    if group:
        yield group


def _make(root: Path, group: Sequence[Job], encoding: str, estimate: Estimate) -> list[str]:
    """Make the maps of a group; gives the images that cannot be read. Raises RunError."""
    images: list[tuple[Job, pillow.Image]] = []
    unreadable = []
    for job in group:
        try:
            images.append((job, _read(root / job.image.file, (job.image.width, job.image.height))))
        except NoImageError as error:
            unreadable.append(f"{job.image.file}: {error}")
    if not images:
        return unreadable
    found = estimate([image for _, image in images])
    maps = [(job, encode(metres, encoding, job.image.file)) for (job, _), metres in zip(images, found, strict=True)]
    with held():
        for job, content in maps:
            _write(root / job.place.file, content)
    return unreadable


def _read(path: Path, size: tuple[int, int]) -> pillow.Image:
    """An image as a viewer shows it, RGB. Raises NoImageError, also where it cannot be opened."""
    with pillow_errors():
        from PIL import Image, ImageOps

        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file).convert("RGB")
    if image.size != size:
        raise NoImageError(f"it is {image.width}×{image.height} now, and was {size[0]}×{size[1]}")
    return image


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():  # a link to nowhere, or to itself, is replaced and not followed
            with suppress(FileNotFoundError):
                path.unlink()
        write_whole(path, content)
    except OSError as error:
        raise _unwritable(path, error) from error
    except RunError as error:
        raise _in_place(path, error) from error


def encode(metres: npt.NDArray[np.float32], encoding: str, name: str = "the image") -> bytes:
    """Metres (height, width) as the bytes of a PNG in an encoding. Raises RunError where they are not finite."""
    import numpy as np
    from PIL import Image

    if not np.isfinite(metres).all():
        message = f"The model gives no finite depth for {name}."
        raise RunError(message, hint="are its weights whole? on a GPU, try --device cpu")
    if encoding == UINT8:
        low, high = float(metres.min()), float(metres.max())
        values = np.rint((metres - low) / ((high - low) or 1.0) * 255).astype(np.uint8)
    else:
        values = np.rint(np.clip(metres * PER_METRE, 0, DEEPEST)).astype(np.uint16)
    file = io.BytesIO()
    Image.fromarray(values).save(file, format="PNG")
    return file.getvalue()
