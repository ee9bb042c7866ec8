"""The lines of the screen of devices: host, GPUs and who is on them, slots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.segment import Segment
from rich.style import Style

from detui.tui.cluster import cluster_lines
from detui.tui.devices import Device, Host
from detui.tui.glance import Glance
from detui.tui.language import tr
from detui.tui.machine import MEASURED, Machine, Values
from detui.tui.output import DASH, cut, number, pad, size, width
from detui.tui.queue_page import cut_left, queue_lines
from detui.tui.widgets.history import LONGEST, ring
from detui.tui.widgets.line_list import Line
from detui.tui.widgets.palette import DIM, bar, series_style, state_style

BOLD = Style(bold=True)
_GIB = 1 << 30
_NUMBERS = 36
"""Cells of memory, use, power and temperature, with a blank after each."""
_IN_USE = 1 << 30
"""Bytes on a GPU beyond which somebody works there; less is what a driver and a desktop take."""
_FULL = 0.9
"""Part of a GPU's memory from which on the bar warns."""


def page(machine: Machine, columns: int, *, ascii_only: bool = False) -> list[Line]:
    """Return all lines for a list of so many columns."""
    lines = [_host(machine.host, columns)]
    lines += _gpus(machine, columns, ascii_only) if machine.gpus else [_none(machine)]
    lines += _slots(machine, columns)
    return [*lines, Line(()), *queue_lines(machine, columns), *cluster_lines(machine.cluster, columns)]


def _host(host: Host, columns: int) -> Line:
    used, total = host.memory_used, host.memory_total
    memory = DASH if used is None or total is None else f"{used / _GIB:.1f}/{size(total)}"
    # Fixed widths: a number that gets longer must not move, and so send again, what stands to its right.
    facts = [
        ("CPU", DASH if host.cpu is None else f"{host.cpu:.0f} %", 5),
        (tr("load"), DASH if host.load is None else f"{host.load:.1f}", 5),
        (tr("RAM"), memory, 0),
        (tr("disk free"), DASH if host.disk_free is None else size(host.disk_free), 0),
    ]
    narrow = columns < 72
    segments = [] if narrow else [Segment(f"{tr('Host')}  ", BOLD)]
    for name, value, wide in facts[:1] + facts[2:] if narrow else facts:
        segments += [Segment(f"{name} ", DIM), Segment(f"{pad(value, wide)}  ")]
    return Line(tuple(segments))


def _none(machine: Machine) -> Line:
    reason = machine.problem or tr("the driver lists none")
    return Line((Segment("GPU", BOLD), Segment("  " + tr("none: {reason}", reason=reason), DIM)))


def _gpus(machine: Machine, columns: int, ascii_only: bool) -> Iterator[Line]:
    titles = f"{pad(tr('GPU memory'), 15, right=True)} {pad(tr('use'), 5, right=True)} "
    titles += f"{pad(tr('power'), 6, right=True)} {pad(tr('temp'), 6, right=True)} "
    left, wide = _widths(columns)
    yield Line((Segment("GPU", BOLD), Segment(" " * (left + wide + 2)), Segment(titles, DIM)))
    for gpu in machine.gpus:
        yield _measured(gpu, columns, ascii_only)
        if gpu.problem is not None:
            yield Line((Segment(f"    ! {_problem(gpu)}", state_style("broken")),))
        if gpu.resource:
            yield _history(machine.histories.get(gpu.resource, ()), columns, ascii_only)
            yield from _who(machine, gpu, columns)


def _widths(columns: int) -> tuple[int, int]:
    """Return the cells of a GPU's name and of its bar; on a wide terminal the numbers stay near both."""
    room = columns - 4 - _NUMBERS
    wide = max(5, min(room - 24, room * 11 // 20, 60)) if room > 14 else 0
    return max(0, min(room - wide - 1, 48)), wide


def _problem(gpu: Device) -> str:
    """Return why a GPU says nothing, or not how much memory it has while it says the rest."""
    partly = any(gpu.sample[name] is not None for name in MEASURED)
    return f"{tr('GPU memory')}: {gpu.problem}" if partly else str(gpu.problem)


def _measured(gpu: Device, columns: int, ascii_only: bool) -> Line:
    """Return index, name, bar and numbers. The numbers stand together: they change together, and cost one move."""
    sample = gpu.sample
    used, total = sample["memory_used"], sample["memory_total"]
    use, power, warm = sample["utilization"], sample["power"], sample["temperature"]
    values = (
        pad(DASH if used is None or not total else f"{used / _GIB:.1f}/{size(total)}", 15, right=True),
        pad(DASH if use is None else f"{use} %", 5, right=True),
        pad(DASH if power is None else f"{power:.0f} W", 6, right=True),
        pad(DASH if warm is None else f"{warm} °C", 6, right=True),
    )
    name = str(sample["name"] or DASH).removeprefix("NVIDIA ")
    if gpu.resource.startswith("MIG-"):
        name = f"{gpu.resource[:8]} {name}"
    left, wide = _widths(columns)
    full = bool(total) and used is not None and used / total >= _FULL
    filled = bar(used, total, wide, ascii_only=ascii_only) if used is not None and total else " " * wide
    return Line((
        Segment(f"{gpu.name:>3} ", BOLD),
        Segment(f"{pad(cut(name, left), left)} "),
        Segment(filled, state_style("stopped") if full else series_style(0)),
        Segment(f"{' '.join(values)} "),
    ))  # fmt: skip


def _history(kept: tuple[Values, ...], columns: int, ascii_only: bool) -> Line:
    """Return what each number was, one beside the other."""
    names = (tr("GPU memory"), tr("use"), tr("power"), tr("temp"))
    cells = max(4, min(LONGEST, (columns - 4 - sum(width(name) + 3 for name in names)) // 4))
    segments = [Segment("    ")]
    for index, (name, values) in enumerate(zip(names, kept, strict=False)):
        drawn = ring(values, cells, *_limits(MEASURED[index], values), ascii_only=ascii_only)
        text = drawn if values else pad(DASH, cells)
        segments += [Segment(f"{name} ", DIM), Segment(text, series_style(0)), Segment("  ")]
    return Line(tuple(segments))


def _limits(name: str, values: Values) -> tuple[float, float]:
    """Return what the lowest and the highest block mean; steps, so that a new peak seldom draws everything again."""
    if name == "utilization":
        return 0.0, 100.0
    if name == "temperature":
        return 20.0, 100.0
    most = max(values.values(), default=0.0)
    step = float(8 * _GIB if name == "memory_used" else 100)
    while step < most:
        step *= 2
    return 0.0, step


def _who(machine: Machine, gpu: Device, columns: int) -> Iterator[Line]:
    """Return the run that has the GPU, then the processes that are not that run's."""
    if gpu.holder is not None:
        yield _run(machine, gpu, columns)
    own = machine.own.get(gpu.run, frozenset()) if gpu.run else frozenset()
    others = [one for one in gpu.processes or () if one["pid"] not in own]
    for one in others:
        yield _process(one, columns)
    if gpu.holder is None and not others:
        yield Line((Segment(f"    {cut(_nobody(gpu), columns - 4)}", DIM),))


def _memory_in_use(gpu: Device) -> bool:
    return (gpu.sample["memory_used"] or 0) > _IN_USE


def in_use(gpu: Device) -> bool:
    """Whether somebody works on a GPU: a run, a process, or memory that somebody holds who is not to be seen."""
    return bool(gpu.holder or gpu.processes) or _memory_in_use(gpu)


def _nobody(gpu: Device) -> str:
    """Return what is said of a GPU on which nobody is to be seen: containers hide each other's processes."""
    if gpu.processes is None:
        return tr("who is on it is not said")
    if _memory_in_use(gpu):
        return tr("its memory is in use by somebody who is not to be seen")
    return tr("free")


def _process(one: dict[str, Any], columns: int) -> Line:
    who = one["user"] or tr("somebody")
    text = f"{who}: {one['command'] or tr('a process that is not to be seen')}"
    right = f"  {size(one['memory'])}  pid {one['pid']} "
    room = columns - 6 - width(right)
    return Line((Segment(f"    - {pad(cut(text, room), min(room, 40))}"), Segment(right, DIM)))


def _run(machine: Machine, device: Device, columns: int, before: str = "") -> Line:
    """Return the line of a run on a device, which the cursor can choose."""
    found = machine.runs.get(device.run) if device.run else None
    right = _state(found) if found else ()
    room = columns - 6 - width(before) - sum(width(segment.text) for segment in right)
    name = cut_left(device.holder or "", room)
    head = Segment(f"    {before}" if before else "    * ")
    return Line((head, Segment(pad(name, min(room, 50))), *right), _key(device), device.run)


def _key(device: Device) -> str:
    return f"{device.resource} {device.run}" if device.run else ""


def _state(run: Glance) -> tuple[Segment, ...]:
    done = f"  {run.epoch}/{run.epochs or '?'}  {tr('loss')} {number(run.loss)} "
    return (Segment(f"  {run.letter} {tr(run.word)}", state_style(run.word)), Segment(pad(done, 20)))


def _slots(machine: Machine, columns: int) -> Iterator[Line]:
    taken = [slot for slot in machine.slots if slot.holder]
    text = tr("{taken} of {all} slots in use", taken=len(taken), all=len(machine.slots))
    yield Line(())
    yield Line((Segment("CPU", BOLD), Segment(f"  {text}", DIM)))
    for slot in taken:
        yield _run(machine, slot, columns, f"{slot.resource}  ")
