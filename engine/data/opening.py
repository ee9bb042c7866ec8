"""Opening a data set: find it on this host, read it, look at its images, compare what its authors publish."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from detui.engine.configuration import Configuration
from detui.engine.data import coco, visdrone, voc, voc_instances, yolo
from detui.engine.data.checksums import checksums, report_differences
from detui.engine.data.definition import (
    CocoDefinition,
    DatasetDefinition,
    Layout,
    SceneDefinition,
    VisdroneDefinition,
    VocDefinition,
    VocInstancesDefinition,
    YoloDefinition,
)
from detui.engine.data.depth_reading import MapCheck, assign, with_depth
from detui.engine.data.form import Dataset, Image, Split
from detui.engine.data.imagefiles import ImageFiles
from detui.engine.data.problems import Ledger
from detui.engine.data.reading import Content, Progress, Reading, no_progress
from detui.engine.data.roots import find_root
from detui.engine.errors import RecipeError


def open_dataset(
    definition: DatasetDefinition,
    configuration: Configuration,
    *,
    options: Mapping[str, Any] | None = None,
    depth: bool | None = False,
    judge_depth: bool = True,
    splits: tuple[str, ...] | None = None,
    limits: Mapping[str, int] | None = None,
    listed: Mapping[str, frozenset[int]] | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    decode: bool = False,
    tolerate: bool = False,
) -> Dataset:
    """Read and check a data set.

    The annotations of the named `splits` (all by default) are read whole; `limits` keeps the first N
    images of a split, and only the images kept are opened (`decode`: down to the last pixel). `listed`: ids of
    images of a limited split that are kept beside the first N. `depth`:
    whether the map of each image is read too, None where a folder of maps is there; without `judge_depth`
    each image has its map's name, and no map is opened. `cache` holds generated scenes and what was
    remembered of files, by default `.data` in the workspace.

    Raises MissingError with every place tried, RecipeError for an unknown split or option and for depth
    of data without it, DataError with the first ten problems unless `tolerate`; then they stand in the result.
    """
    definition = definition.with_options(options or {})
    definition = with_depth(definition) if depth else definition
    layout = definition.layout
    if definition.frames is not None:
        message = f"The data set {definition.name} holds frames of cameras and LiDAR, no images with boxes in pixels."
        raise RecipeError(message, where="data", hint=f"`detui data check {definition.name}` looks at them")
    if definition.split_names:
        _check_names(definition.name, splits, definition.split_names)
    cache = cache or configuration.workspace / ".data"
    progress = progress or no_progress
    root = _root(definition, configuration, splits, limits or {}, cache, progress)
    ledger = Ledger(layout.on_problem)
    content = _read(layout, Reading(root=root, ledger=ledger, wanted=splits, progress=progress))
    _check_names(definition.name, splits, tuple(content.splits))
    kept = {
        name: _first(split, (limits or {}).get(name), (listed or {}).get(name, frozenset()))
        for name, split in content.splits.items()
    }
    kept, maps = assign(definition, kept, root, depth)
    files = ImageFiles(root, cache, decode=decode)
    hashes: dict[str, str] = {}
    check = MapCheck(maps if judge_depth else None, files, ledger, hashes)
    seen = {name: _look_at(split, check, progress) for name, split in kept.items()}
    files.save()
    counted = checksums(layout.published, content)
    report_differences(counted, definition.path, ledger)
    if not tolerate:
        ledger.raise_errors(definition.name, root, called=None if definition.own else str(definition.path))
    return Dataset(
        name=definition.name,
        title=definition.title,
        root=root,
        classes=content.classes,
        splits=seen,
        generated=definition.generated,
        problems=ledger.problems,
        summary=ledger.summary(),
        checksums=counted,
        hashes=hashes,
        depth=maps,
    )


def _check_names(name: str, wanted: tuple[str, ...] | None, known: tuple[str, ...]) -> None:
    for split in wanted or ():
        if split not in known:
            raise RecipeError(
                f"The data set {name} has no split {split!r}.", where="data", hint=f"one of {', '.join(known)}"
            )


def _root(
    definition: DatasetDefinition,
    configuration: Configuration,
    splits: tuple[str, ...] | None,
    limits: Mapping[str, int],
    cache: Path,
    progress: Progress,
) -> Path:
    if not isinstance(definition.layout, SceneDefinition):
        return find_root(definition, configuration)
    from detui.engine.data.scenes import draw_files

    wanted = splits or definition.split_names
    return draw_files(definition.layout, wanted, limits, cache.absolute(), progress)


def _read_scenes(layout: Layout, reading: Reading) -> Content:
    from detui.engine.data.scenes import read_scenes

    return read_scenes(cast(SceneDefinition, layout), reading)


_READERS: Mapping[type[Layout], Callable[[Any, Reading], Content]] = {
    CocoDefinition: coco.read_coco,
    YoloDefinition: yolo.read_yolo,
    VocDefinition: voc.read_voc,
    VocInstancesDefinition: voc_instances.read_voc_instances,
    VisdroneDefinition: visdrone.read_visdrone,
    SceneDefinition: _read_scenes,
}


def _read(layout: Layout, reading: Reading) -> Content:
    return _READERS[type(layout)](layout, reading)


def _first(split: Split, limit: int | None, listed: frozenset[int]) -> Split:
    """The split's first images and those that are listed, in its own order."""
    if limit is None:
        return split
    chosen = (image for index, image in enumerate(split.images) if index < limit or image.id in listed)
    return keep_images(split, tuple(chosen))


def keep_images(split: Split, images: tuple[Image, ...]) -> Split:
    """The split with only these of its images, their annotations, ignore regions and void pixels."""
    kept = {image.id for image in images}
    annotations = tuple(a for a in split.annotations if a.image_id in kept)
    regions = split.ignore_regions
    if regions is not None:
        regions = tuple(region for region in regions if region.image_id in kept)
    void = None if split.void is None else tuple(one for one in split.void if one.image_id in kept)
    return replace(split, images=images, annotations=annotations, ignore_regions=regions, void=void)


def _look_at(split: Split, check: MapCheck, progress: Progress) -> Split:
    """Open every image, and its map where there is one; what cannot be used is reported and dropped, hashes noted."""
    sound = []
    for index, image in enumerate(split.images):
        progress(f"checking images of {split.name}", index, len(split.images))
        checked = _look_at_image(image, check.files, check.hashes, check.ledger)
        if checked is not None and check.accepts(checked):
            sound.append(checked)
    progress(f"checking images of {split.name}", len(split.images), len(split.images))
    return keep_images(split, tuple(sound))


def _look_at_image(image: Image, files: ImageFiles, hashes: dict[str, str], ledger: Ledger) -> Image | None:
    name = image.file
    try:
        seen = files.see(name)
    except (FileNotFoundError, NotADirectoryError):
        ledger.report("missing_image", name, None, f"there is no such file, which {image.source} names")
        return None
    except OSError as error:
        ledger.report("broken_image", name, None, f"it cannot be read ({error.strerror})")
        return None
    if seen.complaint is not None:
        ledger.report("broken_image", name, None, seen.complaint)
        return None
    hashes[name] = seen.sha256
    if (seen.width, seen.height) == (image.width, image.height):
        return image
    reason = f"it is {seen.width}×{seen.height}, but {image.source} says {image.width}×{image.height}"
    if seen.stored == (image.width, image.height):
        reason += " (its EXIF orientation turns it by a quarter)"
    if ledger.report("size_differs", name, None, reason) != "keep":
        return None
    return replace(image, width=seen.width, height=seen.height)
