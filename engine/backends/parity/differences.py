"""Two frameworks' results of one step, side by side: where the forward pass parts, losses, gradients, weights, running
statistics, and in words what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from detui.engine.backends.parity.frameworks.framework import Array
from detui.engine.backends.parity.layers import MOMENTUM
from detui.engine.backends.parity.stepping import StepCase, StepResult

SINGLE = ("stages", "top_down", "bottom_up", "layers", "classes", "boxes")
"""What has a module for each of its members."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is still equal."""

    part: float = 1e-3
    """Of a part's output, as a share of its largest number."""
    loss: float = 1e-4
    """Of the loss and of each of its terms, relative."""
    cosine: float = 0.9999
    """The least cosine between the gradients of a module."""
    size: float = 1e-2
    """Of the gradients' norms of a module, relative."""
    step: float = 0.01
    """Between the changes of a module's weights, as a share of the change, each counted by its gradient."""
    statistic: float = 1e-3
    """Between the changes of a batch norm's statistics, as a share of the change."""


@dataclass(frozen=True, slots=True)
class PartRow:
    """A part's output."""

    name: str
    """The part."""
    relative: float
    """The largest difference, as a share of the largest number."""


@dataclass(frozen=True, slots=True)
class TermRow:
    """A loss."""

    name: str
    """"total", or "KIND/PLACE"."""
    reference: float
    """In the one."""
    other: float
    """In the other."""
    relative: float
    """(other - reference) / reference, without sign."""


@dataclass(frozen=True, slots=True)
class ModuleRow:
    """A module's gradients, and what the step made of its weights."""

    name: str
    """The module."""
    cosine: float
    """Between the two gradients."""
    size: float
    """How far their norms are apart, relative."""
    step: float
    """How far the weights' changes are apart, as a share of the change, each counted by its gradient."""


@dataclass(frozen=True, slots=True)
class StatisticRow:
    """What a step made of a batch norm's running statistics."""

    name: str
    """The batch norm."""
    mean: float
    """How far the changes of the mean are apart, as a share of the change."""
    variance: float
    """The same for the variance."""


Kind = Literal[
    "part", "loss", "gradient", "step", "mean", "variance", "biased variance", "momentum", "selection", "assignment"
]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not equal."""

    kind: Kind
    """What."""
    where: str
    """The part, module, loss or batch norm; of several the first."""
    value: float
    """How far, in the measure of its row; of "momentum" the momentum that explains it."""
    count: int = 1
    """In how many places."""

    def text(self) -> str:
        """One sentence."""
        more = f" and {self.count - 1} more" if self.count > 1 else ""
        value = f"{self.value:.2g}"
        return {
            "part": f"The outputs part at {self.where} (largest difference {value} of the largest number).",
            "loss": f"The loss {self.where}{more} differs by {value}.",
            "gradient": f"The gradients of {self.where}{more} differ (cosine {self.value:.6f}, or in size).",
            "step": f"The step changes {self.where}{more} otherwise (by {value} of the change).",
            "mean": f"The running mean of {self.where}{more} moves otherwise (by {value} of the change).",
            "variance": f"The running variance of {self.where}{more} moves otherwise (by {value} of the change).",
            "biased variance": f"The running variance of {self.where}{more} is the biased one.",
            "momentum": f"The momentum of {self.where}{more} is {value}, not {MOMENTUM}.",
            "selection": f"Of the selected tokens, {value} are others.",
            "assignment": f"The assignment differs at {self.where}{more}.",
        }[self.kind]


@dataclass(frozen=True, slots=True)
class StepDifference:
    """All of it."""

    parts: list[PartRow]
    """In the order in which they are computed."""
    terms: list[TermRow]
    """The total first."""
    modules: list[ModuleRow]
    """In the order of the model."""
    statistics: list[StatisticRow]
    """In the order of the model."""
    findings: list[Finding]
    """What is not equal; empty when all is."""

    @property
    def equal(self) -> bool:
        """Whether the two frameworks took the same step."""
        return not self.findings


def module_of(name: str) -> str:
    """The module that a tensor belongs to: "decoder.layers.2", "encoder.aifi", "backbone.stem"."""
    words = name.split(".")
    deep = len(words) > 3 and words[1] in SINGLE and words[2].isdigit()
    return ".".join(words[: 3 if deep else 2])


def compare_steps(
    case: StepCase, reference: StepResult, other: StepResult, limits: Limits | None = None
) -> StepDifference:
    """Two results of one case."""
    bounds = limits or Limits()
    parts = [PartRow(name, _share(value, other.parts[name])) for name, value in reference.parts.items()]
    totals = {"total": reference.total} | reference.terms
    others = {"total": other.total} | other.terms
    terms = [TermRow(n, v, others[n], abs(others[n] - v) / max(abs(v), 1e-12)) for n, v in totals.items()]
    modules = [_module(name, names, case, reference, other) for name, names in _modules(reference.gradients).items()]
    kinds = ("running_mean", "running_var")
    statistics = [
        StatisticRow(norm, *(_moved(f"{norm}.{kind}", case, reference, other) for kind in kinds))
        for norm in _norms(case)
    ]
    findings = [
        *_discrete(reference, other),
        *_first("part", [(row.name, row.relative, row.relative > bounds.part) for row in parts], one=True),
        *_first("loss", [(row.name, row.relative, row.relative > bounds.loss) for row in terms]),
        *_first(
            "gradient",
            [(m.name, m.cosine, m.cosine < bounds.cosine or m.size > bounds.size) for m in modules],
        ),
        *_first("step", [(m.name, m.step, m.step > bounds.step) for m in modules]),
        *_of_statistics(statistics, case, reference, other, bounds),
    ]
    return StepDifference(parts, terms, modules, statistics, findings)


def _modules(gradients: dict[str, Array]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in gradients:
        found.setdefault(module_of(name), []).append(name)
    return found


def _module(name: str, names: list[str], case: StepCase, reference: StepResult, other: StepResult) -> ModuleRow:
    one, two = (_together(result.gradients, names) for result in (reference, other))
    before = _together(case.state, names)
    change, change_too = (_together(result.state, names) - before for result in (reference, other))
    lengths = float(np.linalg.norm(one)), float(np.linalg.norm(two))
    size = abs(lengths[1] - lengths[0]) / max(lengths[0], 1e-12) if any(lengths) else 0.0
    return ModuleRow(name, _cosine(one, two), size, _weighed(np.abs(one), change, change_too))


def _together(values: dict[str, Array], names: list[str]) -> Array:
    return np.concatenate([values[name].reshape(-1).astype(np.float64) for name in names])


def _cosine(one: Array, two: Array) -> float:
    lengths = float(np.linalg.norm(one)), float(np.linalg.norm(two))
    if not all(lengths):
        return 1.0 if not any(lengths) else 0.0
    return float(one @ two) / (lengths[0] * lengths[1])


def _weighed(weight: Array, change: Array, other: Array) -> float:
    """How far changes are apart, where each counts by its gradient.

    Adam's first step has one length for every number, whatever its gradient, so a gradient that is nothing but
    rounding turns a whole step round.
    """
    length = float(weight @ np.abs(change))
    apart = float(weight @ np.abs(other - change))
    return apart / length if length else (0.0 if apart == 0 else float("inf"))


def _of_change(change: Array, other: Array) -> float:
    length = float(np.linalg.norm(change))
    apart = float(np.linalg.norm(other - change))
    if length == 0:
        return 0.0 if apart == 0 else float("inf")
    return apart / length


def _share(expected: Array, found: Array) -> float:
    if expected.shape != found.shape or not np.isfinite(found).all():
        return float("inf")
    largest = max(float(np.abs(expected).max()), 1e-12)
    return float(np.abs(expected.astype(np.float64) - found).max()) / largest


def _moved(name: str, case: StepCase, reference: StepResult, other: StepResult) -> float:
    before = case.state[name].astype(np.float64)
    return _of_change(reference.state[name] - before, other.state[name] - before)


def _norms(case: StepCase) -> list[str]:
    end = ".running_mean"
    return [name.removesuffix(end) for name in case.state if name.endswith(end)]


def _first(kind: Kind, rows: list[tuple[str, float, bool]], *, one: bool = False) -> list[Finding]:
    """The first row that is not equal, with the number of those. `one`: what follows is its consequence."""
    found = [(name, value) for name, value, wrong in rows if wrong]
    return [Finding(kind, *found[0], count=1 if one else len(found))] if found else []


def _discrete(reference: StepResult, other: StepResult) -> list[Finding]:
    found = []
    if reference.selection.shape != other.selection.shape or (reference.selection != other.selection).any():
        shape = reference.selection.shape
        same = [
            len(set(a.tolist()) & set(b.tolist())) for a, b in zip(reference.selection, other.selection, strict=True)
        ]
        found.append(Finding("selection", "decoder.selection", 1 - sum(same) / max(shape[0] * shape[1], 1)))
    places = [place for place, pairs in reference.pairs.items() if not _same(pairs, other.pairs[place])]
    return found + ([Finding("assignment", places[0], float(len(places)), len(places))] if places else [])


def _same(one: list[tuple[Array, Array]], two: list[tuple[Array, Array]]) -> bool:
    return all(np.array_equal(a, c) and np.array_equal(b, d) for (a, b), (c, d) in zip(one, two, strict=True))


def _of_statistics(
    rows: list[StatisticRow], case: StepCase, reference: StepResult, other: StepResult, limits: Limits
) -> list[Finding]:
    """What differs in batch norms, and by which of two habits of frameworks it is explained."""
    wrong = [row for row in rows if row.mean > limits.statistic or row.variance > limits.statistic]
    kinds: dict[Kind, list[tuple[str, float]]] = {}
    for row in wrong:
        moved = {
            kind: tuple(result.state[f"{row.name}.{kind}"].astype(np.float64) - case.state[f"{row.name}.{kind}"]
                        for result in (reference, other))
            for kind in ("running_mean", "running_var")
        }  # fmt: skip
        before = case.state[f"{row.name}.running_var"].astype(np.float64)
        found = _explained(moved["running_mean"], moved["running_var"], before, limits)
        if found is not None:
            kinds.setdefault(found[0], []).append((row.name, found[1]))
            continue
        if row.mean > limits.statistic:
            kinds.setdefault("mean", []).append((row.name, row.mean))
        if row.variance > limits.statistic:
            kinds.setdefault("variance", []).append((row.name, row.variance))
    return [Finding(kind, *places[0], count=len(places)) for kind, places in kinds.items()]


def _explained(
    mean: tuple[Array, ...], variance: tuple[Array, ...], before: Array, limits: Limits
) -> tuple[Kind, float] | None:
    """Another momentum scales both changes alike; a biased variance is the same share of the right one everywhere."""
    if not mean[0].any() or not variance[0].any():
        return None
    scale = float(mean[1] @ mean[0]) / float(mean[0] @ mean[0])
    tolerance = 10 * limits.statistic
    if abs(scale - 1) > tolerance:
        alike = max(_of_change(one * scale, two) for one, two in (mean, variance))
        return ("momentum", scale * MOMENTUM) if alike < tolerance else None
    shares = (variance[1] / MOMENTUM + before) / (variance[0] / MOMENTUM + before)
    middle = float(np.median(shares))
    if middle < 1 and float(np.abs(shares - middle).max()) < tolerance * (1 - middle) + 1e-4:
        return ("biased variance", middle)
    return None
