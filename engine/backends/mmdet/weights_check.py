"""What models of MMDetection would get from their weights, before anything runs (`Predictor.check_weights`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detui.engine.backends.mmdet.weight_parts import Shape, compare
from detui.engine.backends.mmdet.weights import same_classes, shapes, source
from detui.engine.backends.torch_support.checkpoint_files import read_checkpoint
from detui.engine.errors import DetuiError
from detui.engine.run.spec import RunSpec

Build = Callable[[Mapping[str, Any], int], Mapping[str, Shape]]
"""(a recipe's `model`, number of classes) → the shapes of the model's tensors."""


def check_weights(spec: RunSpec, wanted: Mapping[str, Any], build: Build | None = None) -> dict[str, Any]:
    """Compare models with their files; returns {"found": one for each of `wanted["models"]`}.

    A model is wanted as `section` (a recipe's `model`, its files as paths) and `classes`. What is found is that of
    `compared`, or {"error": message, where and hint} where the training would end before its first step. `build`: what
    gives a model's shapes; MMDetection, without memory for the values, where nobody says otherwise.
    """
    build = build or _built
    return {"found": [_told(one["section"], one["classes"], build) for one in wanted["models"]]}


def _told(section: Mapping[str, Any], classes: Sequence[str], build: Build) -> dict[str, Any]:
    try:
        return compared(section, classes, build)
    except DetuiError as error:
        return {"error": {"message": error.message, "where": error.where, "hint": error.hint}}


def compared(section: Mapping[str, Any], classes: Sequence[str], build: Build) -> dict[str, Any]:
    """The comparison of one model: as `Comparison.to_json`, with the file's `form`, `epoch`, `classes` (how many).

    {"random": True} without a file. `error` beside the comparison where it says that the weights are another model's.
    Raises RunError for a file that cannot be read, MissingError without it.
    """
    field, file = source(section, None)
    if file is None:
        return {"random": True}
    given = read_checkpoint(Path(file), field)
    whole = field != "model.backbone.weights"
    found = compare(build(section, len(classes)), shapes(given.tensors), section["start"], whole=whole)
    number = None if given.classes is None else len(given.classes)
    told = {**found.to_json(), "field": field, "form": given.form, "epoch": given.epoch, "classes": number}
    try:
        found.check(str(given.path))
        same_classes(found, given, classes)
    except DetuiError as error:
        told["error"] = {"message": error.message, "where": error.where, "hint": error.hint}
    return told


def _built(section: Mapping[str, Any], classes: int) -> dict[str, Shape]:
    from detui.engine.backends.mmdet.building import build

    return shapes(build(section, classes, shapes=True).state_dict())
