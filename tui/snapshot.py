"""Everything that the live view shows of a run, read in a thread and handed over as values."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from detui.engine.run.directory import RunDir
from detui.engine.run.files import number
from detui.engine.run.history import History, RunFollower
from detui.tui.aqr import AqrPicture, aqr_picture
from detui.tui.console import ConsoleReader
from detui.tui.curves import AP_METRICS
from detui.tui.glance import Glance, glance
from detui.tui.language import tr
from detui.tui.output import age, duration, percent_signed, size
from detui.tui.output import number as shown
from detui.tui.run_charts import ChartData, charts
from detui.tui.run_facts import PageLine, alarm_lines, configuration_lines, file_lines, statistic_lines

_RECENT = 50


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One reading of a run."""

    glance: Glance
    charts: dict[str, ChartData] | None
    """By the name of the chart, as `run_charts.KINDS`. None where nothing was measured since."""
    numbers: tuple[tuple[str, str], ...]
    """Names and values for the column of numbers, in order."""
    alarms: tuple[str, ...]
    log: tuple[str, ...]
    """New lines of the log."""
    aqr: AqrPicture | None = None
    """What the run reports of AQR, None where it reports nothing."""
    page: tuple[PageLine, ...] = ()
    """The lines of the page that is wanted."""
    more: bool = False
    """Whether there is more to read at once: a long history is shown as it is read."""


PAGES = ("Statistics", "Alarms", "Configuration", "Files")
"""The pages of text that a reader makes on demand."""
_PATIENCE = 0.05
"""Seconds of reading after which what there is is shown for the first time."""
_EVERY = 1.0
"""Seconds of reading between the pictures of a long history after that."""
_TURN = 5e-4
"""Seconds that another thread waits for its turn at most while a history is read. With Python's own 5 ms, of which an
answer to a key needs many, the application would not answer as fast as a hand expects."""
_USUAL = sys.getswitchinterval()
"""What it is otherwise. Known from the start: two readers at once would take each other's for it, and leave that."""


class SnapshotReader:
    """Follows one run."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.page: str | None = None
        """The page of text that is wanted: one of PAGES."""
        self.axis = "step"
        """What the charts of steps are drawn over; one of `axis.AXES`."""
        self._follower = RunFollower(run)
        self._console = ConsoleReader(run)
        self._drawn: str | None = None
        self._patience = _PATIENCE
        self._coarse = False
        """Whether the charts that were made last lack points."""

    def read(self) -> Snapshot:
        """Read what is new and return the present picture."""
        anything, more = self._poll()
        history = self._follower.history
        found = glance(self.run, {})
        if self._drawn != self.axis or (self._coarse and not more):
            self._drawn, anything = self.axis, True
        self._coarse = more
        return Snapshot(
            glance=found,
            charts=charts(history, self.axis, coarse=more) if anything else None,
            numbers=tuple(numbers(found, history)),
            alarms=tuple(f"{line.get('name')}: {line.get('text')}" for line in history.alarms),
            log=tuple(self._console.poll()),
            aqr=aqr_picture(history),
            page=tuple(self._page(history)),
            more=more,
        )

    def _poll(self) -> tuple[bool, bool]:
        """Read for a moment. Returns whether there was anything, and whether there is more."""
        anything, until = False, time.monotonic() + self._patience
        sys.setswitchinterval(_TURN)
        try:
            while self._follower.poll():
                anything = True
                if time.monotonic() > until:
                    self._patience = _EVERY
                    return True, True
        finally:
            sys.setswitchinterval(_USUAL)
        return anything, False

    def _page(self, history: History) -> list[PageLine]:
        if self.page == "Statistics":
            return statistic_lines(history)
        if self.page == "Alarms":
            return alarm_lines(history)
        if self.page == "Configuration":
            return configuration_lines(self.run, history)
        return file_lines(self.run) if self.page == "Files" else []


def numbers(run: Glance, history: History) -> list[tuple[str, str]]:
    """Return the named numbers beside the charts."""
    begin, telemetry = history.begin or {}, history.telemetry[-1] if history.telemetry else {}
    rows = [
        (tr("state"), tr(run.word)),
        (tr("since"), tr("{age} ago", age=age(run.since))),
        (tr("attempt"), str(run.attempt or "–")),
        (tr("device"), _device(begin)),
        (tr("model"), _model(begin)),
        (tr("epoch"), f"{run.epoch}/{run.epochs or '?'}"),
        (tr("step"), str(history.step)),
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
    rows = [(tr("step time"), f"{each[len(each) // 2] * 1000:.0f} ms")]
    per_epoch = (history.begin or {}).get("steps_per_epoch")
    if isinstance(per_epoch, int) and run.epochs:
        rows.append((tr("left"), duration(max(0, per_epoch * run.epochs - history.step) * step)))
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
    rows = [
        (name.removeprefix("val/"), percent_signed(number(values.get(name)))) for name in AP_METRICS if name in values
    ]
    # An imported run has its framework's numbers alone: its main metrics, under its name.
    rows += [(str(name), percent_signed(number(values.get(name)))) for name in line.get("headline") or ()]
    return [(tr("measured"), tr("after epoch {epoch}", epoch=line.get("epoch"))), *rows]


def _usage(telemetry: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    if (cpu := number(telemetry.get("cpu_percent"))) is not None:
        rows.append((tr("cpu"), f"{cpu:.0f} %"))
    if (rss := number(telemetry.get("rss"))) is not None:
        rows.append((tr("RAM"), size(rss)))
    for gpu in telemetry.get("gpus") or ():
        used, total = number(gpu.get("memory_used")), number(gpu.get("memory_total"))
        name = f"gpu {gpu.get('index')}"
        rows.append((name, tr("{used} of {total}", used=size(used), total=size(total))))
        parts = [(gpu.get("utilization"), "%"), (gpu.get("power"), "W"), (gpu.get("temperature"), "°C")]
        rows.append(("", "  ".join(f"{shown(number(value))} {unit}" for value, unit in parts if value is not None)))
    return rows
