"""What AQR did, by iteration: weights, maps, modulation, fractions, gradient.

Names are those of the backend `torch` (docs/fusion.md); a fork of CMT prints the same quantities, which the backend
`command` and `detui import` name after the view ("bev", "perspective") instead of the sensor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from detui.engine.record.by_iteration import Form, Group, at_step, groups, mean_of, shown, sources
from detui.engine.record.facts import RunFacts
from detui.engine.record.results import Results
from detui.engine.record.text import Table, percent

VIEW = {"lidar": "bev", "camera": "perspective"}
"""What each sensor's features are a map of, as the fork names it."""


@dataclass(frozen=True, slots=True)
class Column:
    """One quantity in a table."""

    word: str
    """The key of its title."""
    names: tuple[str, ...]
    """The statistic's names, of which a training has one."""
    form: Form

    def at(self, run: RunFacts, step: int) -> tuple[str, float] | None:
        """The name and value that a run reported at this iteration."""
        for name in self.names:
            if (value := at_step(run, name, step)) is not None:
                return name, value
        return None

    def told(self, run: RunFacts) -> bool:
        """Whether a run ever reported it."""
        return any(name in run.statistics for name in self.names)


def _fixed(digits: int) -> Form:
    return lambda value: f"{value:.{digits}f}"


def _percent(value: float) -> str:
    return percent(value, 2)


def weight_columns(sensor: str) -> list[Column]:
    """Mean, spread and ends of a sensor's weights."""
    return [Column(f"aqr weight {of}", (f"aqr/{sensor}_weight_{of}",), _fixed(4))
            for of in ("mean", "std", "min", "max")]  # fmt: skip


def map_columns(sensor: str) -> list[Column]:
    """The largest value of a sensor's map, clamped and raw."""
    view = VIEW[sensor]
    return [Column(f"aqr {sensor} map", (f"aqr/{sensor}_map_max", f"aqr/{view}_map_max"), _fixed(3)),
            Column(f"aqr {sensor} raw map", (f"aqr/{sensor}_map_raw_max",), _fixed(3))]  # fmt: skip


def change_columns(sensor: str) -> list[Column]:
    """How far a sensor's features were changed."""
    view = VIEW[sensor]
    return [
        Column("aqr mean change", (f"aqr/{sensor}_mean_change", f"aqr/{view}_change_mean"), _fixed(4)),
        Column("aqr change all", (f"aqr/{sensor}_relative_change", f"aqr/{view}_change_relative"), _percent),
        Column("aqr change active", (f"aqr/{sensor}_relative_change_active",), _percent),
        Column("aqr active", (f"aqr/{sensor}_active_fraction",), percent),
        Column("aqr max change", (f"aqr/{sensor}_max_change", f"aqr/{view}_change_max"), _fixed(2)),
    ]


def fraction_columns() -> list[Column]:
    """Zero and clamped parts of the maps, queries that are not drawn, and the gradient through the weights."""
    of_maps = [Column(f"aqr {sensor} {kind}", (f"aqr/{sensor}_{kind}_fraction",), percent)
               for sensor in VIEW for kind in ("zero", "clamped")]  # fmt: skip
    of_queries = [Column(f"aqr {kind}", (f"aqr/{kind}_fraction",), percent) for kind in ("padding", "unseen")]
    return [*of_maps, *of_queries, Column("aqr gradient", ("aqr/gradient_norm",), lambda value: f"{value:.3g}")]


class AqrTables:
    """The tables by iteration, in one language."""

    def __init__(self, results: Results) -> None:
        self.results, self.facts, self.words = results, results.facts, results.words

    @property
    def told(self) -> bool:
        """Whether any training reported what AQR did."""
        return any(map(_has_aqr, self.facts.runs))

    def weights(self, sensor: str) -> Table:
        """The weights of a sensor ("lidar", "camera")."""
        return self._table(weight_columns(sensor))

    def maps(self) -> Table:
        """The largest values of both maps; with the clamp, where that grows."""
        columns = [column for sensor in VIEW for column in map_columns(sensor)]
        grown = any(len(set(of.values)) > 1 for run in self.facts.runs if (of := run.statistics.get("aqr/clamp")))
        return self._table([*columns, *([Column("aqr clamp then", ("aqr/clamp",), _fixed(3))] if grown else [])])

    def changes(self, sensor: str) -> Table:
        """The modulation of a sensor's features."""
        return self._table(change_columns(sensor))

    def fractions(self) -> Table:
        """What was drawn, clamped and left out, and the gradient norm."""
        return self._table(fraction_columns())

    def _columns(self) -> list[Column]:
        kinds = (weight_columns, map_columns, change_columns)
        return [*(column for sensor in VIEW for kind in kinds for column in kind(sensor)), *fraction_columns()]

    def names(self) -> set[str]:
        """The statistics that these tables show."""
        return {name for column in self._columns() for name in column.names}

    def untold(self) -> str:
        """The quantities that no training reported: "active features (%); …"; "" where there are none."""
        absent = [column.word for column in self._columns() if not any(map(column.told, self.facts.runs))]
        return "; ".join(dict.fromkeys(map(self.words, absent)))

    @property
    def foreign(self) -> bool:
        """Whether another program than detui's own model reported it: what exactly it counts is that program's."""
        return self.facts.info.get("backend") != "torch"

    def ranks(self) -> bool:
        """Whether several processes reported their own numbers."""
        return any("/rank_min" in name for run in self.facts.runs for name in run.statistics)

    def _table(self, columns: Sequence[Column]) -> Table:
        kept = [column for column in columns if any(map(column.told, self.facts.runs))]
        words, rows = self.words, []
        head = [words("run"), words("iteration"), *(words(column.word) for column in kept), words("source")]
        for group, steps in self._steps(kept):
            mark = self.results.ledger.cite_all(sources(self.facts, group.runs), words("said aqr"))
            rows += [[group.title, str(step), *(_cell(group, column, step) for column in kept), mark]
                     for step in steps]  # fmt: skip
        return Table(head, rows if kept else [], frozenset(range(1, len(head) - 1)))

    def _steps(self, columns: Sequence[Column]) -> Iterator[tuple[Group, list[int]]]:
        """The groups and the iterations that they are shown at: unfinished runs at those of the finished ones."""
        of_arm: dict[str, list[int]] = {}
        for group in groups(self.facts, self.words, lambda run: any(column.told(run) for column in columns)):
            own = sorted(set.intersection(*(_steps_of(run, columns) for run in group.runs)))
            wanted = of_arm.get(group.arm)
            if group.finished or wanted is None:
                of_arm[group.arm] = steps = shown(own)
            else:
                steps = sorted({step for step in wanted if step in set(own)} | set(own[-1:]))
            yield group, steps


def _steps_of(run: RunFacts, columns: Sequence[Column]) -> set[int]:
    return {step for column in columns for name in column.names if name in run.statistics
            for step in run.statistics[name].steps}  # fmt: skip


def _cell(group: Group, column: Column, step: int) -> str:
    found = [told for run in group.runs if (told := column.at(run, step))]
    if len(found) == 1 and len(group.runs) == 1:
        (run,), (name, value) = group.runs, found[0]
        ends = [at_step(run, f"{name}/rank_{end}", step) for end in ("min", "max")]
        if all(end is not None for end in ends):
            return f"{column.form(value)} [{', '.join(column.form(end) for end in ends if end is not None)}]"
    return mean_of([value for _, value in found], column.form, len(group.runs))


def _has_aqr(run: RunFacts) -> bool:
    return any(name.startswith("aqr/") for name in run.statistics)
