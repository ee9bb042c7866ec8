"""The record's figures: losses, AP over epochs, precision and recall, memory, detections, failures.

Drawn again only when what they show has changed, and then to the same bytes
for the same data. Text in them is plain English: a font for Chinese is not
everywhere.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any

from detui.engine.errors import DetuiError
from detui.engine.record import (
    aqr_figure,
    finetune_figures,
    miss_pictures,
    numerics_figure,
    parity_figures,
    share_figure,
    small_objects,
)
from detui.engine.record import failure_pictures as failures
from detui.engine.record import pictures as detections
from detui.engine.record.facts import ExperimentFacts, RunFacts
from detui.engine.record.misses import FLOOR
from detui.engine.record.pictures import ascii_of
from detui.engine.record.render import Picture
from detui.engine.record.results import MASK_MAIN, OF_FRAMES
from detui.engine.run.files import read_json, write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MASKS = MASK_MAIN[:2]
"""Mask metrics whose curves are drawn, below those of the boxes."""
VERSION = 3
"""Raised whenever the drawing changes, so that old figures are drawn anew."""
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
"""Colours that people with any colour vision tell apart (Okabe and Ito 2008)."""
LINES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
PIXELS_PER_INCH = 110

log = logging.getLogger(__name__)

Drawing = Callable[[], "Figure"]


def draw(facts: ExperimentFacts, known: dict[str, Any], *, photographs: bool = True) -> list[Picture]:
    """Draw what there is data for into figures/; return it in the record's order.

    `known` remembers, by path, the hash of what it was drawn from, and is
    brought up to date. A figure that cannot be drawn is left out and logged.
    Without `photographs` no new figure is drawn of pictures of the data: that
    takes seconds, and what is out of date is left out instead.
    """
    done: list[Picture] = []
    for job in _wanted(facts):
        name, mark, path = job.picture.path, _digest(job.inputs), facts.path / job.picture.path
        try:
            if known.get(name) != mark or not path.exists():
                if job.picture.name in _SHEETS and not photographs:
                    continue
                path.parent.mkdir(exist_ok=True)
                write_whole(path, _png(job.drawing()))
                known[name] = mark
            done.append(job.picture)
        except (DetuiError, OSError, ValueError, KeyError) as error:
            log.warning("%s is left out: %s", name, error)
    return done


def colours(arms: Sequence[str]) -> dict[str, str]:
    """One colour an arm, the same in all figures."""
    return {arm: OKABE_ITO[place % len(OKABE_ITO)] for place, arm in enumerate(arms)}


@dataclass(frozen=True, slots=True)
class _Job:
    """A figure that could be drawn."""

    picture: Picture
    inputs: Any
    """All that the drawing depends on, as JSON."""
    drawing: Drawing


def _wanted(facts: ExperimentFacts) -> Iterator[_Job]:
    label = f"{facts.info.get('profile')} run: not a result" if facts.quick else ""
    template = (facts.info.get("record") or {}).get("template", "default")
    apart = [roles] if len(roles := [facts.data_set_of(arm) for arm in facts.references]) > 1 else []
    losses = {run.name: run.losses for run in facts.runs if run.losses}
    if losses:
        yield _Job(Picture("losses", "figures/losses.png"), [losses, label, *apart], lambda: _losses(facts, label))
    scores = {run.name: [_scores(run), run.framework] for run in facts.runs if run.evaluations or run.framework}
    drawn = not facts.imported or any(len(of[0]) > 1 for run in facts.runs for of in run.framework.values())
    if scores and drawn and template != "numerics":
        yield _Job(Picture("ap", "figures/ap.png"), [scores, _chosen(facts), label, *apart], lambda: _ap(facts, label))
    if own := finetune_figures.own_losses(facts):
        yield _Job(
            Picture("val_losses", "figures/val_losses.png"), [own, label], lambda: _own_losses(facts, own, label)
        )
    if rates := finetune_figures.rates_of(facts):
        yield _Job(Picture("part_rates", "figures/part_rates.png"), [rates, label], lambda: _rates(facts, rates, label))
    if template == "parity" and (by_step := parity_figures.inputs(facts)):
        yield _Job(Picture("parity", "figures/parity.png"), [by_step, label], lambda: _parity(facts, by_step, label))
    curves = dict(_curves(facts))
    if curves:
        yield _Job(Picture("pr", "figures/pr.png"), [curves, label, *apart], lambda: _pr(facts, curves, label))
    shares = share_figure.inputs(facts)
    if shares:
        yield _Job(Picture("shares", "figures/shares.png"), [shares, label], lambda: _shares(facts, shares, label))
    if times := numerics_figure.inputs(facts):
        yield _Job(
            Picture("numerics_cost", "figures/numerics_cost.png"), [times, label], lambda: _times(facts, times, label)
        )
    for name in aqr_figure.FIGURES:
        if given := aqr_figure.inputs(name, facts):
            yield _Job(Picture(name, _file(name, 1)), [given, label], partial(_aqr, name, facts, given, label))
    for name in _SHEETS:
        if name not in EXTRA or template in EXTRA[name]:
            yield from _sheets(name, facts, label)


def _sheets(name: str, facts: ExperimentFacts, label: str) -> list[_Job]:
    make, drawing, threshold = _SHEETS[name]
    try:
        return [
            _Job(
                Picture(name, _file(name, number), sheet.runs, threshold),
                [sheet.key(), label],
                partial(drawing, sheet, label),
            )
            for number, sheet in enumerate(make(facts), start=1)
        ]
    except (DetuiError, OSError, ValueError, KeyError) as error:
        log.warning("%s are left out: %s", name, error)
        return []


_SHEETS: dict[str, tuple[Callable[[ExperimentFacts], Sequence[Any]], Callable[[Any, str], Figure], float | None]] = {
    "detections": (detections.sheets, detections.draw, detections.THRESHOLD),
    "small_objects": (small_objects.sheets, small_objects.draw, detections.THRESHOLD),
    "failures": (failures.sheets, failures.draw, None),
    "misses": (failures.sheets, miss_pictures.draw, FLOOR),
}
"""Figures of pictures, in the record's order: their sheets, how one is drawn, and the threshold that it names."""
EXTRA = {"small_objects": ("size-weights",), "misses": ("size-weights",)}
"""Figures that only some templates show: the names of those."""


def _file(name: str, number: int) -> str:
    return f"figures/{name}{'' if number == 1 else f'-{number}'}.png"


def _scores(run: RunFacts) -> list[Any]:
    names = (
        "val/AP",
        "val/AP50",
        *(name for name in (*OF_FRAMES, *MASKS) if any(name in one["values"] for one in run.evaluations)),
    )
    return [[line["epoch"], *(line["values"].get(name) for name in names)] for line in run.evaluations]


def _chosen(facts: ExperimentFacts) -> dict[str, int | None]:
    return {run.name: run.chosen["epoch"] if run.chosen else None for run in facts.runs}


def _curves(facts: ExperimentFacts) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run → its PR points at the chosen checkpoint, for the runs whose file is there."""
    for run in facts.runs:
        if not run.chosen or not run.chosen.get("curves"):
            continue
        path = facts.path / "runs" / run.name / "attempts" / str(run.chosen["attempt"]) / run.chosen["curves"]
        try:
            found = read_json(path)
            yield run.name, {"recall": found["recall"], **{k: v["all classes"] for k, v in found["precision"].items()}}
        except (DetuiError, KeyError) as error:
            log.warning("curves of %s are left out: %s", run.name, error)


def _digest(inputs: Any) -> str:
    import matplotlib

    text = json.dumps([VERSION, matplotlib.__version__, inputs], sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _png(figure: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = BytesIO()
    FigureCanvasAgg(figure)
    # Without a time or a program name in it, the same data gives the same bytes.
    figure.savefig(buffer, format="png", dpi=PIXELS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()


def panels(columns: int, rows: int = 1, *, width: float = 4.6, height: float = 3.4) -> tuple[Figure, list[Axes]]:
    """A figure with plain axes, row by row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
    axes = [figure.add_subplot(rows, columns, place + 1) for place in range(columns * rows)]
    for axis in axes:
        axis.grid(color="#dddddd", linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _by_data(facts: ExperimentFacts) -> list[tuple[str, list[RunFacts]]]:
    """For each data set what stands behind a panel's title, and its runs: arms on different data share no panel."""
    several = len(facts.references) > 1
    return [
        (f", {facts.data_set_of(reference)}" if several else "",
         [run for run in facts.runs if facts.same_data(reference, run.arm)])
        for reference in facts.references
    ]  # fmt: skip


def _bases(facts: ExperimentFacts) -> list[str]:
    """The arms as the recipe calls them: on each of several data sets, which have panels of their own, one colour."""
    return list(dict.fromkeys(map(facts.base_of, facts.arms)))


def _style(facts: ExperimentFacts, run: RunFacts) -> dict[str, Any]:
    seeds = [other.seed for other in facts.of(run.arm)]
    return {
        "color": colours(_bases(facts))[facts.base_of(run.arm)],
        "linestyle": LINES[seeds.index(run.seed) % len(LINES)],
    }


def _legend(
    figure: Figure,
    facts: ExperimentFacts,
    label: str,
    extra: Sequence[tuple[str, dict[str, Any]]] = (),
    *,
    seeds: bool = True,
) -> None:
    """Arms by colour, below the panels, and where `seeds` says so those by line style."""
    from matplotlib.lines import Line2D

    numbers = sorted({run.seed for run in facts.runs}) if seeds else []
    entries: list[tuple[str, dict[str, Any]]] = [(arm, {"color": c}) for arm, c in colours(_bases(facts)).items()]
    if len(numbers) > 1:
        entries += [(f"seed {seed}", {"color": "#666666", "linestyle": LINES[place % len(LINES)]})
                    for place, seed in enumerate(numbers[: len(LINES)])]  # fmt: skip
    entries += extra
    handles = [Line2D([], [], label=ascii_of(name), **style) for name, style in entries]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(handles)), frameon=False, fontsize=8)
    if label:
        figure.suptitle(label, fontsize=9, color="#b00020", fontweight="bold")


def _losses(facts: ExperimentFacts, label: str) -> Figure:
    names, groups = sorted({name for run in facts.runs for name in run.losses}), _by_data(facts)
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure, axes = panels(columns, rows * len(groups), width=4.0, height=3.0)
    for place, (data, runs) in enumerate(groups):
        own = axes[place * rows * columns : (place + 1) * rows * columns]
        for axis, name in zip(own, names, strict=False):
            for run in (run for run in runs if name in run.losses):
                axis.plot(*run.losses[name], linewidth=1.2, **_style(facts, run))
            axis.set_title(ascii_of(name.removeprefix("train/").replace("_", " ") + data), fontsize=10)
            axis.set_xlabel("epoch")
        for axis in own[len(names) :]:
            axis.set_visible(False)
        own[0].set_ylabel("training loss")
    _legend(figure, facts, label)
    return figure


def _own_losses(facts: ExperimentFacts, given: Mapping[str, Any], label: str) -> Figure:
    colour = {run.name: colours(_bases(facts))[facts.base_of(run.arm)] for run in facts.runs}
    figure = finetune_figures.draw_losses(given, colour, panels)
    _legend(figure, facts, label, finetune_figures.loss_styles(), seeds=False)
    return figure


def _rates(facts: ExperimentFacts, rates: Mapping[str, Any], label: str) -> Figure:
    colour = {arm: colours(_bases(facts))[facts.base_of(arm)] for arm in facts.arms}
    figure = finetune_figures.draw_rates(rates, colour, panels)
    _legend(figure, facts, label, finetune_figures.rate_styles(), seeds=False)
    return figure


def _parity(facts: ExperimentFacts, given: Mapping[str, Any], label: str) -> Figure:
    colour = {arm: colours(_bases(facts))[facts.base_of(arm)] for arm in facts.arms}
    figure = parity_figures.draw(given, colour, panels)
    _legend(figure, facts, label, parity_figures.styles(), seeds=False)
    return figure


def _shares(facts: ExperimentFacts, lines: Mapping[str, Any], label: str) -> Figure:
    figure = share_figure.draw(lines, {run.name: _style(facts, run) for run in facts.runs}, panels)
    _legend(figure, facts, label)
    return figure


def _times(facts: ExperimentFacts, times: Mapping[str, Any], label: str) -> Figure:
    figure = numerics_figure.draw(times, colours(facts.arms), panels)
    _legend(figure, facts, label, seeds=False)
    return figure


def _aqr(name: str, facts: ExperimentFacts, given: Mapping[str, Any], label: str) -> Figure:
    styles = {run.name: _style(facts, run) for run in facts.runs}
    arms = {arm: colours(_bases(facts))[facts.base_of(arm)] for arm in facts.arms}
    figure = aqr_figure.draw(name, given, styles, arms, panels)
    _legend(figure, facts, label)
    return figure


def _ap(facts: ExperimentFacts, label: str) -> Figure:
    groups = _by_data(facts)
    shown = OF_FRAMES if facts.frames else ("val/AP", "val/AP50")
    metrics: list[tuple[str, str | None]] = list(zip(shown, _framework_names(facts), strict=True))
    if any(MASKS[0] in line["values"] for run in facts.runs for line in run.evaluations):
        metrics += [(name, None) for name in MASKS]
    figure, axes = panels(2, len(groups) * len(metrics) // 2)
    cells = [(data, runs, *one) for data, runs in groups for one in metrics]
    for axis, (data, runs, metric, framework) in zip(axes, cells, strict=True):
        for run in runs:
            _ap_lines(axis, facts, run, metric, framework)
        axis.set_title(ascii_of(metric.removeprefix("val/").replace("_", " ") + data), fontsize=10)
        axis.set_xlabel("epoch")
        axis.set_ylabel("percent")
        axis.set_ylim(bottom=0)
        axis.set_xlim(0, max((run.total_epochs for run in runs), default=1) * 1.02)
    names = sorted({name for name in _framework_names(facts) if name})
    own = (
        [(f"{names[0].split('/')[0]}'s own", {"color": "#666666", "linewidth": 0.7, "linestyle": (0, (3, 3))})]
        if names
        else []
    )
    ours = [("detui's evaluator", {"color": "#666666", "marker": "o", "markersize": 4})]
    _legend(figure, facts, label, [*ours, *own])
    return figure


def _ap_lines(axis: Axes, facts: ExperimentFacts, run: RunFacts, metric: str, framework: str | None) -> None:
    style = _style(facts, run)
    points = [
        (line["epoch"], 100 * line["values"][metric])
        for line in run.evaluations
        if line["values"].get(metric) is not None
    ]
    if points:
        epochs, values = zip(*points, strict=True)
        axis.plot(epochs, values, marker="o", markersize=4, linewidth=1.6, **style)
    if run.chosen and run.chosen["values"].get(metric) is not None:
        place = ([run.chosen["epoch"]], [100 * run.chosen["values"][metric]])
        axis.plot(*place, marker="o", markersize=9, fillstyle="none", color=style["color"], linestyle="none")
    if framework and framework in run.framework:
        own_epochs, own = run.framework[framework]
        thin = {"color": style["color"], "linestyle": (0, (3, 3)), "linewidth": 0.7, "alpha": 0.7}
        axis.plot(own_epochs, [100 * value for value in own], **thin)


def _framework_names(facts: ExperimentFacts) -> tuple[str | None, str | None]:
    """What the framework calls its AP and AP50, of frames its mAP and NDS; None where it reports neither."""
    names = sorted({name for run in facts.runs for name in run.framework})
    if facts.frames:
        mean, nds = (next((name for name in names if name.endswith(end)), None) for end in ("/mAP", "/NDS"))
        return mean, nds
    ap = next((name for name in names if name.endswith(("mAP50-95", "mAP50-95(B)", "/AP", "/mAP"))), None)
    ap50 = next((name for name in names if name.endswith(("mAP50", "mAP50(B)", "/AP50"))), None)
    return ap, ap50


def _pr(facts: ExperimentFacts, curves: Mapping[str, Mapping[str, Any]], label: str) -> Figure:
    groups = _by_data(facts)
    figure, axes = panels(2, len(groups))
    sizes = (("all", "all sizes, IoU 0.5"), ("small", "small objects, IoU 0.5"))
    if facts.frames:
        sizes = (("0.5 m", "centres within 0.5 m"), ("2 m", "centres within 2 m"))
    cells = [(data, runs, *one) for data, runs in groups for one in sizes]
    for axis, (data, runs, name, title) in zip(axes, cells, strict=True):
        for run in runs:
            points = curves.get(run.name, {}).get(name)
            if points:
                axis.plot(curves[run.name]["recall"], points, linewidth=1.3, **_style(facts, run))
        if not any(curves.get(run.name, {}).get(name) for run in runs):
            drawn = any(run.name in curves for run in runs)
            said = "no such boxes in the validation split" if drawn else "not evaluated yet"
            axis.text(0.5, 0.5, said, ha="center", color="#666666", fontsize=8)
        axis.set(title=ascii_of(f"{title}{data}"), xlabel="recall", ylabel="precision", xlim=(0, 1),
                 ylim=(0, 1.02))  # fmt: skip
        axis.title.set_fontsize(10)
    _legend(figure, facts, label)
    return figure
