"""Notices that reach a person who looks at another window: the bell, or OSC 9 (a notice on the desktop)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from detui.tui.language import tr
from detui.tui.watching import News

_BELL = "\a"


def sequence(news: Sequence[News], how: str, environ: Mapping[str, str]) -> str:
    """Return what a terminal is sent to tell of these. `how`: "bell", "message" or "off".

    OSC 9 is understood by iTerm2, WezTerm, kitty, Windows Terminal and others; the rest ignore it, so a bell goes with
    it. tmux hands it on only inside its own pass-through sequence (and with `allow-passthrough on`).
    """
    if how == "off" or not news:
        return ""
    if how == "bell":
        return _BELL
    first = news[0]
    text = f"detui: {first.run} {', '.join(first.alarms) or tr(first.word)}"
    if len(news) > 1:
        text += f" (+{len(news) - 1})"
    osc = f"\x1b]9;{_printable(text)}\x1b\\"
    if environ.get("TMUX"):
        osc = "\x1bPtmux;" + osc.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    return osc + _BELL


def _printable(text: str) -> str:
    """Return a text without control characters: names of runs come from files that anybody may have written."""
    return "".join(character for character in text if character.isprintable())
