"""Depth maps while a data set is opened: whether they are wanted, which is whose, and whether each can be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from detui.engine.data.definition import DatasetDefinition, SceneDefinition
from detui.engine.data.depth import UINT8, fault
from detui.engine.data.depth_layout import Place
from detui.engine.data.depth_notes import note_of
from detui.engine.data.form import DepthMaps, Image, Split
from detui.engine.data.imagefiles import ImageFiles
from detui.engine.data.problems import Ledger
from detui.engine.errors import RecipeError

SCENES = DepthMaps(encoding=UINT8, far=None, note="drawn with the scenes: metres × 25, from 1 to 10 m")


def with_depth(definition: DatasetDefinition) -> DatasetDefinition:
    """The definition with depth maps asked for. Raises RecipeError for one that does not say where they lie."""
    if isinstance(definition.layout, SceneDefinition):
        return definition.with_options({"depth": True})
    if definition.frames is not None:
        message = f"The data set {definition.name} holds frames of cameras and LiDAR, which have no depth maps."
        raise RecipeError(message, where="data.depth", hint="remove data.depth")
    if definition.layout.depth is None:
        raise RecipeError(
            f"The data set {definition.name} has no depth maps: its definition does not say where they lie.",
            where=str(definition.path),
            hint="put `depth: {folder: depth, encoding: metres_x256, far: 80}` into a definition of your own",
        )
    return definition


def place_of(definition: DatasetDefinition, image: Image) -> Place:
    """Where the map of an image lies: where its annotation file says, or where the definition does."""
    layout, named = definition.layout.depth, image.depth_file
    expected = layout.place(image.file) if layout else None
    if expected and named in (None, expected.file):
        return expected
    return Place(named or "", Path(named or "").parent.as_posix())


def assign(
    definition: DatasetDefinition, splits: Mapping[str, Split], root: Path, wanted: bool | None
) -> tuple[dict[str, Split], DepthMaps | None]:
    """The splits with the map of every image, or with none; and what the maps are.

    `wanted`: None takes maps where a folder of them is there. Scenes have them whenever they were drawn with them.
    """
    layout = definition.layout
    if isinstance(layout, SceneDefinition):
        return dict(splits), SCENES if layout.options.depth else None
    depth = layout.depth
    if depth is None or wanted is False:
        return {name: _without(split) for name, split in splits.items()}, None
    bases = sorted({place_of(definition, image).base for split in splits.values() for image in split.images})
    if wanted is None and not any(_holds_a_map(root / base) for base in bases):
        return {name: _without(split) for name, split in splits.items()}, None
    maps = DepthMaps(encoding=depth.encoding, far=depth.reach, note=note_of(root, bases))
    return {name: _with(definition, split) for name, split in splits.items()}, maps


def _holds_a_map(folder: Path) -> bool:
    """Whether any map is below a folder: a note alone is what an attempt to make some left."""
    return next(folder.rglob("*.png"), None) is not None


def _with(definition: DatasetDefinition, split: Split) -> Split:
    images = (replace(image, depth_file=place_of(definition, image).file) for image in split.images)
    return replace(split, images=tuple(images))


def _without(split: Split) -> Split:
    if not any(image.depth_file for image in split.images):
        return split
    return replace(split, images=tuple(replace(image, depth_file=None) for image in split.images))


@dataclass(frozen=True, slots=True)
class MapCheck:
    """Looks at the map of each image, once it is known that the image itself can be used."""

    maps: DepthMaps | None
    files: ImageFiles
    ledger: Ledger
    hashes: dict[str, str]
    """Takes the SHA-256 of each map that can be used."""
    owner: dict[str, str] = field(default_factory=dict)
    """The image of each map."""

    def accepts(self, image: Image) -> bool:
        """Whether the image can stay; what is wrong with its map is reported."""
        name = image.depth_file
        if name is None or self.maps is None:
            return True
        return all(self.ledger.report(kind, name, None, reason) == "keep" for kind, reason in self._faults(image, name))

    def _faults(self, image: Image, name: str) -> Iterator[tuple[str, str]]:
        """Kind and reason of what is wrong with a map."""
        assert self.maps is not None
        try:
            seen = self.files.see_depth(name, (image.width, image.height))
        except (FileNotFoundError, NotADirectoryError):
            yield "missing_depth", f"there is no such file for {image.file}"
            return
        except OSError as error:
            yield "broken_depth", f"it cannot be read ({error.strerror})"
            return
        self.hashes[name] = seen.sha256
        found = fault(seen, (image.width, image.height), self.maps.encoding, self.maps.far)
        if found is not None:
            yield found
        other = self.owner.setdefault(name, image.file)
        if other != image.file:
            yield "depth_shared", f"it is the map of {other} and of {image.file}"
