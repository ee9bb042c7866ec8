"""Colours of what is said: wrong, to be known, fine. They follow the theme, as the colours of the states do."""

from __future__ import annotations

from rich.style import Style

from detui.tui.widgets.palette import state_style

_LIKE = {"wrong": "failed", "warning": "stopped", "fine": "finished", "busy": "starting", "heading": "starting"}


def tone(what: str, *, bold: bool = False) -> Style:
    """Return the style of "wrong", "warning", "fine", "busy" or "heading"."""
    return state_style(_LIKE[what]) + Style(bold=bold or None)
