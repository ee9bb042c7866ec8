"""What a model got from the weights that it starts with, tensor by tensor: what all such reports have in common."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detui.engine.run.files import write_json

SCHEMA = 1
TRANSFERRED, REMAPPED, IN_PART, ANEW, LEFT = "transferred", "remapped", "in_part", "anew", "left_behind"
"""The whole tensor is the weights'; its rows of some classes are; its first channels are; nothing of it is; the model
has no tensor of this name."""
KINDS = (TRANSFERRED, REMAPPED, IN_PART, ANEW)
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""What names of tensors end with that are no parameters."""


class TransferReport:
    """What of a model is the weights', and what started anew. Backends say how classes and parts are told."""

    source: dict[str, Any]
    """What the weights are."""
    tensors: Sequence[Mapping[str, Any]]
    """An entry for each tensor of the model: `about` and `kind`, and how many values were `taken`."""
    left: Sequence[Mapping[str, Any]]
    """The same of those of the weights that the model has no place for."""

    def summary(self) -> dict[str, Any]:
        """What the `stage` line says: `source`, `tensors` and `parameters` by kind, `classes`, what is `anew` by part.

        A tensor counts once, as what it is; a parameter counts as what became of it, so that those of a class that
        started anew are `anew` in a tensor that was remapped. Both add up to `of`, without what was left behind.
        `reshaped`: tensors with the weights' shape instead of the one that the model was built with, which Ultralytics
        does to the class branches of a YOLO whose width depends on the number of classes.
        """
        tensors = Counter(one["kind"] for one in self.tensors)
        parameters: Counter[str] = Counter()
        for one in self.tensors:
            if one["parameter"]:
                parameters[one["kind"]] += one["taken"]
                parameters[ANEW] += size(one) - one["taken"]
        left = sum(size(one) for one in self.left if one["parameter"])
        return {
            "source": self.source,
            "tensors": {**{kind: tensors[kind] for kind in KINDS}, "of": len(self.tensors), LEFT: len(self.left)},
            "parameters": {**{kind: parameters[kind] for kind in KINDS}, "of": sum(parameters.values()), LEFT: left},
            "classes": self.told_classes(),
            "anew": self.anew_by_part(),
            "reshaped": self.reshaped(),
        }

    def told_classes(self) -> dict[str, list[str]] | None:
        """Which classes have rows of the weights, which started anew, and which of the weights' have no place here."""
        return None

    def anew_by_part(self) -> dict[str, int]:
        """Part → how many of its tensors started anew."""
        raise NotImplementedError

    def reshaped(self) -> int:
        """How many tensors have the weights' shape instead of the model's."""
        return 0

    def write(self, path: Path, model: Any) -> None:
        """Write the report, with the SHA-256 of each tensor's bytes as `model` has it now. Raises RunError."""
        state = model.state_dict()
        tensors = [{**one, "sha256": digest(state[one["name"]])} for one in self.tensors]
        write_json(path, {"schema": SCHEMA, **self.summary(), "list": [*tensors, *self.left]})


def digest(value: Any) -> str:
    """SHA-256 of a tensor's values, in the order of their indices."""
    return hashlib.sha256(value.detach().cpu().contiguous().numpy().tobytes()).hexdigest()


def about(name: str, value: Any, parameters: set[str] | None) -> dict[str, Any]:
    """Name, shape, type, and whether it is a parameter.

    Of a file that does not say which of its tensors are parameters, those are all but running statistics.
    """
    learnt = name in parameters if parameters is not None else not name.endswith(STATISTICS)
    kind = str(value.dtype).removeprefix("torch.")
    return {"name": name, "shape": list(value.shape), "dtype": kind, "parameter": learnt}


def size(entry: Mapping[str, Any]) -> int:
    """How many values a tensor has."""
    found = 1
    for length in entry["shape"]:
        found *= int(length)
    return found
