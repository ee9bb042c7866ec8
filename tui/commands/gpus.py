"""`detui gpus`: the devices of this machine, and who uses them."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from detui.tui.context import Session, pass_session
from detui.tui.devices import Device, look
from detui.tui.output import DASH, cut, print_json, print_json_line, say, size, table

_HEAD = ("GPU", "NAME", "MEMORY", "USE", "TEMP", "POWER", "WHO")
_NAME_COLUMNS = 20
_WHO_COLUMNS = 30


@click.command("gpus", short_help="Show this machine's devices and who uses them.")
@click.option("--watch", metavar="SECONDS", type=click.FloatRange(min=0.5), is_flag=False, flag_value=2.0,
              help="Look again every so many seconds (2 if not said), until Ctrl-C.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --watch, one line a look.")
@pass_session
def command(session: Session, watch: float | None, as_json: bool) -> None:
    """Show GPUs, their load, and who is on them: runs of detui by lease, other processes by owner; then CPU slots.

    Works while nothing runs, and without a GPU. What the driver does not say is a dash, never a zero.
    """
    if watch is None:
        found = look()
        print_json(_json(found)) if as_json else click.echo("\n".join(lines(found)))
        _complain(found)
        return
    try:
        _follow(watch, as_json)
    except KeyboardInterrupt:
        return


def _follow(seconds: float, as_json: bool) -> None:
    moving = sys.stdout.isatty() and not as_json
    while True:
        found = look()
        if as_json:
            print_json_line(_json(found))
        else:
            # Home, each line cleared to its end, then what was below: nothing flickers.
            text = "\n".join(f"{line}\x1b[K" if moving else line for line in lines(found))
            click.echo(f"\x1b[H{text}\x1b[J" if moving else f"{text}\n")
        time.sleep(seconds)


def lines(found: list[Device]) -> list[str]:
    """Return the table of the GPUs, and one line for each slot in use."""
    gpus = [device for device in found if device.sample]
    slots = [device for device in found if not device.sample]
    shown = table([_HEAD, *map(_row, gpus)], right=(2, 3, 4, 5)) if gpus else []
    taken = [device for device in slots if device.holder]
    shown += [f"CPU: {len(taken)} of {len(slots)} slots in use"]
    return shown + [f"  {device.resource}  {device.holder}" for device in taken]


def _row(device: Device) -> tuple[str, ...]:
    sample = device.sample
    memory = f"{size(sample['memory_used'])} / {size(sample['memory_total'])}"
    use, power, warm = sample["utilization"], sample["power"], sample["temperature"]
    return (
        device.name,
        DASH if sample["name"] is None else cut(str(sample["name"]), _NAME_COLUMNS),
        memory if sample["memory_total"] is not None else DASH,
        DASH if use is None else f"{use} %",
        DASH if warm is None else f"{warm} °C",
        DASH if power is None else f"{power:.0f} W",
        cut(_who(device), _WHO_COLUMNS) if sys.stdout.isatty() else _who(device),
    )


def _who(device: Device) -> str:
    """The run that has the device; without one, the processes on it by their owners; of a silent one, why."""
    if device.holder:
        return device.holder
    if not device.resource:
        return device.problem or DASH
    if device.processes is None:
        return DASH
    by_user: dict[str, int | None] = {}
    for one in device.processes:
        user = f"{one['user'] or 'somebody'}: {one['command'] or one['pid']}"
        known = by_user.get(user, 0)
        by_user[user] = None if one["memory"] is None or known is None else known + one["memory"]
    return ", ".join(f"{user} {size(memory)}" if memory else user for user, memory in by_user.items()) or "free"


def _json(found: list[Device]) -> dict[str, Any]:
    from detui.engine.devices.nvml import driver_versions

    gpus = [
        {"index": int(d.name), "holder": d.holder, **d.sample, "processes": d.processes, "problem": d.problem}
        for d in found
        if d.sample
    ]
    slots = [{"slot": d.resource, "holder": d.holder} for d in found if not d.sample]
    return {"driver": driver_versions(), "gpus": gpus, "cpu_slots": slots}


def _complain(found: list[Device]) -> None:
    """Say why no GPU is listed."""
    from detui.engine.devices.nvml import gpu_problem

    if not any(device.sample for device in found):
        say(f"No GPU: {gpu_problem() or 'the driver lists none'}.\n  try: nvidia-smi, detui doctor")
