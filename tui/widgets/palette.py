"""Colours that colour-blind eyes tell apart, in sixteen-colour terminals too. Never the only sign of anything."""

from __future__ import annotations

from rich.style import Style

STATES = {
    "queued": "white",
    "starting": "cyan",
    "running": "bright_cyan",
    "stopping": "yellow",
    "finished": "bright_green",
    "stopped": "bright_yellow",
    "killed": "yellow",
    "failed": "bright_red",
    "crashed": "bright_red",
    "oom": "bright_red",
    "lost": "bright_magenta",
    "broken": "bright_magenta",
}
"""Colour of each state's word."""

SERIES = ("bright_cyan", "bright_yellow", "bright_magenta", "bright_green", "bright_blue", "bright_red")
"""Colours of the lines of a chart, in order."""

DIM = Style.parse("grey62")
"""Falls to plain white where there are sixteen colours, and stays readable."""
PLAIN = Style()
WARNING = Style.parse("bold bright_yellow")


def state_style(word: str) -> Style:
    """Return the style of a state's word."""
    return Style(color=STATES.get(word, "white"))


def series_style(index: int) -> Style:
    """Return the style of a chart's line."""
    return Style(color=SERIES[index % len(SERIES)])


def bar(done: float, total: float | None, columns: int, *, ascii_only: bool = False) -> str:
    """Return a bar of `columns` cells, filled by eighths of a cell; empty where the total is unknown."""
    share = min(1.0, max(0.0, done / total)) if total else 0.0
    if ascii_only:
        full = round(share * columns)
        return "#" * full + "." * (columns - full)
    eighths = round(share * columns * 8)
    full, rest = divmod(eighths, 8)
    text = "█" * full + ("▏▎▍▌▋▊▉"[rest - 1] if rest else "")
    return text + "·" * (columns - len(text))
