"""Weights and a model of MMDetection held against each other by name and shape, part by part. No torch is needed.

Running counts (`num_batches_tracked`) are counted nowhere: nothing depends on them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from detui.engine.errors import RunError

PARTS = ("backbone", "neck", "rpn_head", "roi_head.bbox_head", "roi_head.mask_head")
"""The parts of a Mask R-CNN, in the order in which pictures go through them."""
BACKBONE, BOXES, MASKS = PARTS[0], PARTS[3], PARTS[4]
OTHER = "other"
OF_CLASSES = ("fc_cls", "fc_reg", "conv_logits")
"""Layers with a row, or four, for each class."""
COUNTER = "num_batches_tracked"
ENOUGH = 0.5
"""The part of a model's tensors that weights must have, to be called its weights."""
SHOWN = 3
"""How many tensors a message names."""
Shape = tuple[int, ...]


def part_of(name: str) -> str:
    """The part that a parameter or buffer belongs to: `roi_head.bbox_head.fc_cls.weight` → `roi_head.bbox_head`."""
    return next((part for part in PARTS if name.startswith(f"{part}.")), OTHER)


def of_classes(name: str) -> bool:
    """Whether a tensor has rows for classes."""
    return part_of(name) in (BOXES, MASKS) and name.split(".")[-2] in OF_CLASSES


@dataclass(frozen=True, slots=True)
class Anew:
    """A tensor that both sides have and that starts anew all the same."""

    name: str
    shape: Shape
    """The model's."""
    given: Shape
    """The file's."""
    why: Literal["shape", "recipe", "part"]
    """The shapes differ; or they agree and the recipe says so (`model.start.anew`); or it is of a part that the recipe
    does not take (`model.start.take`), and keeps what the model drew for it."""

    @property
    def text(self) -> str:
        """`roi_head.bbox_head.fc_cls.weight [21, 1024], in the file [81, 1024]`."""
        return f"{self.name} {list(self.shape)}, in the file {list(self.given)}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a model would get from a file."""

    loaded: tuple[str, ...]
    reinitialised: tuple[Anew, ...]
    missing: tuple[str, ...]
    """In the model and not in the file."""
    unexpected: tuple[str, ...]
    """In the file and not in the model."""
    whole: bool
    """Whether the file is of a whole detector, and not of its backbone alone."""
    keep_classes: bool
    """Whether the recipe says that nothing starts anew, the layers of the classes included."""

    def parts(self) -> dict[str, dict[str, int]]:
        """Part → `loaded`, `reinitialised`, `missing`, `unexpected`, in tensors; parts that neither side has are left
        out.
        """
        counts = {
            "loaded": Counter(map(part_of, self.loaded)),
            "reinitialised": Counter(part_of(one.name) for one in self.reinitialised),
            "missing": Counter(map(part_of, self.missing)),
            "unexpected": Counter(map(part_of, self.unexpected)),
        }
        known = [part for part in (*PARTS, OTHER) if any(count[part] for count in counts.values())]
        return {part: {kind: count[part] for kind, count in counts.items()} for part in known}

    @property
    def wanted(self) -> int:
        """How many tensors the file was to give."""
        return len(self.loaded) + len(self.reinitialised) + len(self.missing)

    def check(self, where: str) -> None:
        """Raise RunError where the file is another model's. `where`: the file."""
        problem = next(self._problems(), None)
        if problem is not None:
            raise RunError(problem[0], where=where, hint=problem[1])

    def _problems(self) -> Iterator[tuple[str, str]]:
        parts = self.parts()
        if not self.loaded:
            yield self._nothing()
        fitting = len(self.loaded) + sum(one.why != "shape" or of_classes(one.name) for one in self.reinitialised)
        if fitting < ENOUGH * self.wanted:
            yield f"The weights are another model's: {fitting} of {self.wanted} tensors fit.", _ARCHITECTURE
        rows = [one for one in self.reinitialised if one.why == "shape" and of_classes(one.name)]
        if self.keep_classes and rows:
            text = f"The file is of another number of classes, and nothing is to start anew: {rows[0].text}."
            yield text, "--set model.start.anew=classes"
        backbone = parts.get(BACKBONE, {})
        wrong = {kind: backbone.get(kind, 0) for kind in ("reinitialised", "missing", "unexpected")}
        if any(wrong.values()):
            told = [text for kind, text in _TOLD.items() if wrong[kind] for text in [text.format(wrong[kind])]]
            text = f"The backbone is another network's: {backbone.get('loaded', 0)} tensors fit, {', '.join(told)}."
            yield text, "name weights of this model.backbone.depth"

    def _nothing(self) -> tuple[str, str]:
        """Why a file gives nothing."""
        bare = {name.removeprefix(f"{BACKBONE}.") for name in self.missing if part_of(name) == BACKBONE}
        if self.whole and bare & set(self.unexpected):
            text = "The file holds a backbone alone, whose tensors have other names in a whole detector: nothing of it "
            return f"{text}would be loaded.", "name it as model.backbone.weights instead of model.weights"
        if not self.whole and any(name.startswith(f"{BACKBONE}.{BACKBONE}.") for name in self.unexpected):
            text = "The file holds a whole detector, not a backbone alone: nothing of it would be loaded."
            return text, "name it as model.weights, with model.start.take=backbone"
        shown = ", ".join(self.unexpected[:SHOWN]) or "nothing"
        return f"Nothing of the file would be loaded: it holds {shown} …", _ARCHITECTURE

    def notices(self) -> list[str]:
        """What is worth knowing although the training can begin."""
        found = []
        for part, count in self.parts().items():
            if count["missing"] and part != BACKBONE:
                none = count["loaded"] + count["reinitialised"] == 0
                lacks = f"has no tensor of {part}" if none else f"lacks tensors of {part}"
                found.append(f"The file {lacks}: {count['missing']} start at random.")
            if count["unexpected"] and part not in (OTHER, BACKBONE) and self.whole:
                found.append(f"{count['unexpected']} tensors of {part} in the file are left behind.")
        other = [one for one in self.reinitialised if one.why == "shape" and not of_classes(one.name)]
        if other:
            more = f", and {len(other) - SHOWN} more" if len(other) > SHOWN else ""
            named = "; ".join(one.text for one in other[:SHOWN])
            found.append(f"Shapes differ that do not depend on the classes: {named}{more}. They start at random.")
        return found

    def to_json(self) -> dict[str, Any]:
        """The comparison with its names, for a table or a file."""
        again = [{"name": one.name, "shape": list(one.shape), "given": list(one.given), "why": one.why,
                  "of_classes": of_classes(one.name)} for one in self.reinitialised]  # fmt: skip
        return {"parts": self.parts(), "reinitialised": again, "missing": list(self.missing),
                "unexpected": list(self.unexpected), "notices": self.notices()}  # fmt: skip


_ARCHITECTURE = "name weights of this architecture, or none"
_TOLD = {"reinitialised": "{} differ in shape", "missing": "{} are not in the file",
         "unexpected": "{} of the file have no place"}  # fmt: skip


def compare(
    model: Mapping[str, Shape], tensors: Mapping[str, Shape], start: Mapping[str, Any], *, whole: bool
) -> Comparison:
    """Hold the shapes of a model's tensors against those of a file.

    `start`: the recipe's `model.start`, that says what is taken of a detector and what starts anew. `whole`: whether
    the file is of a whole detector. In one of a backbone alone, names have no `backbone.` in front, and its classifier
    (`fc`) belongs to no part.
    """
    ours = {name: shape for name, shape in model.items() if not name.endswith(COUNTER)}
    ours = ours if whole else {name: shape for name, shape in ours.items() if part_of(name) == BACKBONE}
    theirs = {name: shape for name, shape in tensors.items() if not name.endswith(COUNTER)}
    if not whole:
        theirs = as_backbone(theirs, ours)
    again, loaded = [], []
    for name, shape in ours.items():
        given = theirs.get(name)
        if given is None:
            continue
        if start["take"] == BACKBONE and part_of(name) != BACKBONE:
            again.append(Anew(name, shape, given, "part"))
        elif given != shape:
            again.append(Anew(name, shape, given, "shape"))
        elif starts_anew(name, start) and whole:
            again.append(Anew(name, shape, given, "recipe"))
        else:
            loaded.append(name)
    return Comparison(
        loaded=tuple(loaded),
        reinitialised=tuple(again),
        missing=tuple(name for name in ours if name not in theirs),
        unexpected=tuple(name for name in theirs if name not in ours),
        whole=whole,
        keep_classes=start["anew"] == "nothing",
    )


def as_backbone(tensors: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors of a file of a backbone alone by the detector's names; what the backbone has no place for keeps its
    own name, but for what looks like a backbone's: layers of another depth, and those of a whole detector."""
    found = {}
    for name, value in tensors.items():
        inner = f"{BACKBONE}.{name}"
        belongs = inner in ours or name.startswith(("layer", "conv1.", "bn1.", f"{BACKBONE}."))
        found[inner if belongs else name] = value
    return found


def starts_anew(name: str, start: Mapping[str, Any]) -> bool:
    """Whether the recipe has a tensor start anew although the file may have it."""
    anew = start["anew"]
    return (anew == "classes" and of_classes(name)) or (anew == "heads" and part_of(name) in (BOXES, MASKS))
