"""Three looks: dark, light, and the terminal's own sixteen colours."""

from __future__ import annotations

from textual.theme import Theme

THEMES = (
    Theme(
        name="detui-dark", dark=True, primary="#5fafff", secondary="#87afaf", warning="#ffd75f", error="#ff8787",
        success="#87d787", accent="#5fafff", foreground="#e4e4e4", background="#121212", surface="#1c1c1c",
        panel="#262626",
    ),
    Theme(
        name="detui-light", dark=False, primary="#005faf", secondary="#5f8787", warning="#875f00", error="#af0000",
        success="#005f00", accent="#005faf", foreground="#1c1c1c", background="#ffffff", surface="#eeeeee",
        panel="#e4e4e4",
    ),
    Theme(
        name="detui-terminal", dark=True, primary="ansi_bright_cyan", secondary="ansi_cyan",
        warning="ansi_bright_yellow", error="ansi_bright_red", success="ansi_bright_green", accent="ansi_bright_cyan",
        foreground="ansi_default", background="ansi_default", surface="ansi_default", panel="ansi_default",
    ),
)  # fmt: skip
