"""The models of a plan side by side: backbone, depth, channels, parameters by part, FLOPs, memory and time of a pass.

What a recipe's documents claim stands in rows of its own, named so. A ratio is to the first model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from detui.tui.language import tr
from detui.tui.output import DASH, number, size, table, width

if TYPE_CHECKING:
    from detui.engine.models import Description
    from detui.engine.planning import Plan
    from detui.engine.recipe.resolve import ResolvedArm
    from detui.engine.recipe.schema import Claim

COLUMNS = 76
"""How wide a table may be: a terminal of 80 columns, indented."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One component."""

    label: str
    cells: Sequence[str]
    """One a model."""
    values: Sequence[float | None] = ()
    """The same as numbers, where a ratio of them says something."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model, and the arms that have it."""

    arms: tuple[ResolvedArm, ...]
    description: Description
    reference: int
    """Number of the model that it is set against: the first on the same data."""

    @property
    def name(self) -> str:
        """The first of its arms, and how many more there are."""
        return self.arms[0].name + (f" +{len(self.arms) - 1}" if len(self.arms) > 1 else "")

    def claimed(self, claims: Sequence[Claim], metric: str) -> float | None:
        """Return what somebody states of one of its arms; None where nobody does."""
        about = (claim.value for arm in self.arms for claim in claims
                 if claim.metric == metric and claim.arm in (arm.of, arm.name)
                 and claim.data_set in (None, arm.data_set))  # fmt: skip
        return next(about, None)


def models(plan: Plan) -> list[Model]:
    """Return the models that are known, in the order of their first arms."""
    found: dict[str, list[ResolvedArm]] = {}
    for arm in plan.arms:
        if arm.name in plan.models:
            found.setdefault(plan.models[arm.name].key, []).append(arm)
    data = [{arm.data_set for arm in arms} for arms in found.values()]
    first = [next(number_ for number_, other in enumerate(data) if other & own) for own in data]
    return [Model(tuple(arms), plan.models[arms[0].name], at) for arms, at in zip(found.values(), first, strict=True)]


def describable(plan: Plan) -> bool:
    """Return whether the recipe's backend can say what its models are made of."""
    return any(plan.recipe.backend.architecture(arm.config) is not None for arm in plan.arms)


def model_lines(plan: Plan, columns: int = COLUMNS) -> list[str]:
    """Return the table, as many as are needed side by side in so many columns, and how the numbers were got."""
    found = models(plan)
    if not found:
        return []
    rows = [row for row in _rows(found, plan.recipe.file.claims) if any(cell != DASH for cell in row.cells)]
    lines: list[str] = []
    for chosen in _fitting(found, rows, columns):
        lines += [*([""] if lines else []), *_table(found, rows, chosen)]
    same = [f"{model.name}: {', '.join(arm.name for arm in model.arms)}" for model in found if len(model.arms) > 1]
    return [*lines, *([""] if same else []), *same, "", *_how(found)]


def missing_models(plan: Plan) -> list[str]:
    """Return the arms whose models nobody has built yet to look at them."""
    return [arm.name for arm in plan.arms if arm.name not in plan.models] if describable(plan) else []


def models_json(plan: Plan) -> list[dict[str, Any]]:
    """Return what the table says, for `--json`."""
    return [{"arms": [arm.name for arm in model.arms], **model.description.facts, "speed": model.description.speed}
            for model in models(plan)]  # fmt: skip


def _rows(found: Sequence[Model], claims: Sequence[Claim]) -> Iterator[_Row]:
    """Yield the components, each as it is, and below it as it is claimed where anybody does."""
    facts = [model.description.facts for model in found]
    speeds = [model.description.speed or {} for model in found]
    yield _Row(tr("classes"), [_text(one.get("classes")) for one in facts])
    yield _Row(tr("input"), [_input(one) for one in facts])
    yield _Row(tr("backbone"), [_text(one.get("backbone")) for one in facts])
    levels = sorted({level for one in facts for level in one.get("levels") or {}})
    sides = {"built": facts, "measured": speeds}
    for component in (*_made_of(levels), *_pass()):
        found_here = [_inside(one, component.keys) for one in sides[component.side]]
        values = [None if one is None else one * component.unit for one in found_here]
        yield _Row(component.label, [_text(one, component.form) for one in values], values)
        told = [model.claimed(claims, component.metric) for model in found]
        if any(one is not None for one in told):
            yield _Row(f"  {tr('claimed')}", [_text(one, component.form) for one in told], told)


@dataclass(frozen=True, slots=True)
class _Component:
    """A number of a model."""

    label: str
    metric: str
    """What claims call it."""
    keys: tuple[str, ...]
    """Where it stands."""
    form: Callable[[float], str] = "{:,.0f}".format
    side: str = "built"
    """"built", or "measured" of a pass."""
    unit: float = 1.0
    """What the number is multiplied by, to be in the unit of claims."""


def _made_of(levels: Sequence[str]) -> Iterator[_Component]:
    yield _Component(tr("convolutions in it"), "model/backbone_convolutions", ("backbone_convolutions",))
    for level in levels:
        label = tr("channels at {level}, stride {stride}", level=level, stride=2 ** int(level[1:]))
        yield _Component(label, f"model/channels_{level}", ("levels", level))
    yield _Component(tr("parameters"), "model/parameters", ("parameters",))
    parts = {
        "backbone": tr("of the backbone"), "neck": tr("of the neck (encoder)"), "head": tr("of the head (decoder)"),
        "cameras": tr("of the camera encoder"), "pillars": tr("of the pillar encoder (LiDAR)"),
        "encoding": tr("of the position encoding"), "aqr": tr("of AQR's weights"), "decoder": tr("of the decoder"),
        "heads": tr("of the heads"), "queries": tr("of the queries"),
    }  # fmt: skip
    for part, label in parts.items():
        yield _Component(f"  {label}", f"model/parameters_{part}", ("parameters_by_part", part))
    yield _Component("GFLOPs", "model/gflops", ("gflops",), number)


def _pass() -> Iterator[_Component]:
    memory, latency = ("memory", "bytes"), ("whole", "median_ms")
    yield _Component(tr("memory of a pass"), "model/memory", memory, size, "measured")
    yield _Component(
        tr("time of a pass"), "model/latency", latency, lambda s: f"{number(1000 * s)} ms", "measured", 1e-3
    )


def _inside(facts: Mapping[str, Any], keys: Sequence[str]) -> float | None:
    inner: Any = facts
    for key in keys:
        inner = inner.get(key) if isinstance(inner, Mapping) else None
    return inner if isinstance(inner, (int, float)) else None


def _text(value: Any, form: Callable[[Any], str] = str) -> str:
    return DASH if value is None else form(value)


def _input(facts: Mapping[str, Any]) -> str:
    if shape := facts.get("input"):
        return "×".join(map(str, shape))
    side, channels = facts.get("imgsz"), facts.get("channels")
    return DASH if side is None else f"{channels}×{side}×{side}"


def _fitting(found: Sequence[Model], rows: Sequence[_Row], columns: int) -> Iterator[list[int]]:
    """Yield the models by number, as many at a time as fit beside the names of the components; at least one.

    Those on other data come in a table of their own.
    """
    labels = max(width(row.label) for row in rows)
    chosen: list[int] = []
    room = columns - labels
    for number_, model in enumerate(found):
        column = [model.name, *(row.cells[number_] for row in rows)]
        beside = number_ != model.reference
        needs = 2 + max(map(width, column)) + (2 + width(tr("ratio")) if beside else 0)
        if chosen and (needs > room or not beside):
            yield chosen
            chosen, room = [], columns - labels
        chosen.append(number_)
        room -= needs
    yield chosen


def _table(found: Sequence[Model], rows: Sequence[_Row], chosen: Sequence[int]) -> list[str]:
    head, body = [""], [[row.label] for row in rows]
    for number_ in chosen:
        beside = number_ != found[number_].reference
        head += [found[number_].name, *([tr("ratio")] if beside else [])]
        for row, cells in zip(rows, body, strict=True):
            cells += [row.cells[number_], *([_ratio(row.values, number_, found)] if beside else [])]
    return table([head, *body], right=range(1, len(head)))


def _ratio(values: Sequence[float | None], number_: int, found: Sequence[Model]) -> str:
    first, value = (values[found[number_].reference], values[number_]) if values else (None, None)
    return f"{value / first:.2f}×" if first and value is not None else ""


def _how(found: Sequence[Model]) -> Iterator[str]:
    """Yield how the numbers were got."""
    if any(number_ != model.reference for number_, model in enumerate(found)):
        firsts = dict.fromkeys(found[model.reference].arms[0].name for model in found)
        yield tr("ratio: to {models}", models=", ".join(firsts))
    built = {f"{name} {version}": None for model in found for name, version in _packages(model).items()}
    yield tr("built without weights, by {packages}", packages=", ".join(built))
    points = {int(told) for model in found if (told := model.description.facts.get("points"))}
    if points:
        yield tr("GFLOPs of one frame, all its cameras, as torch counts them: a multiply-add is 2")
        yield tr("a frame of noise with {points} points", points=", ".join(f"{one:,}" for one in sorted(points)))
    else:
        yield tr("GFLOPs of one picture as torch counts them: a multiply-add is 2")
    speeds = [model.description.speed for model in found if model.description.speed]
    told = {(str(one["device"]["name"]), int(one["threads"]), str(one["precision"]), str(one["memory"]["what"])): None
            for one in speeds}  # fmt: skip
    for device, threads, precision, what in told:
        told_of = (tr("a pass: one frame of noise, random weights, {precision}, no decoding, median;",
                      precision=precision) if points else
                   tr("a pass: one picture of noise, random weights, {precision}, no post-processing, median;",
                      precision=precision))  # fmt: skip
        yield told_of
        yield "  " + tr("on {device}, threads: {threads}; memory: {what}", device=device, threads=threads, what=what)


def _packages(model: Model) -> Mapping[str, str]:
    return model.description.facts.get("packages") or {}
