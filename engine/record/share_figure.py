"""The share of gradient that objects of each size got, over the steps of the training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from detui.engine.record.facts import ExperimentFacts, RunFacts
from detui.engine.record.shares import SIZES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 60
"""Points of a line: means over as many equal stretches of its samples, so that what a batch holds by chance is gone."""


def inputs(facts: ExperimentFacts) -> dict[str, Any]:
    """Run → what its lines are drawn from; empty where nothing was measured."""
    return {run.name: found for run in facts.runs if (found := _lines(run))}


def _lines(run: RunFacts) -> dict[str, tuple[list[float], list[float]]]:
    """Size → steps and shares in percent, each a mean over a stretch of samples."""
    found = {}
    for size in SIZES:
        samples = run.statistics.get(f"gradient/{size}")
        if samples:
            length = -(-len(samples.values) // POINTS)
            starts = range(0, len(samples.values), length)
            steps = [_mean(samples.steps[start : start + length]) for start in starts]
            found[size] = (steps, [100 * _mean(samples.values[start : start + length]) for start in starts])
    return found


def thinned(count: int, most: int) -> list[int]:
    """Places of `most` of `count` samples at most, evenly spread, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return [round(at * (count - 1) / (most - 1)) for at in range(most)]


def _mean(values: Any) -> float:
    return float(sum(values) / len(values))


def draw(lines: Mapping[str, Any], styles: Mapping[str, Mapping[str, Any]], panels: Callable[..., Any]) -> Figure:
    """Draw what `inputs` gave; `styles`: run → how its line is drawn; `panels`: makes the axes."""
    figure, axes = panels(len(SIZES), width=4.0, height=3.0)
    for axis, size in zip(axes, SIZES, strict=True):
        for run, by_size in lines.items():
            if size in by_size:
                axis.plot(*by_size[size], linewidth=1.2, **styles[run])
        axis.set_title(f"{size} objects", fontsize=10)
        axis.set(xlabel="step", ylim=(0, 100))
    axes[0].set_ylabel("share of gradient (percent)")
    drawn: Figure = figure
    return drawn
