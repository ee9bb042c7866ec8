"""The runs of a comparison as lines: letter, name, state, epoch, latest value, value at the cursor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich.segment import Segment

from detui.tui.curves import LOSS, Arm, Curves, Member
from detui.tui.language import tr
from detui.tui.output import cut, number, pad, percent_tick, width
from detui.tui.widgets.line_list import Line
from detui.tui.widgets.palette import DIM, PLAIN, series_style, state_style

_STATE, _EPOCH, _VALUE, _NAME = 10, 8, 9, 12
_ROLE = 10


def titles(members: Sequence[Member], columns: int, at: str | None) -> str:
    """Return the line above the runs. `at`: how the column of values at the cursor is called, None without one."""
    values = [pad(cut(name, _VALUE), _VALUE, right=True) for name in (tr("latest"), at) if name is not None]
    name = pad(tr("run"), _name_width(members, columns, len(values)))
    return "  ".join(["    " + name, pad(tr("state"), _STATE), pad(tr("epoch"), _EPOCH, right=True), *values])


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
    for member in members:
        letter, colour = marks.get(member.ref, (member.letter, member.colour))
        run = curves.glances.get(member.ref)
        word = "" if run is None else f"{run.letter} {tr(run.word)}"
        epoch = "" if run is None else f"{run.epoch}/{run.epochs or '?'}"
        values = [form(curves.latest.get(member.ref))]
        values += [] if at is None else [form(at.get(letter))]
        role = tr("reference") if member == members[0] else ""
        texts = [pad(cut(word, _STATE), _STATE), pad(epoch, _EPOCH, right=True)]
        texts += [pad(value, _VALUE, right=True) for value in values]
        room = _name_width(members, columns, len(values))
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


def _name_width(members: Sequence[Member], columns: int, values: int) -> int:
    """Return the width of the names: as the longest one asks, but no more than the other columns leave."""
    longest = max((width(member.name) for member in members), default=0)
    left = columns - 4 - _STATE - _EPOCH - values * (_VALUE + 2) - 4 - _ROLE - 2
    return max(_NAME, min(longest, left))


def metric_title(metric: str) -> str:
    """Return what stands over the chart: the metric, with its unit where it has one."""
    if metric == LOSS:
        return tr("Total loss")
    if metric.startswith("val/"):
        return f"{metric.removeprefix('val/').replace('_', ' ')}, %"
    if metric.startswith("lr/"):
        return tr("Learning rate ({name})", name=metric.removeprefix("lr/"))
    return tr("Loss ({name})", name=metric.removeprefix("train/").removeprefix("loss_"))


def form_of(metric: str) -> Callable[[float | None], str]:
    """Return how a metric's values are written: what is stored as 0-1 in percent."""
    return percent_tick if metric.startswith("val/") else number


def axis_label(axis: str) -> str:
    """Return what an axis counts."""
    return {"step": tr("step"), "epoch": tr("epoch"), "time": tr("minutes")}[axis]
