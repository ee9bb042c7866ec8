"""What a run's screen shows beside its curves: alarms, configuration as used, files. As rows of text."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detui.engine.run.alarms import ALARMS
from detui.engine.run.directory import RunDir
from detui.engine.run.files import number
from detui.engine.run.history import History
from detui.engine.secrets import redacted
from detui.tui.language import tr
from detui.tui.output import duration, size, table
from detui.tui.output import number as shown
from detui.tui.recipe_page import show

_MOST_FILES = 2000


@dataclass(frozen=True, slots=True)
class PageLine:
    """One line of a page of a run."""

    text: str
    head: bool = False
    """Whether it is a heading."""
    path: Path | None = None
    """The file that it stands for."""


def alarm_lines(history: History) -> list[PageLine]:
    """Return every alarm: when, what it says, and what its name means."""
    if not history.alarms:
        return [PageLine(tr("No alarm was raised."))]
    lines = []
    for alarm in history.alarms:
        at = duration(number(alarm.get("t")))
        name = str(alarm.get("name"))
        head = tr("{name}, attempt {attempt}, after {at}", name=name, attempt=alarm.get("attempt"), at=at)
        lines += [PageLine(f"! {head}", head=True), PageLine(f"  {alarm.get('text')}")]
        lines += [PageLine(f"  {tr('means: {what}', what=tr(ALARMS[name]))}")] if name in ALARMS else []
    return lines


def statistic_points(history: History) -> dict[str, list[tuple[int, float]]]:
    """Return every statistic by name: the steps at which it was given, and its values."""
    found: dict[str, list[tuple[int, float]]] = {}
    for line in history.statistics:
        for name, raw in line.get("values", {}).items():
            if (value := number(raw)) is not None and isinstance(line.get("step"), int):
                found.setdefault(name, []).append((line["step"], value))
    return found


def statistic_lines(history: History) -> list[PageLine]:
    """Return the latest value of every statistic, with the step it belongs to, and its range."""
    values = statistic_points(history)
    if not values:
        return [PageLine(tr("This run reports no statistics."))]
    rows = [("", tr("latest"), tr("step"), tr("least"), tr("most"))]
    for name, points in values.items():
        found = [value for _, value in points]
        step, last = points[-1]
        rows.append((name, shown(last), str(step), shown(min(found)), shown(max(found))))
    head, *lines = table(rows, right=(1, 2, 3, 4))
    return [PageLine(head, head=True), *map(PageLine, lines)]


def configuration_lines(run: RunDir, history: History) -> list[PageLine]:
    """Return the configuration as the framework used it, with what was asked where that differs, then the rest."""
    begin = redacted(history.begin or {})
    used, asked = dict(begin.get("used") or {}), dict(begin.get("asked") or {})
    lines = [PageLine(tr("As the framework uses it"), head=True)] if used else []
    for name, value in used.items():
        differs = name in asked and asked[name] != value
        note = "  ! " + tr("asked: {value}", value=show(asked[name])) if differs else ""
        lines.append(PageLine(f"  {name}: {show(value)}{note}"))
    rest = {name: value for name, value in asked.items() if name not in used}
    if rest:
        lines += [PageLine(tr("Asked, and not reported back"), head=True)]
        lines += [PageLine(f"  {name}: {show(value)}") for name, value in rest.items()]
    for title, part in ((tr("Model"), "model"), (tr("Device"), "device"), (tr("Packages"), "packages"),
                        (tr("Code"), "code")):  # fmt: skip
        if isinstance(begin.get(part), Mapping):
            lines += [PageLine(title, head=True), *(PageLine(f"  {k}: {show(v)}") for k, v in begin[part].items())]
    lines += [PageLine(tr("As the recipe gave it"), head=True)]
    return [*lines, *(PageLine(f"  {name}: {show(value)}") for name, value in _flat(redacted(run.spec().config)))]


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def file_lines(run: RunDir) -> list[PageLine]:
    """Return the run's files with their sizes, folders first named; so many at most that a list stays a list."""
    lines: list[PageLine] = []
    for folder, folders, files in os.walk(run.path):
        folders.sort()
        place = Path(folder)
        if files:
            lines.append(PageLine(f"{place.relative_to(run.path.parent)}/", head=True))
        for name in sorted(files):
            try:
                taken = size((place / name).stat().st_size)
            except OSError:  # gone since it was listed
                continue
            lines.append(PageLine(f"  {taken:>10}  {name}", path=place / name))
            if len(lines) >= _MOST_FILES:
                return [*lines, PageLine(tr("… and more"))]
    return lines
