"""Figure of a cost: seconds of a step and of a pass by the size of the pictures, and the ratio to the first arm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from detui.engine.record.facts import ExperimentFacts
from detui.engine.record.numerics import TIMES, cost_of, sides_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Panels = Callable[..., tuple["Figure", list["Axes"]]]


def inputs(facts: ExperimentFacts) -> dict[str, list[list[float]]]:
    """Arm → [side, seconds of a step, of a pass] by side; empty where no cost was measured."""
    if (facts.info.get("record") or {}).get("template") != "numerics":
        return {}
    found: dict[str, list[list[float]]] = {}
    for arm in facts.arms:
        for side in sides_of(facts):
            if cost := cost_of(facts, arm, side)[0]:
                found.setdefault(arm, []).append([side, *(cost[name] for name in TIMES)])
    return found


def draw(times: Mapping[str, list[list[float]]], colours: Mapping[str, str], panels: Panels) -> Figure:
    """A panel of steps, one of passes, one of ratios: of a step full, of a pass dashed with another mark."""
    figure, axes = panels(3, width=3.8, height=3.2)
    reference = {row[0]: row for row in next(iter(times.values()))}
    for arm, rows in times.items():
        sides = [row[0] for row in rows]
        for place in (1, 2):
            axes[place - 1].plot(sides, [1000 * row[place] for row in rows], marker="o", color=colours[arm])
            known = [row for row in rows if row[0] in reference]
            ratios = [row[place] / reference[row[0]][place] for row in known]
            style, mark = ("-", "o") if place == 1 else ("--", "^")
            axes[2].plot([row[0] for row in known], ratios, marker=mark, color=colours[arm], linestyle=style)
    for axis, title in zip(axes, ("training step", "inference", "to the first arm (▲ inference)"), strict=True):
        axis.set_title(title, fontsize=10)
        axis.set(xlabel="side in pixels", xticks=sorted(reference))
        axis.set_ylim(bottom=0)
    axes[0].set_ylabel("milliseconds")
    axes[2].set_ylabel("ratio")
    return figure
