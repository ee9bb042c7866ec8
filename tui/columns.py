"""The columns of the list of runs: what each says, from which width on, and how it sorts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from detui.tui.glance import METRIC, Glance
from detui.tui.output import DASH, age, duration, number, percent, size


@dataclass(frozen=True, slots=True)
class Column:
    """One column at the right of the run's name."""

    title: str
    """In English, as it goes through `tr`."""
    width: int
    text: Callable[[Glance], str]
    order: Callable[[Glance], float | str | tuple[str, float] | None]
    """By what it sorts; None comes last."""
    rank: int
    """The lower, the longer it stays where the terminal becomes narrow."""


def _memory(run: Glance) -> str:
    if run.now is None or run.now.memory is None:
        return DASH
    used, total = run.now.memory
    return f"{used / 2**30:.1f}/{total / 2**30:.0f}G" if total else size(used)


def _device(run: Glance) -> str:
    names = run.now.devices if run.now else ()
    return ",".join(name.replace("GPU ", "g") if len(names) > 1 else name for name in names) or DASH


def _step(run: Glance) -> str:
    if run.now is None or run.now.step is None:
        return DASH
    # Two digits: a third would move at every reading, and each change goes over somebody's link.
    return f"{float(f'{1000 * run.now.step:.2g}'):g}ms" if run.now.step < 1 else f"{run.now.step:.1f}s"


def _left(run: Glance) -> str:
    """What is left, so roughly that it does not move at every reading."""
    if run.now is None or run.now.left is None:
        return DASH
    left = run.now.left
    return f"{max(1, round(left / 60))}m" if left < 3600 else duration(left)


def _used(run: Glance) -> float | None:
    return run.now.memory[0] if run.now and run.now.memory else None


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


COLUMNS = (
    Column("epoch", 9, lambda run: f"{run.epoch}/{run.epochs or '?'}", lambda run: -run.epoch, 0),
    Column("stage", 10, lambda run: (run.now.stage if run.now else None) or "", lambda run: _stage(run), 8),
    Column("loss", 7, lambda run: number(run.loss), lambda run: run.loss, 1),
    Column("AP %", 5, lambda run: percent(run.metric), lambda run: _best_first(run), 1),
    Column("device", 7, _device, lambda run: _device(run), 4),
    Column("memory", 10, _memory, lambda run: _negative(_used(run)), 5),
    Column("step", 6, _step, lambda run: run.now.step if run.now else None, 6),
    Column("left", 6, _left, lambda run: run.now.left if run.now else None, 3),
    Column("age", 4, lambda run: age(run.since), lambda run: _negative_text(run.since), 2),
)
"""From left to right."""
SORTS = ("started", "state", "run", *(column.title for column in COLUMNS if column.title != "stage"))
"""By what the list can be sorted; "started" is the order of the experiments, the newest first."""
_LEAST_NAME = 18
_LEAST_WHOLE = 40
_BAR_FROM = 72
_STAGE_FROM = 140


def _stage(run: Glance) -> str | None:
    return run.now.stage if run.now else None


def _negative_text(at: str) -> str:
    """Return something that sorts the other way round: the latest first."""
    return "".join(chr(0x10FFF - ord(character)) for character in at)


NAMED = Column("metric %", 8, lambda run: metric_text(run, named=True), lambda run: _best_first(run), 1)
"""What stands in the place of "AP %" where some of the runs have another metric."""


def several_metrics(runs: Iterable[Glance]) -> bool:
    """Return whether some runs have another metric than AP, so that each value has to say what it is of."""
    return any(run.measures != METRIC for run in runs)


def metric_text(run: Glance, *, named: bool) -> str:
    """Return the value of a run's metric in percent, with its name if asked for."""
    value = percent(run.metric)
    return f"{run.metric_name} {value}" if named and run.metric is not None else value


def _best_first(run: Glance) -> tuple[str, float] | None:
    """Return what sorts the best first, AP before NDS: the two cannot be compared."""
    return None if run.metric is None else (run.measures, -run.metric)


def fitting(columns: int, *, flat: bool = False, named: bool = False) -> Sequence[Column]:
    """Return the columns that a list so many cells wide has room for beside state, name and bar.

    `flat`: where no headings name the experiments, so that each run does. `named`: whether metrics say their names.
    """
    least = _LEAST_WHOLE if flat and columns >= _BAR_FROM else _LEAST_NAME
    room = columns - 14 - least - (bar_width(columns) + 1)
    room += NAMED.width - 5 if named else 0  # the name of the run gives them, so that no other column falls away
    offered = [NAMED if named and column.title == "AP %" else column for column in COLUMNS]
    chosen: list[Column] = []
    for column in sorted(offered, key=lambda one: one.rank):
        if column.width + 1 <= room and (column.title != "stage" or columns >= _STAGE_FROM):
            chosen.append(column)
            room -= column.width + 1
    return [column for column in offered if column in chosen]


def bar_width(columns: int) -> int:
    """Return the cells of the bar: none where the name of the run needs them."""
    return 12 if columns >= 110 else 6 if columns >= _BAR_FROM else 0


def ordered(runs: Sequence[Glance], by: str, reverse: bool) -> list[Glance]:
    """Return runs in the order of one of SORTS; those without the value come last either way."""
    if by == "started":
        return list(reversed(runs)) if reverse else list(runs)
    keyed = [(_key(by)(run), index) for index, run in enumerate(runs)]
    known = sorted(((key, index) for key, index in keyed if key is not None), reverse=reverse)
    return [runs[index] for _, index in known] + [runs[index] for key, index in keyed if key is None]


def _key(by: str) -> Callable[[Glance], Any]:
    if by == "state":
        return lambda run: _URGENT.get(run.word, 9)
    if by == "run":
        return lambda run: run.name
    return next(column.order for column in COLUMNS if column.title == by)


_URGENT = {"running": 0, "stopping": 0, "starting": 1, "queued": 2, "failed": 3, "crashed": 3, "oom": 3, "lost": 3}
"""What one looks for first comes first."""
