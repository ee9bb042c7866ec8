"""Figures of two frameworks that train one model: losses on top of each other, and how far they part by step.

Text in them is plain English, as in all figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from detui.engine.record.facts import TOTAL_LOSS, ExperimentFacts
from detui.engine.record.parity_steps import drifts, floor_of, steps_of
from detui.engine.record.share_figure import thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 600
"""Points of a line at most."""
LEAST = 1e-9
"""What a difference of nothing is drawn as on the logarithmic axis."""
Line = tuple[list[float], list[float]]


def inputs(facts: ExperimentFacts) -> dict[str, Any]:
    """What the figure is drawn from; {} before two arms have told steps. The band is of reference and noise floor."""
    shown = {arm: {run.name: _thin(steps_of(facts, run).losses) for run in facts.of(arm)} for arm in facts.arms}
    steps = {arm: {run: line for run, line in of.items() if line[0]} for arm, of in shown.items()}
    if sum(bool(of) for of in steps.values()) < 2:
        return {}
    apart = {arm: {f"s{seed}": _thin({step: max(abs(value), LEAST) for step, value in of.items()})
                   for seed, of in drifts(facts, arm).items()} for arm in facts.arms[1:]}  # fmt: skip
    epochs = {arm: {run.name: run.losses[TOTAL_LOSS] for run in facts.of(arm) if TOTAL_LOSS in run.losses}
              for arm in facts.arms}  # fmt: skip
    noisy = [arm for arm in (facts.arms[0], floor_of(facts)) if arm]
    bands = [_band([steps_of(facts, run).losses for arm in noisy for run in facts.of(arm)]),
             _band([dict(zip(*line, strict=True)) for arm in noisy for line in epochs[arm].values()])]  # fmt: skip
    return {"steps": steps, "epochs": epochs, "apart": {arm: of for arm, of in apart.items() if of}, "bands": bands}


def _thin(of: Mapping[int, float]) -> Line:
    steps = sorted(of)
    kept = [steps[place] for place in thinned(len(steps), POINTS)]
    return [float(step) for step in kept], [of[step] for step in kept]


def _band(runs: Sequence[Mapping[int, float]]) -> tuple[list[float], list[float], list[float]]:
    """Of at least two runs the lowest and the highest value at each place that all have."""
    if len(runs) < 2:
        return [], [], []
    common = sorted(set.intersection(*(set(run) for run in runs)))
    kept = [common[place] for place in thinned(len(common), POINTS)]
    columns = [[run[place] for run in runs] for place in kept]
    return [float(place) for place in kept], [min(one) for one in columns], [max(one) for one in columns]


def draw(given: Mapping[str, Any], colours: Mapping[str, str], panels: Callable[..., Any]) -> Figure:
    """Losses by step and by epoch with the band of the noise; below the differences. `colours`: of each arm."""
    figure, axes = panels(3, width=4.4, height=3.4)
    for axis, name, band in zip(axes, ("steps", "epochs"), given["bands"], strict=False):
        _losses(axis, given[name], band, colours)
        axis.set(xlabel="step" if name == "steps" else "epoch", ylabel="training loss")
        axis.set_title("loss of each step" if name == "steps" else "mean of each epoch", fontsize=10)
    last = axes[2]
    for arm, runs in given["apart"].items():
        for steps, values in runs.values():
            last.plot(steps, values, color=colours[arm], linewidth=0.9, alpha=0.8)
    last.axhline(1e-4, color="#666666", linewidth=0.8, linestyle=(0, (4, 3)))
    last.set(xlabel="step", ylabel="relative difference", xscale="log", yscale="log")
    last.set_title("difference from the reference, same seed", fontsize=10)
    return figure  # type: ignore[no-any-return]


def _losses(axis: Axes, arms: Mapping[str, Mapping[str, Line]], band: Any, colours: Mapping[str, str]) -> None:
    places, low, high = band
    if places:
        axis.fill_between(places, low, high, color="#999999", alpha=0.35, linewidth=0)
    # The later arm would hide the earlier one where they agree: widths that fall keep both visible.
    for place, (arm, runs) in enumerate(arms.items()):
        for line in runs.values():
            axis.plot(*line, color=colours[arm], linewidth=0.7 + 0.6 * (len(arms) - 1 - place), alpha=0.85)


def styles() -> list[tuple[str, dict[str, Any]]]:
    """What else stands in the legend."""
    return [("between lowest and highest of the noise", {"color": "#999999", "linewidth": 6, "alpha": 0.35}),
            ("1e-4", {"color": "#666666", "linewidth": 0.8, "linestyle": (0, (4, 3))})]  # fmt: skip
