"""The runs of a comparison as lines: letter, name, state, epoch, latest value, value at the cursor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich.segment import Segment

from detui.engine.evaluate.tables import UNITS, in_percent
from detui.tui.curves import ACCURACY, LOSS, Arm, Curves, Member
from detui.tui.language import tr
from detui.tui.output import cut, number, pad, percent_tick, width
from detui.tui.widgets.line_list import Line
from detui.tui.widgets.palette import DIM, PLAIN, series_style, state_style

_STATE, _VALUE, _LEAST_NAME = 10, 9, 12


def titles(curves: Curves, members: Sequence[Member], columns: int, at: str | None) -> str:
    """Return the line above the runs. `at`: how the column of values at the cursor is called, None without one."""
    values = [pad(cut(name, _VALUE), _VALUE, right=True) for name in (tr("latest"), at) if name is not None]
    name, epoch = _widths(curves, members, columns, len(values))
    texts = [pad(tr("run"), name), pad(tr("state"), _STATE), pad(tr("epoch"), epoch, right=True), *values]
    return "    " + "  ".join(texts)


def lines(
    curves: Curves,
    members: Sequence[Member],
    arms: Sequence[Arm] | None,
    form: Callable[[float | None], str],
    at: Mapping[str, float | None] | None,
    columns: int,
    *,
    ascii_only: bool,
) -> list[Line]:
    """Return one line a run; the first of `curves.wish.members` is the reference.

    `arms`: whose means are drawn, None where each run has its own line. `at`: letter → value at the cursor, None
    where there is no cursor.
    """
    marks = {ref: (arm.letter, arm.colour) for arm in arms or () for ref in arm.refs}
    found = []
    room, epochs = _widths(curves, members, columns, 1 if at is None else 2)
    for member in members:
        letter, colour = marks.get(member.ref, (member.letter, member.colour))
        run = curves.glances.get(member.ref)
        word = "" if run is None else f"{run.letter} {tr(run.word)}"
        values = [form(curves.latest.get(member.ref))]
        values += [] if at is None else [form(at.get(letter))]
        role = tr("reference") if member == members[0] else ""
        texts = [pad(cut(word, _STATE), _STATE), pad(_epoch(curves, member), epochs, right=True)]
        texts += [pad(value, _VALUE, right=True) for value in values]
        name = pad(cut(member.name, room), room)
        style = state_style("" if run is None else run.word)
        segments = [
            Segment(f"{letter}{'-' if ascii_only else '━'} ", series_style(colour)),
            Segment(name, PLAIN),
            Segment("  " + texts[0], style),
            Segment("  " + "  ".join(texts[1:]), PLAIN),
            Segment(f"  {role}", DIM),
        ]
        if ascii_only:
            segments = [Segment(one.text.replace("…", "~").replace("–", "-"), one.style) for one in segments]
        found.append(Line(tuple(segments), member.ref, member.run.path))
    return found


def _epoch(curves: Curves, member: Member) -> str:
    run = curves.glances.get(member.ref)
    return "" if run is None else f"{run.epoch}/{run.epochs or '?'}"


def _widths(curves: Curves, members: Sequence[Member], columns: int, values: int) -> tuple[int, int]:
    """Return the widths of names and epochs: what they ask for, the names no more than the other columns leave."""
    epoch = max(width(text) for text in (tr("epoch"), *(_epoch(curves, member) for member in members)))
    others = 3 + 2 + _STATE + 2 + epoch + values * (2 + _VALUE) + 2 + width(tr("reference"))
    longest = max(width(member.name) for member in members)
    return max(_LEAST_NAME, min(longest, columns - others)), epoch


def metric_title(metric: str) -> str:
    """Return what stands over the chart: the metric, with its unit where it has one."""
    if metric == LOSS:
        return tr("Total loss")
    if metric.startswith("val/"):
        name = metric.removeprefix("val/").replace("_", " ")
        if name.startswith("mask "):
            name = tr("mask {metric}", metric=name.removeprefix("mask "))
        return f"{name}, {'%' if in_percent(metric) else UNITS[name.split('/')[0]]}"
    if metric.startswith("lr/"):
        return tr("Learning rate ({name})", name=metric.removeprefix("lr/"))
    if metric == ACCURACY:
        return tr("Accuracy of the box head, %")
    return tr("Loss ({name})", name=metric.removeprefix("train/").removeprefix("loss_"))


def form_of(metric: str) -> Callable[[float | None], str]:
    """Return how a metric's values are written: what is stored as 0-1 in percent."""
    return percent_tick if in_percent(metric) else number


def axis_label(axis: str) -> str:
    """Return what an axis counts."""
    return {"step": tr("step"), "epoch": tr("epoch"), "time": tr("minutes")}[axis]
