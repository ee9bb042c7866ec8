"""What a model got from the weights that it starts with, told tensor by tensor and found by comparing values.

Ultralytics takes over what has the name and the shape, and gives the rows of the class heads (of RT-DETR
`enc_score_head`, `dec_score_head` and `denoising_class_embed`, of YOLO the last convolutions of `cv3`) to classes of
the same name, whatever their number. One case is left to `forget_other_classes`: as many classes, no name in common.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from detui.engine.backends.torch_support.transfer import (
    ANEW,
    IN_PART,
    LEFT,
    REMAPPED,
    TRANSFERRED,
    TransferReport,
    about,
)
from detui.engine.errors import RunError

ENOUGH = 0.5
"""The part of a model's tensors that weights must give, to be called its weights."""


def class_rows(given: Any, wanted: Any) -> dict[int, int] | None:
    """Row of a class here → its row in the weights, for classes of the same name in any case; None where a side has no
    names. Both sides are Ultralytics' mappings of index to name.
    """
    sides = (given, wanted)
    if not all(isinstance(one, Mapping) and any(str(k) != str(v) for k, v in one.items()) for one in sides):
        return None
    places = {_plain(name): int(row) for row, name in given.items()}
    return {int(row): places[_plain(name)] for row, name in wanted.items() if _plain(name) in places}


def _plain(name: Any) -> str:
    return str(name).strip().lower()


def class_tensors(model: Any) -> list[str]:
    """Names of the tensors of a detector of Ultralytics that have a row for each class."""
    from ultralytics.nn.modules import Detect, RTDETRDecoder

    found: list[str] = []
    for place, module in model.named_modules():
        if isinstance(module, RTDETRDecoder):
            names = module.state_dict()
            found += [f"{place}.{name}" for name in names if "score_head" in name or "class_embed" in name]
        elif isinstance(module, Detect):
            for branch in ("cv3", "one2one_cv3"):
                for level, steps in enumerate(getattr(module, branch, None) or ()):
                    found += [f"{place}.{branch}.{level}.{len(steps) - 1}.{kind}" for kind in ("weight", "bias")]
    return found


class Built:
    """A model as it was built, before it got any weights."""

    def __init__(self, model: Any) -> None:
        """Copies the class tensors and notes all shapes."""
        state = model.state_dict()
        self.rows = {name: state[name].clone() for name in class_tensors(model)}
        self.shapes = {name: list(value.shape) for name, value in state.items()}


def forget_other_classes(model: Any, weights: Any, built: Built) -> None:
    """Put new rows back where the rows of other classes were copied: as many classes, and none of the same name."""
    import torch

    given, wanted = getattr(weights, "names", None), getattr(model, "names", None)
    if class_rows(given, wanted) != {} or len(given or ()) != len(wanted or ()):
        return
    state = model.state_dict()
    with torch.no_grad():
        for name, value in built.rows.items():
            if name in state and state[name].shape == value.shape:
                state[name].copy_(value)


class Transfer(TransferReport):
    """What of a model is the weights', and what started anew."""

    def __init__(self, model: Any, weights: Any, source: Mapping[str, Any], built: Built) -> None:
        """Compare a model that has its starting values with what it was given.

        `weights`: what has a `state_dict()` of tensors by the model's names, `names` of classes where it knows any, and
        `left` (name → tensor) where it left some out. `source`: what the weights are, for the report. `built`: the
        model without them.
        """
        self._shapes = built.shapes
        self.source = dict(source)
        given, self._names = weights.state_dict(), getattr(model, "names", None)
        self._given_names = getattr(weights, "names", None)
        self._rows = class_rows(self._given_names, self._names)
        self._classes = set(class_tensors(model))
        self._parameters = {name for name, _ in model.named_parameters()}
        state = model.state_dict()
        self.tensors = [self._entry(name, value, given.get(name)) for name, value in state.items()]
        away = {**{name: value for name, value in given.items() if name not in state}, **getattr(weights, "left", {})}
        theirs = {name for name, _ in weights.named_parameters()} if hasattr(weights, "named_parameters") else None
        self.left = [about(name, value, theirs) | {"kind": LEFT, "taken": 0} for name, value in sorted(away.items())]
        self._parts = _parts(model)

    def _entry(self, name: str, here: Any, given: Any) -> dict[str, Any]:
        import torch

        entry = about(name, here, self._parameters)
        if given is None:
            return entry | {"kind": ANEW, "taken": 0}
        given = given.to(here)
        if here.shape == given.shape and torch.equal(here, given):
            return entry | {"kind": TRANSFERRED, "taken": here.numel()}
        told = entry | {"given_shape": list(given.shape)}
        if name in self._classes and self._rows and here.shape[1:] == given.shape[1:]:
            rows, places = list(self._rows), list(self._rows.values())
            if torch.equal(here[rows], given[places]):
                taken = len(rows) * (here[0].numel() if here.ndim > 1 else 1)
                return told | {"kind": REMAPPED, "rows": rows, "from_rows": places, "taken": taken}
        if here.ndim == given.ndim == 4 and here.shape[2:] == given.shape[2:]:
            filters, channels = (
                min(ours, theirs) for ours, theirs in zip(here.shape[:2], given.shape[:2], strict=True)
            )
            part = here[:filters, :channels]
            if torch.equal(part, given[:filters, :channels]):
                return told | {"kind": IN_PART, "part": [filters, channels], "taken": part.numel()}
        return told | {"kind": ANEW, "taken": 0}

    def check(self) -> None:
        """Raise RunError where too little of the model is the weights' to call them its own."""
        fitting = sum(one["kind"] != ANEW for one in self.tensors)
        if fitting < ENOUGH * len(self.tensors):
            message = f"The weights are another model's: {fitting} of {len(self.tensors)} tensors fit."
            raise RunError(message, where="model.weights", hint="name the weights of this architecture, or none")

    def told_classes(self) -> dict[str, list[str]] | None:
        """Which classes have rows of the weights, which started anew, and which of the weights' have no place here."""
        if self._rows is None:
            return None
        used = any(one["name"] in self._classes and one["kind"] in (TRANSFERRED, REMAPPED) for one in self.tensors)
        rows = self._rows if used else {}
        wanted, given = ({int(row): str(name) for row, name in names.items()} for names in
                         (self._names or {}, self._given_names or {}))  # fmt: skip
        return {"taken": [name for row, name in wanted.items() if row in rows],
                "anew": [name for row, name in wanted.items() if row not in rows],
                LEFT: [name for row, name in given.items() if row not in rows.values()]}  # fmt: skip

    def anew_by_part(self) -> dict[str, int]:
        """A whole part by its name, else the head by its modules."""
        return dict(_by_part(self.tensors, self._parts))

    def reshaped(self) -> int:
        """How many tensors have the weights' shape instead of the one that the model was built with."""
        return sum(one["shape"] != self._shapes.get(one["name"]) for one in self.tensors)


def _parts(model: Any) -> tuple[int, int]:
    """How many layers are the backbone's, and the number of the head's."""
    rows = (getattr(model, "yaml", None) or {}).get("backbone") or ()
    return len(rows), len(model.model) - 1


def _by_part(tensors: Sequence[Mapping[str, Any]], parts: tuple[int, int]) -> Iterator[tuple[str, int]]:
    """Part → how many of its tensors started anew: a whole part by its name, else the head by its modules."""
    everything = Counter(_part(str(one["name"]), parts)[0] for one in tensors)
    anew = [_part(str(one["name"]), parts) for one in tensors if one["kind"] == ANEW]
    whole = {part for part, count in Counter(part for part, _ in anew).items() if count == everything[part]}
    found = Counter(part if part in whole or not inner else f"{part}.{inner}" for part, inner in anew)
    yield from found.items()


def _part(name: str, parts: tuple[int, int]) -> tuple[str, str]:
    """ "model.28.enc_score_head.weight" → ("head", "enc_score_head"). Ultralytics numbers the layers of a detector."""
    pieces = name.split(".")
    layer = int(pieces[1]) if len(pieces) > 1 and pieces[1].isdigit() else -1
    backbone, head = parts
    if layer == head:
        return "head", pieces[2]
    return ("backbone" if layer < backbone else "neck"), ""
