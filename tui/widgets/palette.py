"""Colours that colour-blind eyes tell apart, in sixteen-colour terminals too. Never the only sign of anything."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from rich.style import Style

DARK = {
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
"""Colour of each state's word on a dark ground."""
LIGHT = {
    "queued": "grey37",
    "starting": "dark_cyan",
    "running": "blue",
    "stopping": "dark_orange3",
    "finished": "dark_green",
    "stopped": "dark_orange3",
    "killed": "dark_orange3",
    "failed": "red3",
    "crashed": "red3",
    "oom": "red3",
    "lost": "dark_magenta",
    "broken": "dark_magenta",
}
"""The same on a light one."""
_SERIES_DARK = ("#56b4e9", "#f0e442", "#cc79a7", "#2bd1a0", "#e69f00", "#e8663d")
"""After Okabe and Ito (2008), a little lighter: told apart by colour-blind eyes."""
_SERIES_TERMINAL = ("bright_cyan", "bright_yellow", "bright_magenta", "bright_green", "bright_blue", "bright_red")
_SERIES_LIGHT = ("blue", "dark_orange3", "dark_magenta", "dark_green", "dark_cyan", "red3")

DIM = Style(dim=True)
PLAIN = Style()
WARNING = Style(bold=True, reverse=True)

_states = DARK
_series = _SERIES_DARK
_cursor = Style(bgcolor="grey30")


def use(theme: str) -> None:
    """Choose the colours of "dark", "light" or "terminal" (whose ground is taken for dark)."""
    global _states, _series, _cursor
    light = theme == "light"
    _states = LIGHT if light else DARK
    _series = {"light": _SERIES_LIGHT, "terminal": _SERIES_TERMINAL}.get(theme, _SERIES_DARK)
    ground = {"light": "grey82", "terminal": "bright_black"}.get(theme, "grey30")
    _cursor = Style(bgcolor=ground)


def cursor_style() -> Style:
    """Return the style of the line under the cursor."""
    return _cursor


def state_style(word: str) -> Style:
    """Return the style of a state's word."""
    return Style(color=_states.get(word, _states["queued"]))


def series_style(index: int) -> Style:
    """Return the style of a chart's line."""
    return Style(color=_series[index % len(_series)])


def run_colours(refs: Sequence[str]) -> dict[str, int]:
    """Return for each run, by "EXPERIMENT/RUN", the index of its colour.

    A run keeps its colour wherever it is shown, unless a run before it in the same picture has that one.
    """
    found: dict[str, int] = {}
    for ref in refs:
        first = crc32(ref.encode()) % len(_SERIES_DARK)
        free = [index for index in range(len(_SERIES_DARK)) if index not in found.values()]
        found[ref] = next((index for index in free if index >= first), free[0]) if free else first
    return found


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
