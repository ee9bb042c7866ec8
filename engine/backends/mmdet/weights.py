"""The weights that a model of MMDetection starts with: taken from a file that nothing of is run, and told.

`begin_with` is called on a model whose own random values are set (`init_weights`), before any device gets it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detui.engine.backends.mmdet.weight_parts import (
    BACKBONE,
    BOXES,
    COUNTER,
    MASKS,
    Comparison,
    as_backbone,
    compare,
    of_classes,
    part_of,
)
from detui.engine.backends.torch_support.checkpoint_files import Checkpoint, read_checkpoint
from detui.engine.backends.torch_support.transfer import ANEW, LEFT, TRANSFERRED, TransferReport, about
from detui.engine.errors import RunError
from detui.engine.run.files import sha256_of

__all__ = ["Transfer", "begin_with", "part_of", "same_classes", "shapes", "source"]


def begin_with(
    model: Any,
    section: Mapping[str, Any],
    before: Path | None,
    classes: Sequence[str],
    seed: int,
    *,
    stage: str | None = None,
) -> Transfer | None:
    """Give a built model its starting weights; None where it keeps its random ones.

    `section`: the recipe's `model`, its files as paths. `before`: the checkpoint of the stage before, which goes before
    the recipe's files; `model.start` says of it, too, what is taken. `classes`: of the data, in the order of the heads'
    rows. `seed`: of what starts anew, which is drawn from generators of its own, one for each tensor, so that no other
    random number moves and arms that start more anew draw the same for the same layer. `stage`: the name of the stage
    before, for the report.

    Raises RunError for a file that cannot be read, or is another model's; MissingError without it.
    """
    field, file = source(section, before)
    if file is None:
        return None
    whole, start = field != "model.backbone.weights", section["start"]
    given = read_checkpoint(Path(file), field)
    state = model.state_dict()
    found = compare(shapes(state), shapes(given.tensors), start, whole=whole)
    found.check(str(given.path))
    same_classes(found, given, classes)
    tensors = given.tensors if whole else as_backbone(given.tensors, state)
    _copy(state, tensors, found)
    _draw(state, [one.name for one in found.reinitialised if one.why != "part"], start, seed)
    kind = "stage" if before is not None else "weights" if whole else "backbone"
    return Transfer(model, tensors, found, _about(kind, given, stage), classes, given.classes)


def shapes(tensors: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Name → shape."""
    return {name: tuple(value.shape) for name, value in tensors.items()}


def source(section: Mapping[str, Any], before: Path | None) -> tuple[str, Any]:
    """The field that names the weights to start from, and the file; None as file where values are random."""
    if before is not None:
        return "stages", before
    for field, file in (("model.weights", section["weights"]),
                        ("model.backbone.weights", section["backbone"]["weights"])):  # fmt: skip
        if file:
            return field, file
    return "", None


def _about(kind: str, given: Checkpoint, stage: str | None) -> dict[str, Any]:
    """What the weights are, for the report."""
    file = {"file": given.path.name, "sha256": sha256_of(given.path), "form": given.form}
    told = {"kind": kind, "weights": "trained", **file}
    return told | ({"stage": stage, "epoch": given.epoch} if kind == "stage" else {})


def same_classes(found: Comparison, given: Checkpoint, classes: Sequence[str]) -> None:
    """Raise RunError where rows are kept that are other classes' in the file, which need not say its own."""
    kept = [name for name in found.loaded if of_classes(name)]
    if not kept or given.classes is None or [*map(_plain, given.classes)] == [*map(_plain, classes)]:
        return
    number = sum(_plain(one) == _plain(other) for one, other in zip(given.classes, classes, strict=False))
    message = (
        f"Rows of classes would be other classes': of {len(classes)}, {number} stand in the same place in the file."
    )
    raise RunError(message, where=str(given.path), hint="--set model.start.anew=classes")


def _plain(name: str) -> str:
    return name.strip().lower()


def _copy(state: Mapping[str, Any], tensors: Mapping[str, Any], found: Comparison) -> None:
    """Copy what is loaded; running counts, which are counted nowhere, go with their layers."""
    import torch

    layers = {name.rpartition(".")[0] for name in found.loaded}
    counters = [name for name in state if name.endswith(COUNTER) and name.rpartition(".")[0] in layers]
    with torch.no_grad():
        for name in (*found.loaded, *counters):
            if name in tensors:
                state[name].copy_(tensors[name])


def _draw(state: Mapping[str, Any], names: Sequence[str], start: Mapping[str, Any], seed: int) -> None:
    """Normal weights and zero biases for layers of the box and mask heads that start anew.

    Other layers whose shape differs keep what the model drew for them, and so do weights of a norm.
    """
    import torch

    deviation = {BOXES: start["box_std"], MASKS: start["mask_std"]}
    for name in names:
        std, value = deviation.get(part_of(name)), state[name]
        if std is None:
            continue
        with torch.no_grad():
            if value.ndim > 1:
                value.copy_(torch.empty(value.shape).normal_(0.0, std, generator=_generator(seed, name)))
            elif name.endswith(".bias"):
                value.zero_()


def _generator(seed: int, name: str) -> Any:
    import torch

    number = hashlib.sha256(f"{seed} {name}".encode()).digest()[:8]
    return torch.Generator().manual_seed(int.from_bytes(number, "big") >> 1)


class Transfer(TransferReport):
    """What of a model is the weights', and what started anew: found by comparing values, not by what was meant.

    Running counts are counted nowhere. `tensors` has an entry for every other tensor of the model.
    """

    def __init__(
        self,
        model: Any,
        given: Mapping[str, Any],
        found: Comparison,
        source: Mapping[str, Any],
        classes: Sequence[str],
        given_classes: Sequence[str] | None,
    ) -> None:
        """Compare a model that has its starting values with what it was given.

        `given`: the file's tensors by the model's names. `found`: what was meant. `source`: what the weights are.
        `given_classes`: those of the file, where it says them.
        """
        self.source = dict(source)
        self._found, self._classes, self._given_classes = found, classes, given_classes
        again = {one.name: one for one in found.reinitialised}
        loaded, own = set(found.loaded), {name for name, _ in model.named_parameters()}
        self.tensors = []
        for name, here in model.state_dict().items():
            if name.endswith(COUNTER):
                continue
            entry = about(name, here, own)
            if name in again:
                entry |= {"given_shape": list(again[name].given), "why": again[name].why}
            self.tensors.append(entry | _outcome(here, given.get(name) if name in loaded else None))
        self.left = [about(name, given[name], None) | {"kind": LEFT, "taken": 0} for name in sorted(found.unexpected)]

    def summary(self) -> dict[str, Any]:
        """As every report, and `parts`: of each, how many tensors are loaded, re-initialised, missing, unexpected."""
        return {**super().summary(), "parts": self._found.parts(), "notices": self._found.notices()}

    def told_classes(self) -> dict[str, list[str]] | None:
        """Which classes kept their rows and which started anew; None where the file says no classes."""
        if self._given_classes is None:
            return None
        ours, theirs = list(self._classes), list(self._given_classes)
        if any(of_classes(name) for name in self._found.loaded):
            return {"taken": ours, "anew": [], LEFT: []}
        return {"taken": [], "anew": ours, LEFT: theirs}

    def anew_by_part(self) -> dict[str, int]:
        """A whole part by its name, a part of the heads by its layers: `roi_head.bbox_head.fc_cls`."""
        everything = Counter(part_of(str(one["name"])) for one in self.tensors)
        names = [str(one["name"]) for one in self.tensors if one["kind"] == ANEW]
        count = Counter(map(part_of, names))
        whole = {part for part, number in count.items() if number == everything[part]}
        return dict(Counter(_layer(name, whole) for name in names))


def _layer(name: str, whole: set[str]) -> str:
    part = part_of(name)
    if part in whole or part == BACKBONE:
        return part
    inner = name.removeprefix(f"{part}.").split(".")[0]
    return f"{part}.{inner}"


def _outcome(here: Any, given: Any) -> dict[str, Any]:
    """What became of a tensor: the file's values, or others."""
    import torch

    same = given is not None and torch.equal(here.cpu(), given.to(here.dtype))
    return {"kind": TRANSFERRED, "taken": here.numel()} if same else {"kind": ANEW, "taken": 0}
