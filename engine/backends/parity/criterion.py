"""The losses: varifocal for the class, L1 and generalised IoU for the box (section 4.3, appendix), of each decoder
layer, of the selected tokens, and of the denoising queries. Sums are divided by the number of objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detui.engine.backends.parity.boxes import paired_overlaps
from detui.engine.backends.parity.decoder import Prediction
from detui.engine.backends.parity.denoising import Denoising
from detui.engine.backends.parity.detector import Output
from detui.engine.backends.parity.frameworks.framework import Array, Framework, Tensor
from detui.engine.backends.parity.matching import match
from detui.engine.backends.parity.targets import Pairs, Target

WEIGHTS = {"class": 1.0, "l1": 5.0, "giou": 2.0}
"""What each loss weighs in the sum."""
ALPHA, GAMMA = 0.75, 2.0
"""Of the varifocal loss (Zhang et al., 2021): weight and power of the negatives."""


@dataclass(frozen=True, slots=True)
class Loss:
    """The losses of a batch."""

    total: Tensor
    """The weighted sum, one number."""
    terms: dict[str, Tensor]
    """"KIND/PLACE" → one weighted number; kinds as in `WEIGHTS`, places "layer 0" …, "selected", "denoised 0" …."""
    pairs: dict[str, Pairs]
    """By place: which query answered for which object. The denoising queries have theirs."""

    def by_kind(self, f: Framework) -> dict[str, float]:
        """Each kind's sum over all places."""
        found = dict.fromkeys(WEIGHTS, 0.0)
        for name, term in self.terms.items():
            found[name.partition("/")[0]] += float(f.array(term).reshape(-1)[0])
        return found


def losses(
    f: Framework, output: Output, targets: Sequence[Target], denoising: Denoising | None = None,
    forced: dict[str, Pairs] | None = None,
) -> Loss:  # fmt: skip
    """The losses of what was said. `forced`: pairs by place, instead of the cheapest."""
    objects = float(max(1, sum(len(target) for target in targets)))
    places = {f"layer {n}": said for n, said in enumerate(output.layers)} | {"selected": output.selected}
    terms: dict[str, Tensor] = {}
    pairs: dict[str, Pairs] = {}
    for place, said in places.items():
        logits, boxes = f.array(f.detach(said.logits)), f.array(f.detach(said.boxes))
        pairs[place] = forced[place] if forced is not None else match(logits, boxes, targets)
        terms |= _named(place, of_prediction(f, said, targets, pairs[place], objects))
    if denoising is not None:
        for n, said in enumerate(output.denoised):
            found = of_prediction(f, said, targets, denoising.pairs, objects * denoising.groups)
            terms |= _named(f"denoised {n}", found)
    total = None
    for term in terms.values():
        total = term if total is None else total + term
    return Loss(total, terms, pairs)


def of_prediction(
    f: Framework, said: Prediction, targets: Sequence[Target], pairs: Pairs, objects: float
) -> dict[str, Tensor]:
    """The three weighted losses of one layer; those of boxes are absent where no object is matched."""
    images, queries, labels, wanted = _matched(targets, pairs)
    if not len(images):
        return {"class": varifocal(f, said.logits, images, queries, labels, np.zeros(0, np.float32)) / objects}
    boxes, aim = f.take_pairs(said.boxes, images, queries), f.tensor(wanted)
    overlap, generalised = paired_overlaps(f, boxes, aim)
    quality = f.array(f.detach(overlap))
    return {
        "class": varifocal(f, said.logits, images, queries, labels, quality) * (WEIGHTS["class"] / objects),
        "l1": f.absolute(boxes - aim).sum() * (WEIGHTS["l1"] / objects),
        "giou": (1 - generalised).sum() * (WEIGHTS["giou"] / objects),
    }


def varifocal(f: Framework, logits: Tensor, images: Array, queries: Array, labels: Array, quality: Array) -> Tensor:
    """The sum over all queries and classes: a matched class aims at its box's IoU, every other at 0."""
    shape = tuple(int(size) for size in logits.shape)
    aim, matched = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    aim[images, queries, labels], matched[images, queries, labels] = quality, 1
    target = f.tensor(aim)
    score = f.sigmoid(f.detach(logits))
    weight = score**GAMMA * f.tensor(ALPHA * (1 - matched)) + target
    return (f.cross_entropy(logits, target) * f.detach(weight)).sum()


def _matched(targets: Sequence[Target], pairs: Pairs) -> tuple[Array, Array, Array, Array]:
    """All pairs of a batch in a row: image, query, label [k], and box [k, 4]."""
    images = np.concatenate([np.full(len(queries), image) for image, (queries, _) in enumerate(pairs)]).astype(np.int64)
    queries = np.concatenate([queries for queries, _ in pairs]).astype(np.int64)
    together = list(zip(targets, pairs, strict=True))
    labels = np.concatenate([target.labels[objects] for target, (_, objects) in together])
    boxes = np.concatenate([target.boxes[objects] for target, (_, objects) in together])
    return images, queries, labels, boxes


def _named(place: str, found: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{kind}/{place}": value for kind, value in found.items()}
