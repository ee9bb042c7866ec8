"""The classes of a data set, as far as they are known without reading its annotations."""

from __future__ import annotations

from detui.engine.configuration import Configuration
from detui.engine.data.definition import (
    CocoDefinition,
    DatasetDefinition,
    SceneDefinition,
    VisdroneDefinition,
    YoloDefinition,
)
from detui.engine.data.frame_layouts import FusionScenesDefinition
from detui.engine.data.roots import find_root


def class_names(definition: DatasetDefinition, configuration: Configuration) -> tuple[str, ...] | None:
    """The names in their order; None for COCO files whose definition states none: they say it themselves.

    Raises MissingError where a data.yaml says it and is absent, DataError for one that cannot be read.
    """
    layout = definition.layout
    if isinstance(layout, (SceneDefinition, FusionScenesDefinition)):
        return tuple(layout.options.classes)
    if isinstance(layout, VisdroneDefinition):
        from detui.engine.data.visdrone import CLASSES

        return CLASSES
    if isinstance(layout, YoloDefinition):
        from detui.engine.data.yolo import resolve

        root = find_root(definition, configuration) if layout.data_yaml else definition.path.parent
        return resolve(layout, root).classes
    return layout.class_names if isinstance(layout, CocoDefinition) else tuple(layout.classes)
