"""One training step, with everything that it computes: outputs of each part, loss terms, gradients, weights after.

Two frameworks take the same step when they begin with the same weights, see the same images and noise, select the
same tokens, and assign the same queries. Selection and assignment are discrete: a difference in the last digit can
turn them, so the second framework is made to take those of the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from detui.engine.backends.parity.criterion import losses
from detui.engine.backends.parity.denoising import Denoising, make_denoising
from detui.engine.backends.parity.detector import Detector
from detui.engine.backends.parity.frameworks.framework import Array, Framework, Tensor
from detui.engine.backends.parity.groups import CLIP, RATE, groups
from detui.engine.backends.parity.sizes import Size
from detui.engine.backends.parity.targets import Pairs, Target


@dataclass(frozen=True, slots=True)
class StepCase:
    """What a step is taken from."""

    size: Size
    """The model."""
    images: Array
    """[b, 3, h, w] of float32."""
    targets: tuple[Target, ...]
    """What stands in them."""
    denoising: Denoising | None
    """The noisy queries."""
    state: dict[str, Array]
    """Every tensor before the step."""
    rate: float = RATE
    """The learning rate; the backbone's is a tenth of it."""
    clip: float | None = CLIP
    """The largest norm of the gradient."""
    selection: Array | None = None
    """Tokens that are selected, [b, q]; None: the best."""
    pairs: dict[str, Pairs] | None = None
    """Who answers for which object, by place; None: the cheapest."""
    optimiser: dict[str, Array] | None = None
    """What `Optimiser.state` gave after the step before; None: this is the first."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step computed."""

    total: float
    """The loss."""
    terms: dict[str, float]
    """The weighted losses by "KIND/PLACE"."""
    norm: float
    """The gradient's norm before clipping."""
    parts: dict[str, Array]
    """The output of each part of the model, in the order in which they were computed; empty where not kept."""
    gradients: dict[str, Array]
    """By weight, before clipping."""
    state: dict[str, Array]
    """Every tensor after the step."""
    selection: Array
    """The tokens that were selected, [b, q]."""
    pairs: dict[str, Pairs] = field(default_factory=dict)
    """Who answered for which object, by place."""
    optimiser: dict[str, Array] = field(default_factory=dict)
    """The optimiser's state after the step."""


def random_case(size: Size, side: int, b: int = 1, seed: int = 0) -> StepCase:
    """A step of a fresh model on `b` random images of `side` pixels with two to seven boxes each.

    The heads that begin at zero get small values, so that a step has gradients everywhere.
    """
    from detui.engine.backends.parity.frameworks.shapes_only import ShapesOnly

    own = np.random.RandomState(seed)
    images = own.standard_normal((b, 3, side, side)).astype(np.float32)
    targets = []
    for _ in range(b):
        m = own.randint(2, 8)
        sides = own.uniform(0.1, 0.5, (m, 2))
        boxes = np.concatenate([own.uniform(sides / 2, 1 - sides / 2), sides], 1)
        targets.append(Target.of(own.randint(0, size.classes, m), boxes))
    detector = Detector(ShapesOnly(), size)
    detector.network.initialise(seed)
    state = detector.network.state()
    for name, value in state.items():
        if not value.any() and name in detector.network.trainable():
            state[name] = (own.standard_normal(value.shape) * 0.02).astype(np.float32)
    noise = make_denoising(targets, size, detector.selected_count(side, side), np.random.RandomState(seed + 1))
    return StepCase(size, images, tuple(targets), noise, state)


def forced(case: StepCase, result: StepResult) -> StepCase:
    """The same case, with the selection and the assignment of a result."""
    return replace(case, selection=result.selection, pairs=result.pairs)


def perturbed(state: Mapping[str, Array], share: float = 1e-7, seed: int = 5) -> dict[str, Array]:
    """Weights × (1 + share × noise), float32; running statistics as they are.

    How far a framework then goes apart from itself is the noise that two frameworks are measured against.
    """
    own = np.random.RandomState(seed)
    found = {}
    for name, value in state.items():
        moved = value * (1 + share * own.standard_normal(value.shape))
        found[name] = value if ".running_" in name else moved.astype(np.float32)
    return found


def following(case: StepCase, result: StepResult) -> StepCase:
    """The next step, on the same images and noise, from where a result ended."""
    return replace(case, state=result.state, optimiser=result.optimiser, selection=None, pairs=None)


def take_step(framework: Framework, case: StepCase, *, keep_parts: bool = True) -> StepResult:
    """One step of AdamW from the case, and all that it computed."""
    detector = Detector(framework, case.size)
    return step_of(detector, case, keep_parts=keep_parts)


def step_of(detector: Detector, case: StepCase, *, keep_parts: bool = True) -> StepResult:
    """The same with a detector that exists: its weights are replaced."""
    network = detector.network
    f = network.framework
    network.load(case.state)
    detector.train()
    parts: dict[str, Array] = {}

    def keep(name: str, tensor: Tensor) -> None:
        parts[name] = f.array(f.detach(tensor))

    output = detector(
        f.tensor(case.images), case.denoising, selection=case.selection, watch=keep if keep_parts else None
    )
    loss = losses(f, output, case.targets, case.denoising, case.pairs)
    weights = network.trainable()
    gradients = f.gradients(loss.total, weights)
    stored = {name: f.array(value) for name, value in gradients.items()}  # clipping changes them in place
    optimiser = f.optimiser(weights, groups(weights, case.rate))
    if case.optimiser is not None:
        optimiser.load(case.optimiser)
    norm = optimiser.step(gradients, clip=case.clip)
    return StepResult(
        _number(f, loss.total), {name: _number(f, term) for name, term in loss.terms.items()}, _number(f, norm),
        parts, stored, network.state(), output.selection, loss.pairs, optimiser.state(),
    )  # fmt: skip


def _number(f: Framework, tensor: Tensor) -> float:
    return float(f.array(f.detach(tensor)).reshape(-1)[0])


# A case and a result as flat mappings of arrays, to be stored with `numpy.savez` and read in another process.


def flat_case(case: StepCase) -> dict[str, Array]:
    """The case but for its size, which the reader names."""
    found = {"images": case.images, "rate": np.array(case.rate), "clip": np.array(case.clip or np.inf)}
    found |= _put("state", case.state) | _put("optimiser", case.optimiser or {})
    for n, target in enumerate(case.targets):
        found |= {f"target/{n}/labels": target.labels, f"target/{n}/boxes": target.boxes}
    if (noise := case.denoising) is not None:
        found |= {"noise/labels": noise.labels, "noise/boxes": noise.boxes, "noise/mask": noise.mask}
        found |= {"noise/groups": np.array(noise.groups)} | _put_pairs("noise/pairs", {"": noise.pairs})
    if case.selection is not None:
        found["selection"] = case.selection
    return found | _put_pairs("pairs", case.pairs or {})


def unflat_case(stored: Mapping[str, Array], size: Size) -> StepCase:
    """What `flat_case` gave, as a case."""
    count = len({name.split("/")[1] for name in stored if name.startswith("target/")})
    targets = tuple(Target(stored[f"target/{n}/labels"], stored[f"target/{n}/boxes"]) for n in range(count))
    noise = None
    if "noise/labels" in stored:
        pairs = _take_pairs("noise/pairs", stored)[""]
        noise = Denoising(
            stored["noise/labels"], stored["noise/boxes"], stored["noise/mask"], pairs, int(stored["noise/groups"])
        )
    clip = float(stored["clip"])
    return StepCase(
        size, stored["images"], targets, noise, _take("state", stored), float(stored["rate"]),
        clip if np.isfinite(clip) else None, stored.get("selection"), _take_pairs("pairs", stored) or None,
        _take("optimiser", stored) or None,
    )  # fmt: skip


def flat_result(result: StepResult) -> dict[str, Array]:
    """A result as arrays by name."""
    found: dict[str, Any] = {"total": np.array(result.total), "norm": np.array(result.norm)}
    found |= _put("terms", {name: np.array(value) for name, value in result.terms.items()})
    found |= _put("parts", result.parts) | _put("gradients", result.gradients) | _put("state", result.state)
    found |= _put("optimiser", result.optimiser)
    return found | {"selection": result.selection} | _put_pairs("pairs", result.pairs)


def unflat_result(stored: Mapping[str, Array]) -> StepResult:
    """What `flat_result` gave, as a result."""
    return StepResult(
        float(stored["total"]), {name: float(value) for name, value in _take("terms", stored).items()},
        float(stored["norm"]), _take("parts", stored), _take("gradients", stored), _take("state", stored),
        stored["selection"], _take_pairs("pairs", stored), _take("optimiser", stored),
    )  # fmt: skip


def _put(front: str, values: Mapping[str, Array]) -> dict[str, Array]:
    return {f"{front}/{name}": value for name, value in values.items()}


def _take(front: str, stored: Mapping[str, Array]) -> dict[str, Array]:
    return {name.removeprefix(f"{front}/"): stored[name] for name in stored if name.startswith(f"{front}/")}


def _put_pairs(front: str, pairs: Mapping[str, Pairs]) -> dict[str, Array]:
    return {
        f"{front}/{place}|{image}": np.stack(both)
        for place, images in pairs.items()
        for image, both in enumerate(images)
    }


def _take_pairs(front: str, stored: Mapping[str, Array]) -> dict[str, Pairs]:
    found: dict[str, Pairs] = {}
    for name, both in _take(front, stored).items():  # in the order of the images, as they were put
        found.setdefault(name.rpartition("|")[0], []).append((both[0], both[1]))
    return found
