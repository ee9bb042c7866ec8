"""Where the files of a data set lie on this host."""

from __future__ import annotations

from pathlib import Path

from detui.engine.configuration import Configuration
from detui.engine.data.definition import (
    CocoDefinition,
    DatasetDefinition,
    Layout,
    VisdroneDefinition,
    VocDefinition,
    VocInstancesDefinition,
    YoloDefinition,
)
from detui.engine.data.frame_layouts import FramesDefinition, NuscenesDefinition
from detui.engine.errors import MissingError


def places(definition: DatasetDefinition, configuration: Configuration) -> list[Path]:
    """Every folder that may be the data set's root, most specific first (absolute)."""
    found = list(configuration.data_places(definition.name))
    if isinstance(definition.layout, CocoDefinition) and definition.layout.files_of:
        found += configuration.data_places(definition.layout.files_of)
    if not definition.own:
        # A definition of one's own may simply lie in or beside the data.
        found.append(definition.path.parent)
    # Of `VOCdevkit/VOC2012` the place found may be either level already, or what holds both.
    parts = Path(definition.layout.folder or ".").parts
    roots = [place.joinpath(*parts[skipped:]) for place in found for skipped in range(len(parts) + 1)]
    return list(dict.fromkeys(root.absolute() for root in roots))


def find_root(definition: DatasetDefinition, configuration: Configuration) -> Path:
    """The first place that holds one of the files the definition names. Raises MissingError with all places."""
    tried = places(definition, configuration)
    landmarks = _landmarks(definition.layout)
    for place in tried:
        if any((place / landmark).exists() for landmark in landmarks):
            return place
    lines = [f"The data set {definition.name} ({definition.title}) is not on this host."]
    lines += [f"  tried {place} (no {landmarks[0]} there)" for place in tried]
    if not tried:
        lines.append("  no place is configured for it")
    raise MissingError("\n".join(lines), hint=_hint(definition.name))


def is_here(definition: DatasetDefinition, configuration: Configuration) -> Path | None:
    """The root, or None where the data set is absent. Generated data needs none and has none."""
    if definition.generated:
        return None
    try:
        return find_root(definition, configuration)
    except MissingError:
        return None


def _landmarks(layout: Layout) -> list[str]:
    """Files of which at least one must be there."""
    if isinstance(layout, CocoDefinition):
        return [split.annotations for split in layout.splits.values()]
    if isinstance(layout, (VocDefinition, VocInstancesDefinition)):
        return [split.list for split in layout.splits.values()]
    if isinstance(layout, VisdroneDefinition):
        return [f"{split.folder}/annotations" for split in layout.splits.values()]
    if isinstance(layout, NuscenesDefinition):
        return [split.infos for split in layout.splits.values()]
    if isinstance(layout, FramesDefinition):
        return ["frame.json" if split.folder == "." else split.folder for split in layout.splits.values()]
    if isinstance(layout, YoloDefinition):
        return [layout.data_yaml] if layout.data_yaml else [split.images for split in layout.splits.values()]
    return []


def _hint(name: str) -> str:
    return (
        f"put the data there, set DETUI_DATA to the folder that holds {name}/, "
        f"or add `data: {{{name}: /path/to/it}}` to ~/.config/detui/config.yaml"
    )
