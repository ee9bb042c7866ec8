"""Everything that the live view shows of a run, read in a thread and handed over as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from detui.engine.run.directory import RunDir
from detui.engine.run.files import number
from detui.engine.run.history import History, RunFollower
from detui.tui.console import ConsoleReader
from detui.tui.glance import Glance, glance
from detui.tui.output import age, duration, percent, size
from detui.tui.output import number as shown
from detui.tui.widgets.chart import Series

_OURS = ("val/AP", "val/AP50", "val/AP75", "val/AP_small", "val/AP_medium", "val/AP_large")
_MIB = 1 << 20
_RECENT = 50


@dataclass(frozen=True, slots=True)
class ChartData:
    """The lines of one chart."""

    series: tuple[Series, ...]
    x_label: str
    x_most: float | None = None
    """Where the x axis will end, if that is known."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One reading of a run."""

    glance: Glance
    charts: dict[str, ChartData] | None
    """By the chart's name: "loss", "validation", "rate", "memory". None where nothing was measured since."""
    numbers: tuple[tuple[str, str], ...]
    """Names and values for the column of numbers, in order."""
    alarms: tuple[str, ...]
    log: tuple[str, ...]
    """New lines of the log."""


class SnapshotReader:
    """Follows one run."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self._follower = RunFollower(run)
        self._console = ConsoleReader(run)
        self._first = True

    def read(self) -> Snapshot:
        """Read what is new and return the present picture."""
        anything = self._follower.poll() or self._first
        self._first = False
        history = self._follower.history
        found = glance(self.run, {})
        return Snapshot(
            glance=found,
            charts=charts(history) if anything else None,
            numbers=tuple(numbers(found, history)),
            alarms=tuple(f"{line.get('name')}: {line.get('text')}" for line in history.alarms),
            log=tuple(self._console.poll()),
        )


def charts(history: History) -> dict[str, ChartData]:
    """Return the lines of all charts."""
    names = history.names()
    epochs, per_epoch = history.total_epochs, (history.begin or {}).get("steps_per_epoch")
    steps = epochs * per_epoch if isinstance(epochs, int) and isinstance(per_epoch, int) else None
    return {
        "loss": ChartData(_lines(history, [n for n in names if n.startswith("train/")]), "step", steps),
        "validation": ChartData(_epoch_lines(history), "epoch", epochs),
        "rate": ChartData(_lines(history, [n for n in names if n.startswith("lr/")]), "step", steps),
        "memory": _memory(history, [n for n in names if n.startswith("memory/")], steps),
    }


def _lines(history: History, names: Sequence[str], scale: float = 1.0) -> tuple[Series, ...]:
    found = []
    for name in names:
        x, y = history.series(name)
        label = name.split("/", 1)[1].removeprefix("loss_")
        found.append(Series(label, np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64) * scale))
    return tuple(found)


def _epoch_lines(history: History) -> tuple[Series, ...]:
    """Return our evaluator's metrics, and the framework's own under its name: those come every epoch."""
    known = history.epoch_names()
    ours = [name for name in _OURS[:2] if name in known]
    theirs = [n for n in known if "/" in n and n.split("/")[0] not in ("val", "train", "lr", "memory")]
    found = []
    for name in (*ours, *[n for n in theirs if "mAP50" in n][: 1 if ours else 2]):
        x, y = history.epoch_series(name)
        label = name.removeprefix("val/")
        found.append(Series(label, np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)))
    return tuple(found)


def _memory(history: History, names: Sequence[str], steps: int | None) -> ChartData:
    """Return the device's memory as the allocator saw it; without one, the processes' memory on the host."""
    if lines := _lines(history, names, 1 / _MIB):
        return ChartData(lines, "step", steps)
    last = history.telemetry[-1]["attempt"] if history.telemetry else 0
    points = [(number(line.get("t")), number(line.get("rss"))) for line in history.telemetry if line["attempt"] == last]
    good = [(t, value) for t, value in points if t is not None and value is not None]
    if not good:
        return ChartData((), "seconds")
    x, y = np.array(good, dtype=np.float64).T
    return ChartData((Series("processes", x, y / _MIB),), "seconds")


def numbers(run: Glance, history: History) -> list[tuple[str, str]]:
    """Return the named numbers beside the charts."""
    begin, telemetry = history.begin or {}, history.telemetry[-1] if history.telemetry else {}
    rows = [
        ("state", run.word),
        ("since", f"{age(run.since)} ago"),
        ("attempt", str(run.attempt or "–")),
        ("device", _device(begin)),
        ("model", _model(begin)),
        ("epoch", f"{run.epoch}/{run.epochs or '?'}"),
        ("step", str(history.step)),
        *_pace(run, history),
        *((_label(name), shown(value)) for name, value in _latest(history).items()),
        *_metrics(history),
        *_usage(telemetry),
    ]
    return [(name, value) for name, value in rows if value]


def _device(begin: dict[str, Any]) -> str:
    device = begin.get("device") or {}
    return str(device.get("name") or device.get("kind") or "")


def _model(begin: dict[str, Any]) -> str:
    model = begin.get("model") or {}
    parameters = model.get("parameters")
    size_text = f", {parameters / 1e6:.2f} M" if isinstance(parameters, int) else ""
    return f"{model['name']}{size_text}" if model.get("name") else ""


def _pace(run: Glance, history: History) -> list[tuple[str, str]]:
    """Return the time of a step and what is left, from the latest steps."""
    count = len(history.steps)
    if count < 2 or not run.live:
        return []
    recent = history.steps[max(0, count - _RECENT) :]
    steps, seconds = recent[-1]["step"] - recent[0]["step"], recent[-1]["t"] - recent[0]["t"]
    each = sorted((b["t"] - a["t"]) / (b["step"] - a["step"]) for a, b in pairwise(recent) if b["step"] > a["step"])
    if steps <= 0 or seconds <= 0 or not each:
        return []
    step = seconds / steps  # with what lies between steps, such as a validation: what is left takes as long
    rows = [("step time", f"{each[len(each) // 2] * 1000:.0f} ms")]
    per_epoch = (history.begin or {}).get("steps_per_epoch")
    if isinstance(per_epoch, int) and run.epochs:
        rows.append(("left", duration(max(0, per_epoch * run.epochs - history.step) * step)))
    return rows


def _label(name: str) -> str:
    """Return a metric's name as a person would say it: "loss box", "lr"."""
    return name.removeprefix("train/").replace("_", " ").replace("lr/all", "lr").replace("/", " ")


def _latest(history: History) -> dict[str, float]:
    if not len(history.steps):
        return {}
    values = history.steps[-1]["values"]
    return {name: value for name, value in values.items() if name.startswith(("train/", "lr/"))}


def _metrics(history: History) -> list[tuple[str, str]]:
    """Return the latest evaluation in percent, with the epoch it belongs to."""
    if not history.evaluations:
        return []
    line = history.evaluations[-1]
    values = line.get("values", {})
    rows = [(name.removeprefix("val/"), percent(number(values.get(name)))) for name in _OURS if name in values]
    return [("measured", f"after epoch {line.get('epoch')}"), *rows]


def _usage(telemetry: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    if (cpu := number(telemetry.get("cpu_percent"))) is not None:
        rows.append(("cpu", f"{cpu:.0f} %"))
    if (rss := number(telemetry.get("rss"))) is not None:
        rows.append(("memory", size(rss)))
    for gpu in telemetry.get("gpus") or ():
        used, total = number(gpu.get("memory_used")), number(gpu.get("memory_total"))
        name = f"gpu {gpu.get('index')}"
        rows.append((name, f"{size(used)} of {size(total)}"))
        parts = [(gpu.get("utilization"), "%"), (gpu.get("power"), "W"), (gpu.get("temperature"), "°C")]
        rows.append(("", "  ".join(f"{shown(number(value))} {unit}" for value, unit in parts if value is not None)))
    return rows


def mib(value: float | None) -> str:
    """Return a number of MiB for the axis of a chart; above a thousand with an eye on its width."""
    if value is None:
        return "–"
    return f"{value:.0f}MiB" if value < 10_000 else f"{value / 1024:.1f}GiB"
