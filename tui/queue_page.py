"""The lines of the queue: who waits on this machine, in order, for what, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.segment import Segment
from rich.style import Style

from detui.engine.process.places import Standing
from detui.tui.devices import name_of
from detui.tui.language import tr
from detui.tui.machine import Machine, owner
from detui.tui.output import cut, pad, roughly, size, width
from detui.tui.widgets.line_list import Line
from detui.tui.widgets.palette import DIM, state_style

_BOLD = Style(bold=True)
_WIDE = 72
"""Columns from which on the owner is shown."""


def queue_lines(machine: Machine, columns: int) -> Iterator[Line]:
    """Return the heading and one line for each waiting run, which the cursor can choose."""
    held = sum(one.held for one in machine.queue)
    count = tr("{count} waiting", count=len(machine.queue) - held) if len(machine.queue) > held else ""
    text = ", ".join(filter(None, (count, tr("{count} held", count=held) if held else "")))
    yield Line((Segment(tr("Queue"), _BOLD), Segment(f"  {text or tr('nobody waits')}", DIM)))
    for one in machine.queue:
        yield from _lines(one, machine, columns)


def _lines(one: Standing, machine: Machine, columns: int) -> Iterator[Line]:
    """Yield the line of a waiting run, and why it waits below it where there is no room beside it."""
    run = Path(one.waiter.want.run)
    place = "–" if one.held else str(one.ahead + 1)
    wide = 28 if columns >= 100 else 20 if columns >= _WIDE else 12
    who = f" {pad(cut(owner(one.waiter.want.user), 8), 8)}" if columns >= _WIDE else ""
    asked = f" {pad(cut(_asked(one, machine), wide), wide)}"
    since = f" {pad(roughly(one.seconds), 4, right=True)} "
    note = tr("held") if one.held else one.reason
    noted = max(8, columns - 4 - 50 - width(who) - width(asked) - width(since)) if columns >= _WIDE else 6
    room = columns - 4 - width(who) - width(asked) - width(since) - noted
    below = width(note) > noted
    yield Line(
        (
            Segment(f"{place:>3} "),
            Segment(pad(cut_left(name_of(run), room), room)),
            Segment(who, DIM),
            Segment(asked),
            Segment(since, DIM),
            Segment(pad("" if below else note, noted), state_style("stopping")),
        ),
        f"queue {run}",
        run,
    )
    if below:
        yield Line((Segment(f"      {cut(note, columns - 6)}", state_style("stopping")),))


def _asked(one: Standing, machine: Machine) -> str:
    """Return what a run waits for: "1 of 8 GPUs, 20.0 GiB free", "GPU 3", "1 of 4 slots"."""
    request = one.waiter.want.request
    count, there = request.count, len(request.candidates)
    if all(candidate.startswith("cpu:") for candidate in request.candidates):
        return tr("{count} of {there} slots", count=count, there=there)
    free = ", " + tr("{size} free", size=size(request.min_free_memory)) if request.min_free_memory else ""
    known = {gpu.resource: gpu.name for gpu in machine.gpus}
    names = [known.get(candidate) for candidate in request.candidates]
    if there == count and all(names):
        return f"GPU {','.join(str(name) for name in names)}{free}"
    return tr("{count} of {there} GPUs", count=count, there=there) + free


def cut_left(text: str, columns: int) -> str:
    """Return the end of a text in at most so many columns: the name of a run tells more than its experiment's."""
    if width(text) <= columns:
        return text
    return "…" + cut(text[::-1], columns)[::-1].lstrip("…") if columns > 0 else ""
