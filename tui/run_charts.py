"""The charts of one run: which there are, and the lines of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detui.engine.run.files import number
from detui.engine.run.history import History, Line
from detui.tui.aqr import PREFIX
from detui.tui.aqr_charts import aqr_lines
from detui.tui.axis import end_of, of_epochs, of_steps, usable
from detui.tui.curves import ACCURACY, of_name
from detui.tui.language import tr
from detui.tui.output import number as shown
from detui.tui.output import percent_tick
from detui.tui.run_facts import statistic_points
from detui.tui.widgets.chart import Series

_OURS = ("val/AP", "val/mask_AP", "val/AP50", "val/mAP", "val/NDS")
_MAIN = ("mAP", "NDS", "bbox_mAP", "segm_mAP", "mIoU")
"""What frameworks call their main metrics, beside mAP50."""
_GRADIENT = ("train/gradient_norm", "gradient/norm")
"""The norm of the whole gradient: beside losses, which it exceeds many times over, none of them could be read."""
_VALIDATION_LOSS = "/val_loss"
"""What a framework's own losses on validation pictures go by, behind its name."""
_LISTED = ("val", "train", "lr", "memory")
_MIB = 1 << 20
_COARSE = 4096
"""Points of a line at most in a coarse picture: several for each column of dots."""


@dataclass(frozen=True, slots=True)
class ChartData:
    """The lines of one chart."""

    series: tuple[Series, ...]
    x_label: str
    x_most: float | None = None
    """Where the x axis will end, if that is known."""
    title: str | None = None
    """In the language in use, where it is not what the kind of the chart is called."""


@dataclass(frozen=True, slots=True)
class ChartKind:
    """One chart of a run's screen."""

    name: str
    title: str
    """In English, as it goes through `tr`; with the unit."""
    form: Callable[[float | None], str]
    """How a value is written."""


def mib(value: float | None) -> str:
    """Return a number of MiB for the axis of a chart; above a thousand with an eye on its width."""
    if value is None:
        return "–"
    return f"{value:.0f}MiB" if value < 10_000 else f"{value / 1024:.1f}GiB"


KINDS = (
    ChartKind("loss", "Loss", shown),
    ChartKind("validation", "Validation AP, %", percent_tick),
    ChartKind("own_loss", "Own validation loss", shown),
    ChartKind("aqr_weights", "AQR weights ± std", shown),
    ChartKind("aqr_change", "AQR change, %", percent_tick),
    ChartKind("rate", "Learning rate", shown),
    ChartKind("memory", "Memory", mib),
    ChartKind("use", "GPU use, %", shown),
    ChartKind("power", "GPU power, W", shown),
    ChartKind("host", "CPU of the run, %", shown),
    ChartKind("gradient", "Gradient norm", shown),
    ChartKind("accuracy", "Accuracy of the box head, %", shown),
    ChartKind("aqr_gain", "AQR gain", shown),
    ChartKind("aqr_maps", "AQR map maxima", shown),
    ChartKind("aqr_gradient", "AQR gradient norm", shown),
    ChartKind("statistics", "Statistics", shown),
)
"""In the order in which the keys go through them."""


def charts(history: History, axis: str = "step", *, coarse: bool = False) -> dict[str, ChartData]:
    """Return the lines of all charts, by name. `axis`: "step", "epoch" or "time", for what was measured by step.

    `coarse`: not every point of a long line, for a picture that is soon replaced.
    """
    names, axis = history.names(), usable(history, axis)
    end, label = end_of(history, axis), "minutes" if axis == "time" else axis
    epochs = "epoch" if axis == "step" else axis
    points = statistic_points(history)
    losses = [name for name in names if name.startswith("train/") and name not in (*_GRADIENT, ACCURACY)]
    found = {
        "loss": ChartData(_lines(history, losses, axis, 1.0, coarse), label, end),
        "validation": ChartData(
            _epoch_lines(history, epochs),
            "minutes" if epochs == "time" else epochs,
            end_of(history, epochs),
            tr("Validation mAP, NDS, %") if "val/NDS" in history.epoch_names() else None,
        ),
        "own_loss": ChartData(
            _own_losses(history, epochs), "minutes" if epochs == "time" else epochs, end_of(history, epochs)
        ),
        "accuracy": ChartData(_lines(history, [n for n in names if n == ACCURACY], axis, 1.0, coarse), label, end),
        "rate": ChartData(_lines(history, [n for n in names if n.startswith("lr/")], axis, 1.0, coarse), label, end),
        "memory": _memory(
            history, _lines(history, [n for n in names if n.startswith("memory/")], axis, 1 / _MIB, coarse), label, end
        ),
        "gradient": ChartData(_lines(history, [n for n in names if n in _GRADIENT], axis, 1.0, coarse), label, end),
        "use": _gpus(history, "utilization"),
        "power": _gpus(history, "power"),
        "host": _samples(history, {"cpu": lambda line: number(line.get("cpu_percent"))}),
        "statistics": ChartData(_statistics(history, points, axis), label, end),
    }
    aqr = aqr_lines(points, lambda steps: of_steps(history, steps, axis))
    found |= {name: ChartData(lines, label, end) for name, lines in aqr.items()}
    return {name: data for name, data in found.items() if data.series or name in ("loss", "validation", "rate")}


def _lines(history: History, names: Sequence[str], axis: str, scale: float, coarse: bool) -> tuple[Series, ...]:
    found = []
    # A power of two, so that the points stay the same while a line grows, and the picture with them.
    each = 1 << max(0, (len(history.steps) - 1) // _COARSE).bit_length() if coarse else 1
    for name in names:
        steps, y = of_name(history, name, each)
        label = name.split("/", 1)[1].removeprefix("loss_")
        found.append(Series(label, of_steps(history, steps, axis), y * scale))
    return tuple(found)


def _epoch_lines(history: History, axis: str) -> tuple[Series, ...]:
    """Return our evaluator's metrics, and the framework's own under its name: those come every epoch."""
    known = history.epoch_names()
    ours = [name for name in _OURS if name in known]
    theirs = [n for n in known if "/" in n and n.split("/")[0] not in _LISTED]
    found = []
    for name in (*ours, *[n for n in theirs if _is_main(n)][: 1 if ours else 2]):
        epochs, y = history.epoch_series(name)
        x = of_epochs(history, np.asarray(epochs, dtype=np.float64), axis)
        found.append(Series(name.removeprefix("val/"), x, np.asarray(y, dtype=np.float64)))
    return tuple(found)


def _own_losses(history: History, axis: str) -> tuple[Series, ...]:
    """Return a framework's own losses on validation pictures, which come every epoch: the whole one, then its terms."""
    names = [name for name in history.epoch_names() if _VALIDATION_LOSS in name and not name.startswith("val/")]
    found = []
    for name in sorted(names, key=lambda name: (not name.endswith(_VALIDATION_LOSS), names.index(name))):
        epochs, y = history.epoch_series(name)
        x = of_epochs(history, np.asarray(epochs, dtype=np.float64), axis)
        label = name.split("/", 1)[1].removeprefix("val_loss_").removeprefix("val_")
        found.append(Series(label, x, np.asarray(y, dtype=np.float64)))
    return tuple(found)


def _is_main(name: str) -> bool:
    """Whether a framework's number is one of its main metrics, and of all classes."""
    tail = name.split("/", 1)[1]
    return "mAP50" in tail or tail in _MAIN


def _statistics(history: History, points: Mapping[str, Sequence[tuple[int, float]]], axis: str) -> tuple[Series, ...]:
    """Return the statistics that have no chart of their own."""
    found = []
    for name, values in points.items():
        if not name.startswith(PREFIX):
            steps, y = np.array(values, dtype=np.float64).T
            found.append(Series(name, of_steps(history, steps, axis), y))
    return tuple(found)


def _memory(history: History, lines: tuple[Series, ...], label: str, end: float | None) -> ChartData:
    """Return the device's memory as the allocator saw it, `lines`; without one, as the driver or the host did."""
    if lines:
        return ChartData(lines, label, end)
    gpus = _gpus(history, "memory_used", 1 / _MIB)
    if gpus.series:
        return gpus
    return _samples(history, {tr("processes"): lambda line: _scaled(line.get("rss"), 1 / _MIB)})


def _gpus(history: History, field: str, scale: float = 1.0) -> ChartData:
    last = history.telemetry[-1] if history.telemetry else {}

    def reading(place: int) -> Callable[[Line], float | None]:
        def read(line: Line) -> float | None:
            gpus = line.get("gpus") or ()
            return _scaled(gpus[place].get(field), scale) if place < len(gpus) else None

        return read

    return _samples(history, {f"gpu {gpu.get('index')}": reading(i) for i, gpu in enumerate(last.get("gpus") or ())})


def _scaled(value: Any, scale: float) -> float | None:
    found = number(value)
    return None if found is None else found * scale


def _samples(history: History, readings: dict[str, Callable[[Line], float | None]]) -> ChartData:
    """Return what the supervisor sampled during the latest attempt, over its minutes."""
    latest = history.telemetry[-1]["attempt"] if history.telemetry else 0
    lines = [line for line in history.telemetry if line["attempt"] == latest]
    found = []
    for label, read in readings.items():
        points = [(number(line.get("t")), read(line)) for line in lines]
        good = [(t / 60, value) for t, value in points if t is not None and value is not None]
        if good:
            x, y = np.array(good, dtype=np.float64).T
            found.append(Series(label, x, y))
    return ChartData(tuple(found), "minutes")
