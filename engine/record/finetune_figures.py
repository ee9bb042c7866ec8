"""Figures of a fine-tuning: learning rates by part over the steps, and losses on validation pictures beside training's.

Text in them is plain English, as in all figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from detui.engine.record.facts import RATES, ExperimentFacts, RunFacts
from detui.engine.record.finetune import OWN_LOSS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Panels = Callable[..., tuple["Figure", list["Axes"]]]
PARTS = dict(zip(RATES, ("-", (0, (5, 1.5)), (0, (1, 1))), strict=True))
"""Rate of a part → the style of its line."""


def rates_of(facts: ExperimentFacts) -> dict[str, Mapping[str, Any]]:
    """Arm → the rates by part of its lowest seed that told any: seeds share them."""
    found: dict[str, Mapping[str, Any]] = {}
    for arm in facts.arms:
        told = next((run.rates for run in facts.of(arm) if run.rates), None)
        if told:
            found[arm] = told
    return found


def draw_rates(rates: Mapping[str, Mapping[str, Any]], colours: Mapping[str, str], panels: Panels) -> Figure:
    """One line a part and arm: colour by arm, style by part. A rate of 0 has no place on the logarithmic axis."""
    figure, (axis,) = panels(1, width=7.0, height=3.6)
    # Where arms share a rate the later line lies above: widths that fall keep the earlier one visible.
    for place, (arm, told) in enumerate(rates.items()):
        for name, (steps, values) in told.items():
            width = 1.4 + 1.1 * (len(rates) - 1 - place)
            axis.plot(steps, values, color=colours[arm], linestyle=PARTS[name], linewidth=width)
    axis.set(xlabel="step", ylabel="learning rate", yscale="log")
    return figure


def rate_styles() -> list[tuple[str, dict[str, Any]]]:
    """What the styles of the lines say, for a legend."""
    return [(name.removeprefix("lr/"), {"color": "#666666", "linestyle": style}) for name, style in PARTS.items()]


def own_losses(facts: ExperimentFacts) -> dict[str, dict[str, Any]]:
    """Term → run → [training series, validation series], of runs whose framework tells losses on such pictures."""
    found: dict[str, dict[str, Any]] = {}
    for run in facts.runs:
        for name in sorted(run.framework):
            if name.startswith(OWN_LOSS):
                term = name.removeprefix(OWN_LOSS).removeprefix("_")
                series = [_trained(run, term), run.framework[name]]
                found.setdefault(term, {})[run.name] = [_parted(one, run.judged_from) for one in series]
    return found


def _parted(series: Any, border: int) -> Any:
    """A series with a gap after a border: no line joins the losses of two data sets."""
    if not series or not border:
        return series
    points = list(zip(*series, strict=True))
    before, after = ([point for point in points if (point[0] > border) is late] for late in (False, True))
    gap = [(border + 0.5, float("nan"))] if before and after else []
    return _columns([*before, *gap, *after])


def _columns(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(point[0] for point in points), tuple(point[1] for point in points)


def _trained(run: RunFacts, term: str) -> Any:
    return run.losses.get(f"train/loss_{term}" if term else "train/loss")


def draw_losses(given: Mapping[str, Mapping[str, Any]], colours: Mapping[str, str], panels: Panels) -> Figure:
    """A panel a term: training's mean of an epoch thin, the framework's loss on validation pictures thick.

    `colours`: of each run.
    """
    columns = min(3, len(given))
    rows = -(-len(given) // columns)
    figure, axes = panels(columns, rows, width=4.0, height=3.0)
    for axis, (term, runs) in zip(axes, given.items(), strict=False):
        for run, (trained, own) in runs.items():
            if trained:
                axis.plot(*trained, color=colours[run], linewidth=0.9, linestyle=(0, (3, 2)))
            axis.plot(*own, color=colours[run], linewidth=1.6)
        axis.set_title(f"loss {term.replace('_', ' ')}".strip() if term else "total loss", fontsize=10)
        axis.set_xlabel("epoch")
    for axis in axes[len(given) :]:
        axis.set_visible(False)
    axes[0].set_ylabel("loss")
    return figure


def loss_styles() -> Sequence[tuple[str, dict[str, Any]]]:
    """What the styles of the lines say, for a legend."""
    grey = {"color": "#666666"}
    return [("training", {**grey, "linewidth": 0.9, "linestyle": (0, (3, 2))}),
            ("validation (mmdet's own)", {**grey, "linewidth": 1.6})]  # fmt: skip
