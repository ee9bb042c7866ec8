"""What the arms' models are made of, side by side: as they were built, and as they were measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from detui.engine.analysis.choice import finite
from detui.engine.record.facts import BUILT, FUSION_PARTS, LEVELS, PARTS, SPEED, Measured, Source
from detui.engine.record.results import Results
from detui.engine.record.text import Table, code, count, plain, size

Form = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class _Row:
    """One component that is a number."""

    label: str
    metric: str
    """As in the runs' cost, and as claims call it."""
    form: Form
    ratio: bool = True
    """Whether a ratio of it says something."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Arms that have the same model."""

    arms: tuple[str, ...]
    model: Mapping[str, Any]
    """As `begin` tells it; empty before a run has begun."""


class Components:
    """The table of models, in one language: components by arm, arms with the same model in one column."""

    def __init__(self, results: Results) -> None:
        self.results, self.facts, self.words = results, results.facts, results.words
        self._groups = self._grouped()

    def measured(self) -> bool:
        """Whether any run has said how its model is made up, and not only how large it is."""
        return any(group.model.get("parameters_by_part") for group in self._groups)

    def table(self) -> Table:
        """Component × model, with the ratio to the first arm on the same data, claims in a column apart, sources.

        A number that several arms or seeds measured stands as its range.
        """
        words, heads = self.words, []
        for group in self._groups:
            names = ", ".join(map(code, group.arms))
            reference = self._reference(group)
            heads += [names] if group is reference else [names, f"÷ {code(reference.arms[0])}"]
        head = [words("component"), *heads, words("claimed"), words("source")]
        rows = [*self._named(), *(self._cells(row) for row in self._rows())]
        return Table(head, rows, frozenset(range(1, len(head) - 2)))

    def notes(self) -> list[str]:
        """How the numbers are to be read, and under what settings the speed was measured: one sentence or line each."""
        words, told = self.words, self._told()
        lines = [words("components built")]
        if any("model/latency" in run.cost for run in self.facts.runs):
            lines.append(words("components measured"))
        if "model/gflops" in told and not self.results.counted:
            lines.append(words("components framework", plain(self.facts.info.get("backend") or "framework")))
        settings: dict[str, list[str]] = {}
        for run in self.facts.runs:
            if run.speed is not None:
                settings.setdefault(self.results.speed_setting(run), []).append(code(run.name))
        return [*lines, *(f"{', '.join(names)}: {setting}" for setting, names in settings.items())]

    def _grouped(self) -> list[_Group]:
        found: dict[str, tuple[list[str], Mapping[str, Any]]] = {}
        for arm in self.facts.arms:
            models = (run.begin.get("model") or {} for run in self.facts.of(arm))
            model: Mapping[str, Any] = next((model for model in models if model), {})
            alike = [model.get(name) for name in _ALIKE]
            found.setdefault(repr(alike), ([], model))[0].append(arm)
        return [_Group(tuple(arms), model) for arms, model in found.values()]

    def _reference(self, group: _Group) -> _Group:
        """The model that a model is set against."""
        first = self.facts.reference(group.arms[0])
        return next(one for one in self._groups if first in one.arms)

    def _told(self) -> set[str]:
        return {name for run in self.facts.runs for name in run.cost}

    def _rows(self) -> Iterator[_Row]:
        words, told = self.words, self._told()
        fusion = [part for part in FUSION_PARTS if f"model/parameters_{part}" in told]
        if not fusion:
            yield _Row(words("backbone convolutions"), "model/backbone_convolutions", count)
            for level in LEVELS:
                yield _Row(words("channels at", level, 2 ** int(level[1:])), f"model/channels_{level}", count)
        yield _Row(words("params"), "model/parameters", count)
        for part in fusion or PARTS:
            yield _Row(words(f"params {part}"), f"model/parameters_{part}", count)
        if "model/gmacs" in told:
            yield _Row(words("gmacs"), "model/gmacs", _billions)
        if "model/gflops" in told:
            # It leaves out layers that the framework does not know: a ratio of it would compare other things.
            yield _Row(self.results.gflops(), "model/gflops", _billions, ratio=self.results.counted)
        if "model/latency" in told or self.facts.info.get("measure_speed"):
            yield _Row(words("inference memory"), "model/memory", size)
            yield _Row(words("latency"), "model/latency", lambda seconds: f"{1000 * seconds:.3g} ms")
        on_gpu = "cost/gpu_memory" in told
        yield _Row(words("training memory", words("gpu memory" if on_gpu else "host memory")),
                   "cost/gpu_memory" if on_gpu else "cost/host_memory", size)  # fmt: skip

    def _named(self) -> Iterator[list[str]]:
        """The rows of names: of the model, and of its backbone."""
        for fact, title in (("name", "model"), ("backbone", "backbone")):
            cells: list[str] = []
            for group in self._groups:
                told = group.model.get(fact)
                absent = self.words("not available" if group.model else "missing")
                cells += [code(told) if told else absent]
                cells += [] if group is self._reference(group) else [""]
            sources = [source for group in self._groups if group.model.get(fact) for source in self._begins(group)]
            yield [self.words(title), *cells, "", self._marks(sources)]

    def _begins(self, group: _Group) -> list[Source]:
        """Where the `begin` lines of a model's arms stand."""
        points = (run.cost.get("model/parameters") for arm in group.arms for run in self.facts.of(arm))
        return [point.source for point in points if point is not None]

    def _cells(self, row: _Row) -> list[str]:
        points = {group.arms: self._points(group, row.metric) for group in self._groups}
        cells: list[str] = []
        for group in self._groups:
            own, reference = points[group.arms], self._reference(group)
            cells.append(self._range(own, row, group))
            if group is not reference:
                cells.append(_ratio(own, points[reference.arms]) if row.ratio else "")
        sources = [point.source for found in points.values() for point in found]
        return [row.label, *cells, self._claims(row), self._marks(sources)]

    def _points(self, group: _Group, metric: str) -> list[Measured]:
        """What runs of a model's arms say: of the training's memory finished ones alone, of the model all."""
        runs = [run for arm in group.arms for run in self.facts.of(arm)]
        return [run.cost[metric] for run in runs if metric in run.cost and (run.finished or metric in (*BUILT, *SPEED))]

    def _range(self, points: Sequence[Measured], row: _Row, group: _Group) -> str:
        if not points:
            return self.words("not available" if group.model and row.metric in BUILT else "missing")
        values = [point.value for point in points]
        low, high = row.form(min(values)), row.form(max(values))
        return low if low == high else f"{low} – {high}"

    def _marks(self, sources: Sequence[Source]) -> str:
        return self.results.ledger.cite_all(sources, self.words("said components"))

    def _claims(self, row: _Row) -> str:
        """What documents state of a component, arm by arm, with the ratio of what they state."""
        told = []
        for claim in self.facts.info.get("claims") or ():
            arm, value = claim.get("arm"), finite(claim.get("value"))
            if claim["metric"] != row.metric or arm is None or value is None:
                continue
            against = self._claimed_of_reference(row.metric, str(arm), claim.get("data_set"))
            ratio = f" ({value / against:.2f}×)" if row.ratio and against else ""
            told.append(f"{code(arm)}: {row.form(value)}{ratio}")
        return "; ".join(dict.fromkeys(told))

    def _claimed_of_reference(self, metric: str, arm: str, data_set: str | None) -> float | None:
        """What is stated of the arm that an arm is set against; None for that arm itself."""
        facts = self.facts
        resolved = next((one for one in facts.arms if arm in (one, facts.base_of(one))), None)
        if resolved is None or (first := facts.reference(resolved)) == resolved:
            return None
        for claim in facts.info.get("claims") or ():
            about = claim.get("arm") in (first, facts.base_of(first)) and claim.get("data_set") == data_set
            if claim["metric"] == metric and about:
                return finite(claim.get("value"))
        return None


_ALIKE = ("name", "backbone", "parameters", "parameters_by_part", "backbone_convolutions", "levels")
"""Facts of `begin` that are the same where the model is."""


def _ratio(values: Sequence[Measured], reference: Sequence[Measured]) -> str:
    if not values or not reference:
        return ""
    first = fmean(point.value for point in reference)
    return f"{fmean(point.value for point in values) / first:.2f}×" if first else ""


def _billions(value: float) -> str:
    return f"{value:.4g}"
