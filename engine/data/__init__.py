"""Data sets: definitions, readers that check while they read, generated scenes, preparation for training.

Every published layout becomes one internal form (`form.Dataset`), and what a
backend trains on is a prepared folder: COCO JSON per role, and a YOLO tree
where the framework wants one. Nothing is imported before it is asked for:
listing experiments must not load numpy or pydantic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detui.engine.data.definition import DatasetDefinition, definitions, load_definition
    from detui.engine.data.depth import read_depth
    from detui.engine.data.form import Annotation, Dataset, DepthMaps, Image, Split
    from detui.engine.data.opening import open_dataset
    from detui.engine.data.preparing import PreparedData, prepare
    from detui.engine.data.problems import Problem

__all__ = [
    "Annotation",
    "Dataset",
    "DatasetDefinition",
    "DepthMaps",
    "Image",
    "PreparedData",
    "Problem",
    "Split",
    "definitions",
    "load_definition",
    "open_dataset",
    "prepare",
    "read_depth",
]

_HOMES = {
    "Annotation": "form",
    "Dataset": "form",
    "DatasetDefinition": "definition",
    "DepthMaps": "form",
    "Image": "form",
    "PreparedData": "preparing",
    "Problem": "problems",
    "Split": "form",
    "definitions": "definition",
    "load_definition": "definition",
    "open_dataset": "opening",
    "prepare": "preparing",
    "read_depth": "depth",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"detui.engine.data.{_HOMES[name]}"), name)
