"""Every operation of `Framework`, forward and backward, on the same numbers: a table of how far two frameworks are
apart, with the cases that are the worst for each.

`measure` runs in a framework's own process; what it gives is stored and compared in any other.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from detui.engine.backends.parity.boxes import paired_overlaps
from detui.engine.backends.parity.decoder import logit
from detui.engine.backends.parity.frameworks.framework import Array, Framework, Tensor

Compute = Callable[[Framework, dict[str, Tensor]], Tensor | dict[str, Tensor]]
"""From inputs to an output, or to several by name, the first of which is "output"."""
Results = dict[str, dict[str, Array]]
"""By operator: "output", "gradient of NAME" for each real input, and what it changes in place; of one that does not run
only `FAILED`."""
FAILED = "does not run"
"""The result of an operator that a framework could not compute: why, as an array of one text."""
NOTHING = 1e-12
"""A largest number that is 0: nothing can be a share of it."""
LONGEST = 200
"""Characters of a reason: a compiler's command takes thousands."""
_COLOURS = re.compile(r"\x1b\[[\d;]*m")
_LOGGED = re.compile(r"^\[\w \d{4} [\d:.]+ \S+ [\w.]+:\d+\] *")
"""What Jittor puts before a message: "[f 1127 06:49:00.745633 92:C1 log.cc:608]"."""
LIMIT = 2e-6
"""How far apart results may be, as a share of the largest number."""


@dataclass(frozen=True, slots=True)
class Operator:
    """One row of the table."""

    name: str
    """What is computed, and of what."""
    inputs: dict[str, Array]
    """Real ones have a gradient, whole ones are handed over as they are."""
    compute: Compute
    """How."""
    changed: tuple[str, ...] = ()
    """Inputs that are changed in place; they have no gradient."""
    limit: float = LIMIT
    """How far apart its results may be."""
    worst: bool = False
    """Whether it is a case that frameworks do differently."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How far two frameworks are apart in one result of one operator."""

    operator: str
    """Its name."""
    result: str
    """"output", "gradient of x", "running variance" …, or `FAILED`."""
    absolute: float
    """The largest difference; infinite where shapes differ or one is no number."""
    relative: float
    """The same as a share of the reference's largest number; where that is 0, the difference itself."""
    limit: float
    """What is allowed."""
    worst: bool
    """Whether the case is one that frameworks do differently."""

    @property
    def equal(self) -> bool:
        """Within the limit."""
        return self.relative <= self.limit


def measure(framework: Framework, operators: list[Operator] | None = None) -> Results:
    """The results of every operator (or of those given) in a framework. One that does not run is told, and no more."""
    found: Results = {}
    for one in operators if operators is not None else table():
        try:
            found[one.name] = measure_one(framework, one)
            framework.synchronise()  # what is left over would be computed, by Jittor compiled, with the next
        except Exception as error:  # noqa: BLE001 - whatever a framework says of its own operation
            found[one.name] = {FAILED: np.array(reason(error))}
        if FAILED in found[one.name]:
            gc.collect()  # Jittor would compute again, with the next, what something still holds
    return found


def reason(error: BaseException) -> str:
    """Why an operator does not run: the first line of what the framework gives as its reason, else of its message."""
    text = _COLOURS.sub("", str(error)).strip()
    given = re.split(r"[Rr]eason: *", text)[-1].strip() or text
    line = _LOGGED.sub("", given.splitlines()[0] if given else "").strip()
    said = f"{type(error).__name__}: {line}" if line else type(error).__name__
    return said if len(said) <= LONGEST else said[: LONGEST - 1] + "…"


def measure_one(framework: Framework, operator: Operator) -> dict[str, Array]:
    """The results of one operator."""
    real = {name for name, value in operator.inputs.items() if value.dtype.kind == "f"} - set(operator.changed)
    held: dict[str, Tensor] = {}
    for name, value in operator.inputs.items():
        whole = value.dtype.kind != "f"
        held[name] = value if whole else framework.weight(value, trainable=name in real)
    found = operator.compute(framework, held)
    results: dict[str, Tensor] = found if isinstance(found, dict) else {"output": found}
    output = results["output"]
    upstream = np.random.RandomState(7).standard_normal(tuple(int(size) for size in output.shape))
    weights = {name: held[name] for name in operator.inputs if name in real}
    gradients = framework.gradients((output * framework.tensor(upstream)).sum(), weights) if weights else {}
    results |= {f"gradient of {name}": value for name, value in gradients.items()}
    results |= {name: held[name] for name in operator.changed}
    return {name: framework.array(value) for name, value in results.items()}


def compare(reference: Results, other: Results, operators: list[Operator] | None = None) -> list[Difference]:
    """Both frameworks' results, row by row; of an operator that does not run in one of them one, infinitely far.

    Raises KeyError when `other` lacks one.
    """
    rows = []
    for operator in operators if operators is not None else table():
        if FAILED in reference[operator.name] or FAILED in other[operator.name]:
            apart = float("inf")
            rows.append(Difference(operator.name, FAILED, apart, apart, operator.limit, operator.worst))
            continue
        for result, expected in reference[operator.name].items():
            absolute, relative = _apart(expected, other[operator.name][result])
            rows.append(Difference(operator.name, result, absolute, relative, operator.limit, operator.worst))
    return rows


def _apart(expected: Array, found: Array) -> tuple[float, float]:
    if expected.shape != found.shape or not np.isfinite(found).all():
        return float("inf"), float("inf")
    if not expected.size:
        return 0.0, 0.0
    difference = float(np.abs(expected.astype(np.float64) - found).max())
    largest = float(np.abs(expected).max())
    return difference, difference / largest if largest > NOTHING else difference


@dataclass(slots=True)
class _Draw:
    own: np.random.RandomState = field(default_factory=lambda: np.random.RandomState(0))

    def normal(self, *shape: int) -> Array:
        return self.own.standard_normal(shape).astype(np.float32)

    def uniform(self, low: float, high: float, *shape: int) -> Array:
        return self.own.uniform(low, high, shape).astype(np.float32)


def table() -> list[Operator]:
    """All operators, the same numbers each time."""
    draw = _Draw()
    return [*_layers(draw), *_norms(draw), *_pictures(draw), *_taking(draw), *_elements(draw), *_ties(), *_boxes(draw)]


def _layers(draw: _Draw) -> list[Operator]:
    def conv(stride: int, padding: int) -> Compute:
        return lambda f, x: f.conv2d(x["x"], x["weight"], stride=stride, padding=padding)

    x = draw.normal(2, 16, 12, 12)
    return [
        Operator("convolution 3×3", {"x": x, "weight": draw.normal(8, 16, 3, 3)}, conv(1, 1)),
        Operator("convolution 3×3, stride 2", {"x": x, "weight": draw.normal(8, 16, 3, 3)}, conv(2, 1)),
        Operator("convolution 1×1", {"x": x, "weight": draw.normal(8, 16, 1, 1)}, conv(1, 0)),
        Operator(
            "linear layer",
            {"x": draw.normal(2, 10, 16), "weight": draw.normal(8, 16), "bias": draw.normal(8)},
            lambda f, x: f.linear(x["x"], x["weight"], x["bias"]),
        ),
        Operator(
            "attention",
            {name: draw.normal(2, 2, n, 8) for name, n in (("query", 9), ("key", 11), ("value", 11))},
            lambda f, x: f.matmul(
                f.softmax(f.matmul(x["query"], x["key"].permute(0, 1, 3, 2)) * 8**-0.5), x["value"]
            ),
        ),
        Operator(
            "attention where most is hidden",
            {"scores": draw.normal(2, 2, 9, 11), "value": draw.normal(2, 2, 11, 8)},
            lambda f, x: f.matmul(f.softmax(x["scores"] + f.tensor(_mask(9, 11))), x["value"]),
            worst=True,
        ),
    ]  # fmt: skip


def _mask(rows: int, columns: int) -> Array:
    mask = np.full((1, 1, rows, columns), -1e9, np.float32)
    mask[..., :2] = 0
    return mask


def _norms(draw: _Draw) -> list[Operator]:
    def batch_norm(training: bool) -> Compute:
        return lambda f, x: f.batch_norm(
            x["x"], x["weight"], x["bias"], x["running mean"], x["running variance"],
            training=training, momentum=0.1, eps=1e-5,
        )  # fmt: skip

    def norm(name: str, x: Array, *, training: bool = True, **more: object) -> Operator:
        c = x.shape[1]
        inputs = {"x": x, "weight": draw.uniform(0.5, 1.5, c), "bias": draw.normal(c)}
        inputs |= {"running mean": draw.normal(c), "running variance": draw.uniform(0.5, 1.5, c)}
        return Operator(name, inputs, batch_norm(training), ("running mean", "running variance"), **more)  # type: ignore[arg-type]

    def layer(name: str, x: Array, **more: object) -> Operator:
        inputs = {"x": x, "weight": draw.uniform(0.5, 1.5, x.shape[-1]), "bias": draw.normal(x.shape[-1])}
        compute: Compute = lambda f, x: f.layer_norm(x["x"], x["weight"], x["bias"], eps=1e-5)  # noqa: E731
        return Operator(name, inputs, compute, **more)  # type: ignore[arg-type]

    return [
        norm("batch norm, training", draw.normal(2, 8, 6, 6), limit=5e-6),
        norm("batch norm, training, one image", draw.normal(1, 8, 5, 5), limit=5e-6, worst=True),
        norm(
            "batch norm, training, mean 10 and deviation 0.1", draw.normal(1, 8, 5, 5) * 0.1 + 10,
            limit=2e-4, worst=True,
        ),
        norm("batch norm, evaluating", draw.normal(2, 8, 6, 6), training=False, limit=5e-6),
        Operator(
            "batch norm, one image, to tokens",
            {"x": draw.normal(1, 8, 6, 6), "weight": draw.uniform(0.5, 1.5, 8), "bias": draw.normal(8)},
            _normalised_tokens, limit=5e-6, worst=True,
        ),
        layer("layer norm", draw.normal(2, 9, 32), limit=5e-6),
        layer("layer norm, mean 10 and deviation 0.1", draw.normal(2, 9, 32) * 0.1 + 10, limit=2e-4, worst=True),
    ]  # fmt: skip


def _normalised_tokens(f: Framework, x: dict[str, Tensor]) -> Tensor:
    from detui.engine.backends.parity.layers import to_tokens

    mean, variance = (f.weight(np.full(8, value, np.float32), trainable=False) for value in (0, 1))
    maps = f.batch_norm(x["x"], x["weight"], x["bias"], mean, variance, training=True, momentum=0.1, eps=1e-5)
    tokens = to_tokens(maps)
    return f.concat([tokens, tokens * 2], 1)


def _pictures(draw: _Draw) -> list[Operator]:
    edges = [[-1, -1], [1, 1], [-1.2, 0.3], [0, 0], [1, -1], [0.999, 0.5], [-3, 3], [5, 5]]
    sample: Compute = lambda f, x: f.grid_sample(x["x"], x["grid"])  # noqa: E731
    return [
        Operator("maximum over 3×3", {"x": draw.normal(2, 4, 9, 9)}, lambda f, x: f.max_pool(x["x"])),
        Operator("mean over 2×2", {"x": draw.normal(2, 4, 8, 8)}, lambda f, x: f.average_pool(x["x"])),
        Operator(
            "mean over 2×2, odd edges", {"x": draw.normal(2, 4, 7, 9)}, lambda f, x: f.average_pool(x["x"]), worst=True
        ),
        Operator("doubling", {"x": draw.normal(2, 4, 5, 6)}, lambda f, x: f.double(x["x"])),
        Operator(
            "bilinear samples", {"x": draw.normal(2, 4, 7, 9), "grid": draw.uniform(-1.3, 1.3, 2, 10, 3, 2)}, sample,
            limit=1e-5,
        ),
        Operator(
            "bilinear samples at edges and outside",
            {"x": draw.normal(1, 3, 5, 7), "grid": np.array(edges, np.float32).reshape(1, 8, 1, 2)},
            sample, limit=1e-5, worst=True,
        ),
    ]  # fmt: skip


def _taking(draw: _Draw) -> list[Operator]:
    return [
        Operator(
            "rows of a table, one twice", {"table": draw.normal(6, 8), "rows": np.array([[1, 2, 2], [5, 0, 1]])},
            lambda f, x: f.take_rows(x["table"], x["rows"]),
        ),
        Operator(
            "tokens of each image", {"x": draw.normal(2, 7, 5), "tokens": np.array([[3, 0, 6], [1, 1, 2]])},
            lambda f, x: f.take_tokens(x["x"], x["tokens"]),
        ),
        Operator(
            "single tokens", {"x": draw.normal(2, 7, 4), "images": np.array([0, 1, 1]), "tokens": np.array([3, 0, 3])},
            lambda f, x: f.take_pairs(x["x"], x["images"], x["tokens"]),
        ),
        Operator(
            "one behind the other", {"a": draw.normal(2, 3, 4), "b": draw.normal(2, 2, 4)},
            lambda f, x: f.concat([x["a"], x["b"]], 1),
        ),
        Operator("sum of the last axis", {"x": draw.normal(2, 3, 50)}, lambda f, x: f.sum_last(x["x"])),
    ]  # fmt: skip


def _elements(draw: _Draw) -> list[Operator]:
    x = draw.normal(4, 50) * 3
    return [
        Operator("ReLU", {"x": x}, lambda f, x: f.relu(x["x"])),
        Operator("SiLU", {"x": x}, lambda f, x: f.silu(x["x"])),
        Operator("GELU", {"x": x}, lambda f, x: f.gelu(x["x"])),
        Operator("sigmoid", {"x": x * 3}, lambda f, x: f.sigmoid(x["x"])),
        Operator("softmax", {"x": x}, lambda f, x: f.softmax(x["x"])),
        Operator("logarithm", {"x": draw.uniform(1e-5, 2, 4, 50)}, lambda f, x: f.log(x["x"])),
        Operator("absolute value", {"x": x}, lambda f, x: f.absolute(x["x"])),
        Operator("maximum of two", {"a": x, "b": draw.normal(4, 50)}, lambda f, x: f.maximum(x["a"], x["b"])),
        Operator("minimum of two", {"a": x, "b": draw.normal(4, 50)}, lambda f, x: f.minimum(x["a"], x["b"])),
        Operator("bounds", {"x": x}, lambda f, x: f.clamp(x["x"], -1.0, 2.0)),
        Operator(
            "cross entropy", {"x": x * 3, "aim": draw.uniform(0, 1, 4, 50)},
            lambda f, x: f.cross_entropy(x["x"], f.detach(x["aim"])),
        ),
        Operator("logit of boxes", {"x": draw.uniform(0.01, 0.99, 4, 20)}, lambda f, x: logit(f, x["x"]), limit=5e-6),
    ]  # fmt: skip


def _ties() -> list[Operator]:
    """Where a gradient could go either way."""
    tied = np.array([[-1, 0, 1, 2]], np.float32)
    pooled = np.zeros((1, 1, 5, 5), np.float32)
    return [
        Operator("ReLU at 0", {"x": tied}, lambda f, x: f.relu(x["x"]), worst=True),
        Operator("absolute value at 0", {"x": tied}, lambda f, x: f.absolute(x["x"]), worst=True),
        Operator("maximum of equals", {"a": tied, "b": tied}, lambda f, x: f.maximum(x["a"], x["b"]), worst=True),
        Operator("minimum of equals", {"a": tied, "b": tied}, lambda f, x: f.minimum(x["a"], x["b"]), worst=True),
        Operator("bounds that are met", {"x": tied}, lambda f, x: f.clamp(x["x"], 0.0, 1.0), worst=True),
        Operator("maximum over 3×3 of zeros", {"x": pooled}, lambda f, x: f.max_pool(x["x"]), worst=True),
    ]


def _boxes(draw: _Draw) -> list[Operator]:
    def pairs(f: Framework, x: dict[str, Tensor]) -> Tensor:
        overlap, generalised = paired_overlaps(f, x["boxes"], x["others"])
        return f.concat([overlap, generalised], 0)

    first = np.concatenate([draw.uniform(0.3, 0.7, 20, 2), draw.uniform(0.05, 0.4, 20, 2)], 1)
    second = np.concatenate([draw.uniform(0.3, 0.7, 20, 2), draw.uniform(0.05, 0.4, 20, 2)], 1)
    same = np.array([[0.5, 0.5, 0.25, 0.25]] * 2, np.float32)
    return [
        Operator("overlaps of boxes", {"boxes": first, "others": second}, pairs, limit=5e-6),
        Operator("overlaps of equal boxes", {"boxes": same, "others": same.copy()}, pairs, limit=5e-6, worst=True),
    ]


def flat(results: Mapping[str, Mapping[str, Array]]) -> dict[str, Array]:
    """Results as one mapping, to be stored with `numpy.savez`."""
    return {f"{operator}|{result}": value for operator, found in results.items() for result, value in found.items()}


def unflat(stored: Mapping[str, Array]) -> Results:
    """What `flat` gave, as results."""
    found: Results = {}
    for name in stored:
        operator, _, result = name.partition("|")
        found.setdefault(operator, {})[result] = stored[name]
    return found
