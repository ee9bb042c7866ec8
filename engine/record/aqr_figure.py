"""AQR by iteration: weights, relative change, and map maxima and gain against their bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from detui.engine.record.aqr import Column, change_columns, map_columns, weight_columns
from detui.engine.record.facts import ExperimentFacts, RunFacts
from detui.engine.record.share_figure import POINTS, thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SENSORS = {"lidar": "LiDAR", "camera": "camera"}
Lines = Mapping[str, Mapping[str, tuple[list[float], list[float]]]]
"""Quantity → run → iterations and values."""

Panel = tuple[str, str, Sequence[str]]
"""A panel's title, its axis, and the quantities in it: the first is drawn whole, others thin."""


def _weights() -> Iterator[tuple[str, Column]]:
    for sensor in SENSORS:
        for column, of in zip(weight_columns(sensor), ("mean", "std", "min", "max"), strict=True):
            yield f"{sensor} {of}", column


def _changes() -> Iterator[tuple[str, Column]]:
    for sensor in SENSORS:
        _, whole, active, *_ = change_columns(sensor)
        yield from ((f"{sensor} all", whole), (f"{sensor} active", active))


def _bounds() -> Iterator[tuple[str, Column]]:
    for sensor in SENSORS:
        clamped, raw = map_columns(sensor)
        yield from ((f"{sensor} map", clamped), (f"{sensor} raw", raw))
        for end in ("min", "max"):
            yield f"{sensor} {end}", _column(f"aqr/{sensor}_gain_{end}")
    yield from ((name, _column(f"aqr/{name}")) for name in ("clamp", "gain_low", "gain_high"))


def _column(name: str) -> Column:
    return Column("", (name,), str)


FIGURES: Mapping[str, Callable[[], Iterator[tuple[str, Column]]]] = {
    "aqr_weights": _weights,
    "aqr_changes": _changes,
    "aqr_bounds": _bounds,
}
"""Each figure's quantities, in the record's order."""


def inputs(name: str, facts: ExperimentFacts) -> dict[str, Any]:
    """What a figure is drawn from: its quantities, and the bands that goals state; {} where there is no line in it."""
    found = {key: {run.name: line for run in facts.runs if (line := _line(run, column))}
             for key, column in FIGURES[name]()}  # fmt: skip
    if all(len(steps) < 2 for of in found.values() for steps, _ in of.values()):
        return {}
    drawn = {metric: key for key, column in FIGURES[name]() for metric in column.names}
    stated = [goal for goal in facts.info.get("goals") or () if goal["metric"] in drawn]
    bands = [[drawn[goal["metric"]], goal.get("arm"), goal["at_least"], goal["at_most"]] for goal in stated
             if goal.get("at_least") is not None and goal.get("at_most") is not None]  # fmt: skip
    return {"lines": {key: of for key, of in found.items() if of}, "bands": bands}


def _line(run: RunFacts, column: Column) -> tuple[list[float], list[float]] | None:
    """A quantity of a run; of many samples some are left out, and none averaged: that would hide the ends."""
    samples = next((run.statistics[name] for name in column.names if name in run.statistics), None)
    if samples is None:
        return None
    places = thinned(len(samples.steps), 4 * POINTS)
    return [float(samples.steps[at]) for at in places], [samples.values[at] for at in places]


def draw(
    name: str, given: Mapping[str, Any], styles: Mapping[str, Mapping[str, Any]], arms: Mapping[str, str],
    panels: Callable[..., Any],
) -> Figure:  # fmt: skip
    """Draw what `inputs` gave. `styles`: run → its line; `arms`: arm → its colour; `panels`: makes the axes."""
    lines: Lines = given["lines"]
    drawing = {"aqr_weights": _draw_weights, "aqr_changes": _draw_changes, "aqr_bounds": _draw_bounds}[name]
    figure: Figure = drawing(lines, given["bands"], styles, arms, panels)
    return figure


def _plot(axis: Axes, of: Mapping[str, Any], styles: Mapping[str, Mapping[str, Any]], **changes: Any) -> None:
    for run, (steps, values) in of.items():
        alone = {"marker": "o", "markersize": 3} if len(steps) == 1 else {}
        axis.plot(steps, values, **{"linewidth": 1.3, **styles[run], **alone, **changes})


def _main(axis: Axes, of: Mapping[str, Any], styles: Mapping[str, Mapping[str, Any]]) -> None:
    """Plot what a panel is about; an empty one must not look like a forgotten one."""
    _plot(axis, of, styles)
    if not of:
        axis.text(0.5, 0.5, "not told", ha="center", color="#666666", fontsize=8, transform=axis.transAxes)


def _draw_weights(lines: Lines, _: Any, styles: Any, __: Any, panels: Callable[..., Any]) -> Figure:
    figure, axes = panels(2)
    for axis, (sensor, called) in zip(axes, SENSORS.items(), strict=True):
        spreads = lines.get(f"{sensor} std", {})
        for run, (steps, means) in lines.get(f"{sensor} mean", {}).items():
            if run in spreads and len(spreads[run][1]) == len(means):
                low, high = ([m + sign * s for m, s in zip(means, spreads[run][1], strict=True)] for sign in (-1, 1))
                axis.fill_between(steps, low, high, color=styles[run]["color"], alpha=0.15, linewidth=0)
        _main(axis, lines.get(f"{sensor} mean", {}), styles)
        for end in ("min", "max"):
            _plot(axis, lines.get(f"{sensor} {end}", {}), styles, linewidth=0.6, alpha=0.7)
        axis.set_title(f"{called} weights", fontsize=10)
        axis.set(xlabel="iteration", ylim=(0, 1.02))
    axes[0].set_ylabel("weight of a query")
    return figure  # type: ignore[no-any-return]


def _draw_changes(lines: Lines, bands: Any, styles: Any, arms: Any, panels: Callable[..., Any]) -> Figure:
    counted = [name for name in ("all", "active") if any(f"{sensor} {name}" in lines for sensor in SENSORS)]
    figure, axes = panels(len(counted), 2, height=3.0)
    cells = [(sensor, name) for sensor in SENSORS for name in counted]
    for axis, (sensor, name) in zip(axes, cells, strict=True):
        own = [band for band in bands if band[0] == f"{sensor} {name}"]
        for place, (_, arm, low, high) in enumerate(own):
            # Bands of several arms overlap: each is filled faintly, and its ends are drawn.
            colour = arms.get(arm, "#666666")
            axis.axhspan(100 * low, 100 * high, color=colour, alpha=0.12, linewidth=0)
            for end in (low, high):
                axis.axhline(100 * end, color=colour, linewidth=0.7, linestyle=(place, (4, 4)))
        of = {run: (steps, [100 * value for value in values])
              for run, (steps, values) in lines.get(f"{sensor} {name}", {}).items()}  # fmt: skip
        _main(axis, of, styles)
        axis.set_title(f"{SENSORS[sensor]} features, {'all' if name == 'all' else 'active ones'}", fontsize=10)
        axis.set_xlabel("iteration")
        tops = [100 * band[3] for band in own]
        axis.set_ylim(0, 1.08 * max([value for _, values in of.values() for value in values] + tops, default=1.0))
    for row in range(2):
        axes[row * len(counted)].set_ylabel("relative change (percent)")
    return figure  # type: ignore[no-any-return]


def _draw_bounds(lines: Lines, _: Any, styles: Any, __: Any, panels: Callable[..., Any]) -> Figure:
    rows = [row for row in ("map", "gain") if any(f"{one} {'map' if row == 'map' else 'max'}" in lines
                                                  for one in SENSORS)]  # fmt: skip
    figure, axes = panels(2, len(rows), height=3.0)
    limit = {"linewidth": 0.8, "linestyle": (0, (2, 2))}
    for axis, (row, sensor) in zip(axes, [(row, sensor) for row in rows for sensor in SENSORS], strict=True):
        if row == "map":
            _main(axis, lines.get(f"{sensor} map", {}), styles)
            _plot(axis, lines.get(f"{sensor} raw", {}), styles, linewidth=0.6, alpha=0.7)
            _plot(axis, lines.get("clamp", {}), styles, **limit)
            axis.set_ylim(bottom=0)
        else:
            for end in ("min", "max"):
                _plot(axis, lines.get(f"{sensor} {end}", {}), styles)
            for end in ("gain_low", "gain_high"):
                _plot(axis, lines.get(end, {}), styles, **limit)
        axis.set_title(f"{SENSORS[sensor]}: {'largest value of the map' if row == 'map' else 'gain'}", fontsize=10)
        axis.set_xlabel("iteration")
    return figure  # type: ignore[no-any-return]
