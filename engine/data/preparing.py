"""Preparing data for a run: the recipe's selection as a folder that backends and the evaluator read.

The folder is named by the fingerprint, appears whole, and is never changed:
runs that use it may be under way. When the same data is found at another
place, or with other problems beside it, it gets a folder of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from detui.engine.configuration import Configuration
from detui.engine.data.definition import DatasetDefinition, load_definition
from detui.engine.data.density import composition
from detui.engine.data.fingerprint import fingerprint
from detui.engine.data.folders import appear_whole
from detui.engine.data.form import Dataset, Split
from detui.engine.data.id_lists import IdList, choose_listed, read_ids, unlistable
from detui.engine.data.opening import keep_images, open_dataset
from detui.engine.data.problems import Ledger, ProblemSummary
from detui.engine.data.reading import Progress, no_progress
from detui.engine.data.writers import write_coco, write_yolo
from detui.engine.errors import DetuiError, RecipeError
from detui.engine.run.files import SCHEMA, portable, read_json, write_json

ROLES = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class PreparedData:
    """A prepared folder and what its ``dataset.json`` says."""

    path: Path
    info: dict[str, Any]


def prepare(
    selection: Mapping[str, Any],
    configuration: Configuration,
    cache: Path,
    *,
    yolo: bool,
    progress: Progress | None = None,
) -> PreparedData:
    """Read, check and select data, and write it below `cache` unless it lies there already.

    `selection` is a recipe's `data:`: ``{name, train: {split, images?, ids?}, val: {…}, depth?, options?}``;
    ``ids`` is ``{file, sha256}`` with an absolute path.
    Raises MissingError, RecipeError, DataError as `open_dataset` does; RunError when `cache` cannot be written.
    """
    progress = progress or no_progress
    cache = cache.absolute()
    definition = load_definition(selection["name"])
    roles = _roles(selection, definition)
    if definition.frames is not None:
        return _prepare_frames(selection, definition, roles, configuration, cache, yolo, progress)
    dataset = open_dataset(
        definition,
        configuration,
        options=selection.get("options"),
        depth=bool(selection.get("depth")),
        splits=tuple(dict.fromkeys(wanted.split for wanted in roles.values())),
        limits=_limits(roles),
        listed=_listed(roles),
        cache=cache,
        progress=progress,
    )
    chosen = {role: _choose(dataset, role, wanted) for role, wanted in roles.items()}
    shared = _shared_images(definition, dataset, roles, chosen)
    info = _info(dataset, chosen, shared, roles)

    def fill(new: Path) -> None:
        for role, split in chosen.items():
            write_coco(new / f"{role}.json", split, dataset.classes)
        write_json(new / "dataset.json", info)

    path = _folder(cache, info, fill)
    if yolo:
        _add_yolo(path, dataset, chosen, progress)
    return PreparedData(path, info)


def _prepare_frames(
    selection: Mapping[str, Any], definition: DatasetDefinition, roles: Mapping[str, _Wanted],
    configuration: Configuration, cache: Path, yolo: bool, progress: Progress,
) -> PreparedData:  # fmt: skip
    """Frames of cameras and LiDAR, as a list a role."""
    from detui.engine.data import frame_preparing as frames

    if yolo or selection.get("depth"):
        what = "frames of cameras and LiDAR, no images with boxes in pixels" if yolo else "frames, and no depth maps"
        hint = "choose a data set of images" if yolo else "remove data.depth"
        raise RecipeError(f"The data set {definition.name} holds {what}.", where="data", hint=hint)
    options = selection.get("options")
    parts = {role: (wanted.split, wanted.images) for role, wanted in roles.items()}
    dataset, chosen, shared = frames.open_roles(
        definition, configuration, parts, _limits(roles), options, cache, progress
    )
    info = frames.describe(dataset, chosen, shared)
    return PreparedData(_folder(cache, info, lambda new: frames.write(new, info, chosen)), info)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a role takes."""

    split: str
    images: int | None
    """The first N; None: all, or those listed."""
    listed: IdList | None

    @property
    def whole(self) -> bool:
        """Whether it is the whole split."""
        return self.images is None and self.listed is None


def _roles(selection: Mapping[str, Any], definition: DatasetDefinition) -> dict[str, _Wanted]:
    """What each role takes. Train and val are always there."""
    roles = {}
    for role in ROLES:
        given = selection.get(role) or ({"split": role} if role != "test" else None)
        if given is not None:
            ids, listed = given.get("ids"), None
            if ids is not None:
                if problem := unlistable(definition):
                    raise RecipeError(problem, where=f"data.{role}.ids", hint="images: N takes the first N")
                listed = read_ids(Path(ids["file"]), ids["sha256"], where=f"data.{role}.ids")
            roles[role] = _Wanted(str(given.get("split") or role), given.get("images"), listed)
    return roles


def _limits(roles: Mapping[str, _Wanted]) -> dict[str, int]:
    """The most first images that any role needs of each split; a split that one needs whole has no limit."""
    needed: dict[str, int] = {}
    for wanted in roles.values():
        needed[wanted.split] = max(needed.get(wanted.split, 0), wanted.images or 0)
    whole = {wanted.split for wanted in roles.values() if wanted.whole}
    return {split: count for split, count in needed.items() if split not in whole}


def _listed(roles: Mapping[str, _Wanted]) -> dict[str, frozenset[int]]:
    """The ids that the roles list of each split."""
    found: dict[str, frozenset[int]] = {}
    for wanted in roles.values():
        if wanted.listed is not None:
            found[wanted.split] = found.get(wanted.split, frozenset()) | {*wanted.listed.ids}
    return found


def _choose(dataset: Dataset, role: str, wanted: _Wanted) -> Split:
    """The part of a split that takes a role, its annotations numbered from 1."""
    name, images = wanted.split, wanted.images
    split = dataset.splits[name]
    if wanted.listed is not None:
        split = choose_listed(split, wanted.listed, dataset.name, where=f"data.{role}.ids")
    if images is not None:
        if images > split.available:
            raise RecipeError(
                f"The split {name!r} of {dataset.name} has {split.available} images, {images} are asked for.",
                where=f"data.{role}.images",
                hint=f"ask for at most {split.available}",
            )
        split = keep_images(split, split.images[:images])
    if not split.images:
        raise RecipeError(f"No image of {dataset.name} is left for {role}.", where=f"data.{role}")
    numbered = tuple(replace(a, id=number) for number, a in enumerate(split.annotations, 1))
    return replace(split, name=role, annotations=numbered)


def _shared_images(
    definition: DatasetDefinition,
    dataset: Dataset,
    roles: Mapping[str, _Wanted],
    chosen: Mapping[str, Split],
) -> tuple[ProblemSummary, ...]:
    """Images with the same bytes in two roles: a leak. An error, unless the recipe itself names one split twice."""
    ledger = Ledger(definition.layout.on_problem)
    owner: dict[str, tuple[str, str]] = {}
    for role, split in chosen.items():
        for image in split.images:
            digest = dataset.hashes[image.file]
            other, file = owner.setdefault(digest, (role, image.file))
            if other == role:
                continue
            same_split = roles[other].split == roles[role].split
            reason = f"the same picture is in {other} ({file}) and in {role}"
            ledger.report("in_two_splits", image.file, None, reason, action="keep" if same_split else None)
    ledger.raise_errors(dataset.name, dataset.root)
    return ledger.summary()


def _info(
    dataset: Dataset, chosen: Mapping[str, Split], shared: tuple[ProblemSummary, ...], roles: Mapping[str, _Wanted]
) -> dict[str, Any]:
    """What ``dataset.json`` says."""
    return {
        "schema": SCHEMA,
        "name": dataset.name,
        "title": dataset.title,
        "fingerprint": fingerprint(dataset.classes, chosen, dataset.hashes, dataset.depth),
        "generated": dataset.generated,
        "classes": list(dataset.classes),
        "root": str(dataset.root),
        "splits": {role: _split(role, split, dataset.classes, roles[role].listed) for role, split in chosen.items()},
        "problems": [problem.to_json() for problem in (*dataset.summary, *shared)],
        **_metric(chosen),
        **_masks(chosen),
        **({"depth": dataset.depth.to_json()} if dataset.depth else {}),
    }


def _split(role: str, split: Split, classes: tuple[str, ...], listed: IdList | None) -> dict[str, Any]:
    """What is said of the images that take a role; objects are annotations that are judged one by one."""
    made_of = composition(split, classes)
    density = made_of.objects_per_image
    return {
        "json": f"{role}.json",
        "images": len(split.images),
        "boxes": len(split.annotations),
        "objects": made_of.objects,
        "objects_per_image": {"mean": density.mean, "median": density.median} if density else None,
        **_rule(split),
        **({"list": listed.to_json()} if listed else {}),
    }


def _rule(split: Split) -> dict[str, Any]:
    """What a rule took out of the split that has the role; a field that other data does not have."""
    return {"selection": split.selection.to_json()} if split.selection else {}


def _metric(chosen: Mapping[str, Split]) -> dict[str, str]:
    """By what predictions are judged, where that is not COCO's metric; a field that other data does not have."""
    known = any(split.ignore_regions is not None for split in chosen.values())
    return {"metric": "visdrone"} if known else {}


def _masks(chosen: Mapping[str, Split]) -> dict[str, bool]:
    """Whether every object has a mask, so that masks can be judged; a field that other data does not have."""
    annotations = [annotation for split in chosen.values() for annotation in split.annotations]
    return {"masks": True} if annotations and all(one.segmentation for one in annotations) else {}


def _folder(cache: Path, info: dict[str, Any], fill: Callable[[Path], None]) -> Path:
    """The folder that holds exactly this, filled now unless it is there."""
    path = cache / f"{info['name']}-{info['fingerprint'][:12]}"
    appear_whole(path, fill)
    if _holds(path, info):
        return path
    digest = hashlib.sha256(json.dumps(info, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()
    other = path.with_name(f"{path.name}-{digest[:6]}")
    appear_whole(other, fill)
    if not _holds(other, info):
        # Somebody's hand was in it: whatever lies there is moved aside, not deleted.
        other.rename(other.with_name(f"{other.name}-damaged-{os.getpid()}"))
        appear_whole(other, fill)
    return other


def _holds(path: Path, info: dict[str, Any]) -> bool:
    """Whether a prepared folder says this, and has its files."""
    try:
        # A folder from before objects were counted stays in use: the counts follow from what is the same.
        said = read_json(path / "dataset.json")
        same = said in [portable(form(one)) for one in (info, _unmasked(info)) for form in (dict, _uncounted)]
    except DetuiError:
        return False
    return same and all(
        (path / split[kind]).is_file()
        for split in info["splits"].values()
        for kind in ("json", "frames")
        if kind in split
    )


def _unmasked(info: dict[str, Any]) -> dict[str, Any]:
    """The same from before it was said that there are masks."""
    return {key: value for key, value in info.items() if key != "masks"}


def _uncounted(info: dict[str, Any]) -> dict[str, Any]:
    counts = ("objects", "objects_per_image")
    splits = {role: {key: value for key, value in split.items() if key not in counts}
              for role, split in info["splits"].items()}  # fmt: skip
    return {**info, "splits": splits}


def _add_yolo(path: Path, dataset: Dataset, chosen: Mapping[str, Split], progress: Progress) -> None:
    """The YOLO tree, whole or absent, in a folder that may lack it: another backend prepared it then."""
    appear_whole(path / "yolo", lambda new: write_yolo(new, chosen, dataset.classes, dataset.root, progress))
