"""Plain output of commands: data on stdout, narration on stderr, tables without a library."""

from __future__ import annotations

import json
import sys
import time
import unicodedata
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any

import click

DASH = "–"
"""Stands where there is no value."""


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout, without the secrets in it."""
    click.echo(json.dumps(_shown(value), ensure_ascii=False, indent=2, default=str))


def _shown(value: Any) -> Any:
    from detui.engine.secrets import redacted

    return redacted(value)


def print_json_line(value: Any) -> None:
    """Print a value as one line of JSON, at once: somebody may be following."""
    click.echo(json.dumps(_shown(value), ensure_ascii=False, default=str))
    sys.stdout.flush()


def say(text: str) -> None:
    """Print narration on stderr."""
    click.echo(text, err=True)


def width(text: str) -> int:
    """Return the columns that `text` takes on a terminal: two for a Chinese character."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """Return `text` filled up with spaces to a width on the terminal."""
    space = " " * (columns - width(text))
    return space + text if right else text + space


def cut(text: str, columns: int) -> str:
    """Return `text` in at most `columns` columns, with an ellipsis where it was longer."""
    if width(text) <= columns:
        return text
    kept = ""
    used = 1
    for character in text:
        used += _columns(character)
        if used > columns:
            break
        kept += character
    return kept + "…"


def table(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """Return rows as lines with aligned columns; the columns numbered in `right` align right."""
    if not rows:
        return []
    widths = [max(width(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [pad(cell, widths[i], right=i in right) for i, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return lines


def seconds_since(at: str, clock: Callable[[], float] = time.time) -> float | None:
    """Return the seconds since a wall time as detui's files write it, None where it is none."""
    try:
        moment = datetime.fromisoformat(at[:19]).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return max(0.0, clock() - moment.timestamp())


def duration(seconds: float | None) -> str:
    """Return a duration in two units at most: "42s", "3m10s", "2h05m", "4d03h"."""
    if seconds is None:
        return DASH
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def age(at: str) -> str:
    """Return how long ago a moment was, so roughly that a list that stands still sends nothing."""
    seconds = seconds_since(at) if at else None
    return DASH if seconds is None else roughly(seconds)


def roughly(seconds: float) -> str:
    """Return a duration in one unit, so that it seldom changes: "<1m", "12m", "3h", "4d"."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size:.0f}{unit}"
    return "<1m"


def number(value: float | None) -> str:
    """Return a number in four significant digits at most."""
    if value is None:
        return DASH
    return f"{value:.4g}" if abs(value) < 1e5 else f"{value:.3g}"


def percent(value: float | None) -> str:
    """Return a metric of 0–1 as a percentage with one decimal: metrics are stored as fractions."""
    return DASH if value is None else f"{100 * value:.1f}"


def percent_signed(value: float | None) -> str:
    """Return the same with its sign, where no heading says the unit."""
    return percent(value) if value is None else f"{percent(value)} %"


def percent_tick(value: float | None) -> str:
    """Return a metric as on an axis: below one percent, where a training begins, with two digits that count."""
    return percent(value) if not value or abs(value) >= 0.01 else f"{100 * value:.2g}"


def size(count: float | None) -> str:
    """Return a number of bytes as "3.2 GiB"."""
    if count is None:
        return DASH
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
